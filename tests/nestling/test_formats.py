"""Each format is read from a file made here, as the programs of offices write it."""

import zipfile
from pathlib import Path

import pytest
from odfdo import Document, Header, Paragraph, Table

from nestling.corpus.content import Content, UnreadableError
from nestling.corpus.formats import FILE_FORMATS, kind_of
from nestling.corpus.mail import read_mailbox
from nestling.corpus.rejects import Reject
from nestling.corpus.sources import read_documents
from nestling.corpus.spreadsheets import read_spreadsheet

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def package(path: Path, kind: str, parts: dict[str, str]) -> Path:
    """Write an OOXML package whose main part is the first of `parts`."""
    main, types = next(iter(parts)), "application/vnd.openxmlformats-officedocument"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="{types}.{kind}.main+xml"/></Types>',
        )
        packed.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>',
        )
        for name, text in parts.items():
            packed.writestr(name, text)
    return path


def docx(path: Path, body: str) -> Path:
    document = f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    styles = (
        f'<w:styles xmlns:w="{W}"><w:style w:type="paragraph" w:styleId="Heading1">'
        '<w:name w:val="heading 1"/></w:style></w:styles>'
    )
    links = (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/styles" '
        'Target="styles.xml"/></Relationships>'
    )
    parts = {"word/document.xml": document, "word/styles.xml": styles, "word/_rels/document.xml.rels": links}
    return package(path, "wordprocessingml.document", parts)


def xlsx(path: Path, *rows: tuple[object, ...]) -> Path:
    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>" if value is not None else "<c/>"

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    links = (
        f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    )
    book = (
        f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets><sheet name="FAQ" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>"
    )
    parts = {
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": links,
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><sheetData>{lines}</sheetData></worksheet>',
    }
    return package(path, "spreadsheetml.sheet", parts)


def p(text: str, style: str = "") -> str:
    head = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{head}<w:r><w:t>{text}</w:t></w:r></w:p>"


def read(path: Path) -> Content:
    return FILE_FORMATS[kind_of(path.name)](path)


def test_a_word_document_gives_heading_paragraphs_tables_and_tracked_insertions(tmp_path):
    cells = "".join(f"<w:tc>{p(text)}</w:tc>" for text in ("lunedì", "chiuso"))
    new, old = "<w:r><w:t>Nuovo orario.</w:t></w:r>", "<w:r><w:delText>Vecchio</w:delText></w:r>"
    added = f"<w:p><w:ins>{new}</w:ins><w:del>{old}</w:del></w:p>"
    body = p("Orari", "Heading1") + p("Il mulino apre alle nove.") + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>" + added
    found = read(docx(tmp_path / "a.docx", body))
    assert found == Content("Orari", "Il mulino apre alle nove.\nlunedì | chiuso\nNuovo orario.")


def test_an_opendocument_text_gives_title_headings_paragraphs_and_cells(tmp_path):
    made = Document("text")
    made.body.clear()
    for part in (Header(1, "Orari"), Paragraph("Il mulino apre alle nove."), Table("t", width=1, height=1)):
        made.body.append(part)
    made.meta.title = "Il mulino"
    made.save(tmp_path / "a.odt")
    assert read(tmp_path / "a.odt") == Content("Il mulino", "Orari\nIl mulino apre alle nove.")


def test_rich_text_gives_its_text_with_accents(tmp_path):
    (tmp_path / "a.rtf").write_bytes(
        rb"{\rtf1\ansi\ansicpg1252 Il mulino \b apre\b0  l\'e0.\par La domenica \u232? chiuso.\par}"
    )
    assert " ".join(read(tmp_path / "a.rtf").text.split()) == "Il mulino apre là. La domenica è chiuso."


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


def test_the_rows_of_a_spreadsheet_are_named_by_its_first_row(tmp_path):
    path = xlsx(tmp_path / "a.xlsx", ("ID", "Text"), (1, "Il mulino apre."), (None, "Il forno chiude."))
    rows = list(read_spreadsheet(path, "a.xlsx", ("id", "text"), ["text"]))
    assert [row.place for row in rows] == ["a.xlsx:FAQ:2", "a.xlsx:FAQ:3"]
    assert [row.values["text"] for row in rows] == ["Il mulino apre.", "Il forno chiude."]


def test_a_sheet_without_the_column_says_what_its_header_is(tmp_path):
    path = xlsx(tmp_path / "a.xlsx", ("domanda", "risposta"), ("Quando?", "Alle nove."))
    (left,) = read_spreadsheet(path, "a.xlsx", ("id", "text"), ["text"])
    assert left == Reject("sheet", "a.xlsx:FAQ", "unreadable", "no column text; the header is 'domanda, risposta'")

    path = xlsx(tmp_path / "b.xlsx", ("Text", "text"), ("Uno.", "Due."))  # which of them is never guessed
    (left,) = read_spreadsheet(path, "b.xlsx", ("id", "text"), ["text"])
    assert left.detail == "column text stands twice in the header 'Text, text'"


@pytest.mark.parametrize(
    ("matter", "expected"),
    [
        (
            "---\ntitle: Orari\nlang: it\nlicense: CC0-1.0\n---\nAlle nove.",
            Content("Orari", "Alle nove.", "it", "CC0-1.0"),
        ),
        ('+++\ntitle = "Orari"\n+++\n# Orari\nAlle nove.', Content("Orari", "Alle nove.")),
        ("---\ntags: [a]\n---\n# Il mulino\nAlle nove.", Content("Il mulino", "Alle nove.")),
        (
            "---\nUna riga, e una linea sotto.\n---\nE poi.",
            Content("", "---\nUna riga, e una linea sotto.\n---\nE poi."),
        ),
        ("---\ntitle: [broken\n---\nE poi.", Content("", "---\ntitle: [broken\n---\nE poi.")),
    ],
    ids=["YAML", "TOML", "no title", "a rule", "broken"],
)
def test_front_matter_of_markdown_is_title_and_metadata(tmp_path, matter, expected):
    (tmp_path / "a.md").write_text(matter)
    assert read(tmp_path / "a.md") == expected


@pytest.mark.parametrize("name", ["a.docx", "a.odt", "a.rtf", "a.eml", "a.pdf"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\xd0\xcf\x11\xe0 encrypted", b"just words"])
def test_a_damaged_file_is_unreadable_and_no_more(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableError):
        read(tmp_path / name)


def test_office_files_and_mail_become_documents_of_a_set(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    docx(folder / "a.docx", p("Il mulino apre alle nove."))
    xlsx(folder / "b.xlsx", ("id", "text"), ("r1", "Il forno apre alle sei."))
    (folder / "c.eml").write_text(MESSAGE)
    (folder / "d.mbox").write_text(f"From anna Mon Jan  1\n{MESSAGE}\n")
    (folder / "e.xlsx").write_bytes(b"PK nothing")
    documents, rejected = read_documents(tmp_path, 100_000)
    assert documents["document_id"].to_list() == ["a.docx", "r1", "c.eml", "42@example.org"]
    assert rejected.select("item_id", "reason").rows() == [("documents/e.xlsx", "unreadable")]
