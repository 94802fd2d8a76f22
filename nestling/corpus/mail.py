"""E-mail: a message is a document, its subject the title; quotes, signatures and attachments are left out."""

import codecs
import mailbox
import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import Message
from itertools import takewhile
from pathlib import Path
from typing import cast

from nestling.corpus.content import Content, UnreadableError, parsing, whole_characters
from nestling.corpus.encodings import decoded_as
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row
from nestling.corpus.values import is_blank
from nestling.corpus.web import html_content

_SIGNATURE = "-- "  # RFC 3676, section 4.3
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)  # how an mbox file keeps a line `From ` of a message


def read_message(path: Path) -> Content:
    """Read one message.

    Raises:
        UnreadableError: it has no headers.
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
        message = _parsed(_ESCAPED.sub(rb"\1", raw))
        content = _content(message)
    except UnreadableError as error:
        return Reject("document", place, "unreadable", str(error))
    name = _header(message, "Message-ID").strip(" <>") or place
    if is_blank(content.title + content.text):
        return Reject("document", name, "missing_text", f"{place}: {content.missing}")
    return Row(place, {"_id": name, "title": content.title, "text": content.text})


def _too_large(place: str, max_bytes: int) -> Reject:
    return Reject("document", place, "too_large", f"a message of more than {max_bytes} bytes")


def _parsed(raw: bytes) -> Message:
    with parsing("message"):
        message = message_from_bytes(raw.removeprefix(codecs.BOM_UTF8))
    if not message.keys():
        raise UnreadableError("no message: it has no headers")
    return message


def _content(message: Message) -> Content:
    subject = _header(message, "Subject")
    with suppress(LookupError, ValueError, AttributeError, TypeError):  # what damaged encoded words raise
        subject = str(policy.default.header_factory("Subject", subject))
    with parsing("message"):
        texts = list(_texts(message))
        content = Content(" ".join(subject.split()), "\n".join(map(_own_lines, texts)))
        return content._replace(missing=_missing(message, texts)) if is_blank(content.text) else content


def _missing(message: Message, texts: list[str]) -> str:
    if texts:
        return "nothing but quoted lines or a signature"
    forwards = any(part.get_content_type() == "message/rfc822" for part in message.walk())
    return "nothing but a forwarded message" if forwards else "a message without a text"


def _header(message: Message, name: str) -> str:
    """Return a header as it is written, on one line: the ids of many programs break the grammar."""
    written = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return " ".join(_characters(written.encode("utf-8", "surrogateescape"), "").split())


def _texts(part: Message) -> Iterator[str]:
    """Yield what a part shows, nothing blank: of alternatives one, the plain text first, of attachments none."""
    kind = part.get_content_type()
    if part.get_content_disposition() == "attachment":
        return
    if kind.startswith("multipart/") and part.is_multipart():
        inside = cast("list[Message]", part.get_payload())
        if kind == "multipart/related":
            inside = inside[:1]
        if kind == "multipart/alternative":
            ordered = sorted(inside, key=lambda one: one.get_content_type() != "text/plain")
            inside = [one for one in ordered if any(_texts(one))][:1]
        for one in inside:
            yield from _texts(one)
    elif kind.startswith(("text/plain", "text/html", "multipart/")) and not is_blank(text := _text(part, kind)):
        yield text


def _text(part: Message, kind: str) -> str:
    content, charset = cast("bytes", part.get_payload(decode=True)), part.get_content_charset("")
    if kind == "text/html":
        with suppress(UnreadableError):
            return html_content(content, charset).text
    return _characters(content, charset)


def _characters(content: bytes, declared: str) -> str:
    try:
        return whole_characters(decoded_as(content, declared))
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace")


def _own_lines(text: str) -> str:
    lines = takewhile(lambda line: line != _SIGNATURE, text.splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith(">"))
