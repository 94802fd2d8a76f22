"""Messages as programs for mail write them, and as broken ones do."""

import pytest

from nestling.corpus.content import Content
from nestling.corpus.mail import read_mailbox
from nestling.corpus.sources import read_documents
from tests.office import read

MESSAGE = (
    "From: Anna <anna@example.org>\nTo: uso@example.org\nMessage-ID: <42@example.org>\n"
    "Subject: =?utf-8?q?Orari_del_mulino=3A_novit=C3=A0?=\nMIME-Version: 1.0\n"
    'Content-Type: multipart/alternative; boundary="b"\n\n'
    "--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
    "Il mulino apre pi=F9 tardi.\n> Quando apre il mulino?\n-- \nAnna\n"
    "--b\nContent-Type: text/html\n\n<p>Il mulino</p>\n--b--\n"
)


def test_a_message_gives_subject_and_text_without_quotes_and_signature(tmp_path):
    (tmp_path / "a.eml").write_text(MESSAGE)
    assert read(tmp_path / "a.eml") == Content("Orari del mulino: novità", "Il mulino apre più tardi.")


def test_a_message_of_html_alone_gives_the_text_of_the_page(tmp_path):
    body = "<html><body><p>Il mulino della valle apre alle nove e chiude alle sei.</p></body></html>"
    (tmp_path / "a.eml").write_text(f"Subject: Orari\nContent-Type: text/html\n\n{body}\n")
    assert read(tmp_path / "a.eml") == Content("Orari", "Il mulino della valle apre alle nove e chiude alle sei.")


def test_each_message_of_a_mailbox_is_a_row_under_its_own_id(tmp_path):
    second = "Subject: Due\n\nIl secondo messaggio.\n"
    (tmp_path / "a.mbox").write_text(f"From anna Mon Jan  1\n{MESSAGE}\nFrom ugo Mon Jan  1\n{second}\n")
    rows = list(read_mailbox(tmp_path / "a.mbox", "a.mbox", 10_000))
    assert [row.values["_id"] for row in rows] == ["42@example.org", "a.mbox:2"]
    assert rows[1].values["text"].strip() == "Il secondo messaggio."


WORDS = "Il caffè della città apre alle nove e chiude alle sei, perché è già così."
PAGE = f"<html><body><p>{WORDS}</p></body></html>"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("", "utf-8"), ("", "cp1252"), ("utf-8", "cp1252"), ("us-ascii", "utf-8"), ("x-unknown", "cp1252")],
)
@pytest.mark.parametrize(("kind", "body"), [("plain", WORDS), ("html", PAGE)])
def test_a_body_is_read_in_the_encoding_that_its_letters_show(tmp_path, declared, encoding, kind, body):
    charset = f"; charset={declared}" if declared else ""
    head = f"Subject: Caffè\nContent-Type: text/{kind}{charset}\n\n"
    (tmp_path / "a.eml").write_bytes((head + body).encode(encoding))
    found = read(tmp_path / "a.eml")
    assert found.title == "Caffè"
    assert found.text.startswith("Il caffè della città apre")


def parts(kind: str, *texts: str) -> str:
    inside = "".join(f"--b\n{text}\n" for text in texts)
    return f'Subject: Orari\nContent-Type: multipart/{kind}; boundary="b"\n\n{inside}--b--\n'


PLAIN, PICTURE = "Content-Type: text/plain\n\n", "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBO"
ATTACHED = "Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nAllegato."


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (parts("mixed", f"{PLAIN}Prima.\n-- \nAnna", PICTURE, f"{PLAIN}Dopo.", ATTACHED), "Prima.\nDopo."),
        (parts("alternative", f"{PLAIN} ", f"Content-Type: text/html\n\n{PAGE}"), WORDS),
        (parts("alternative", f"{PLAIN}Alle nove.", f"Content-Type: text/html\n\n{PAGE}"), "Alle nove."),
        ("Subject: Orari\nContent-Type: multipart/mixed\n\nAlle nove.\n", "Alle nove."),
        ("Subject: Orari\r\n\r\nAlle nove.\r\n-- \r\nAnna\r\n", "Alle nove."),
        ("\ufeffSubject: Orari\n\nAlle nove.\n", "Alle nove."),
        ("Subject: Orari\nContent-Type: text/html\n\nAlle nove.\n", "Alle nove."),
    ],
    ids=["around a picture", "an empty part", "plain text", "no boundary", "line ends", "a mark", "no page"],
)
def test_what_a_message_shows_is_its_text(tmp_path, message, text):
    (tmp_path / "a.eml").write_bytes(message.encode())
    assert read(tmp_path / "a.eml") == Content("Orari", text)


@pytest.mark.parametrize(
    "header",
    [
        b"Message-ID: <[a]b@c>",
        b"Message-ID: <>",
        b"Message-ID: <caff\xe8@c>",
        b"Subject: =?utf-8?b?caff?= =?x?q?=E8?= =?utf-8?q?=",
        b"Subject: \xff\xfe\x00",
        b"Date: =?utf-8?b?caff?= 99",
        b"From: =?x?y?z?= <[",
        b"Content-Type: ;;; charset*=x''%E8",
        b'Content-Type: text/plain; charset="=?utf-8?q?"',
        b'Content-Type: multipart/mixed; boundary="',
        b"Content-Disposition: ;=",
        b"Content-Transfer-Encoding: \xe8",
    ],
)
def test_a_malformed_header_costs_no_message(tmp_path, header):
    broken, good = b"From anna Mon Jan  1\n" + header + b"\n\nUno.\n", b"From ugo Mon Jan  1\nSubject: B\n\nDue.\n"
    (tmp_path / "a.mbox").write_bytes(broken + b"\n" + good)
    texts = [row.values["text"].strip() for row in read_mailbox(tmp_path / "a.mbox", "a.mbox", 10_000)]
    assert texts == ["Uno.", "Due."]


def test_a_line_that_the_mailbox_escaped_is_no_quote(tmp_path):
    (tmp_path / "a.mbox").write_text("From anna Mon Jan  1\nSubject: A\n\n>From here on.\n>>From a quote.\n")
    (row,) = read_mailbox(tmp_path / "a.mbox", "a.mbox", 10_000)
    assert row.values["text"] == "From here on."


FORWARD = "Content-Type: message/rfc822\n\nSubject: Altro\n\nTesto inoltrato."


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("From: a@b\n\n> Quando apre?\n-- \nAnna\n", "nothing but quoted lines or a signature"),
        (parts("mixed", FORWARD).replace("Subject: Orari\n", ""), "nothing but a forwarded message"),
        ("From: a@b\n\n", "a message without a text"),
    ],
)
def test_a_message_that_says_nothing_of_its_own_says_why(tmp_path, message, detail):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.eml").write_text(message)
    (folder / "b.mbox").write_text(f"From anna Mon Jan  1\n{message}")
    _, rejected = read_documents(tmp_path, 10_000)
    found = rejected.filter(item="document").select("reason", "detail").rows()
    assert found == [("missing_text", detail), ("missing_text", f"documents/b.mbox:1: {detail}")]
