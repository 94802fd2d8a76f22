"""E-mail: a message is a document, its subject the title; quotes, signatures and attachments are left out."""

import mailbox
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from nestling.corpus.content import Content, UnreadableError
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row
from nestling.corpus.web import html_content

_SIGNATURE = "-- "  # RFC 3676, section 4.3


def read_message(path: Path) -> Content:
    """Read one message.

    Raises:
        UnreadableError: it has no headers, or text in no known encoding.
    """
    return _content(_parsed(path.read_bytes()))


def read_mailbox(path: Path, name: str, max_bytes: int) -> Iterator[Row | Reject]:
    """Yield the messages of an mbox file as rows: _id (the message's own), title, text.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        max_bytes: a longer message is left out.
    """
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), 1):
            raw = box.get_bytes(key)
            yield _row(raw, f"{name}:{number}") if len(raw) <= max_bytes else _too_large(f"{name}:{number}", max_bytes)
        if not len(box):
            yield Reject("file", name, "unreadable", "no message: a line `From ` begins each")
    finally:
        box.close()


def _row(raw: bytes, place: str) -> Row | Reject:
    try:
        message = _parsed(raw)
        content = _content(message)
    except UnreadableError as error:
        return Reject("document", place, "unreadable", str(error))
    own = str(message.get("Message-ID", "")).strip(" <>")
    return Row(place, {"_id": own or place, "title": content.title, "text": content.text})


def _too_large(place: str, max_bytes: int) -> Reject:
    return Reject("document", place, "too_large", f"a message of more than {max_bytes} bytes")


def _parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    if not message.keys():
        raise UnreadableError("no message: it has no headers")
    return message


def _content(message: EmailMessage) -> Content:
    try:
        title = " ".join(str(message.get("Subject", "")).split())
        body = message.get_body(("plain", "html"))
        text = body.get_content() if body else ""
    except (LookupError, ValueError, AttributeError, TypeError) as error:  # what damaged headers and charsets raise
        raise UnreadableError(f"{type(error).__name__}: {error}") from None
    if body and body.get_content_subtype() == "html":
        text = html_content(text).text if text.strip() else ""
    own = text.partition(f"\n{_SIGNATURE}\n")[0]
    return Content(title, "\n".join(line for line in own.splitlines() if not line.lstrip().startswith(">")))
