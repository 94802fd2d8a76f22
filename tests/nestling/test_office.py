"""Office documents say each text once, a line of text on a line, a row of a table on one."""

import pytest
from odfdo import Document, Frame, Header, Paragraph, Table

from nestling.corpus.content import Content, UnreadableError, whole_characters
from tests.office import docx, p, package, read


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
    table = Table("t", width=2, height=1)
    table.set_values([["lunedì", "chiuso"]])
    for part in (Header(1, "Orari"), Paragraph("Il mulino apre alle nove."), table):
        made.body.append(part)
    made.meta.title = "Il mulino"
    made.save(tmp_path / "a.odt")
    assert read(tmp_path / "a.odt") == Content("Il mulino", "Orari\nIl mulino apre alle nove.\nlunedì | chiuso")


def test_rich_text_gives_its_text_with_accents(tmp_path):
    (tmp_path / "a.rtf").write_bytes(
        rb"{\rtf1\ansi\ansicpg1252 Il mulino \b apre\b0  l\'e0.\par La domenica \u232? chiuso.\par}"
    )
    assert " ".join(read(tmp_path / "a.rtf").text.split()) == "Il mulino apre là. La domenica è chiuso."


def cell(*blocks: str) -> str:
    return f"<w:tc>{''.join(blocks)}</w:tc>"


def table(*cells: str) -> str:
    return f"<w:tbl><w:tr>{''.join(cells)}</w:tr></w:tbl>"


def item(text: str, level: int) -> str:
    place = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="1"/></w:numPr>'
    return f"<w:p><w:pPr>{place}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            table(cell(p("lunedì mattina"), p("martedì sera")), cell(p("aperto"))),
            "lunedì mattina martedì sera | aperto",
        ),
        (table(cell(p("Sede"), table(cell(p("via")), cell(p("città"))), p("fine"))), "Sede via | città fine"),
        (item("Frutta", 0) + item("mele", 1) + item("pere", 1) + item("Pane", 0), "Frutta\nmele\npere\nPane"),
        ("<w:p><w:r><w:t>Il mulino</w:t><w:br/><w:t>apre.</w:t></w:r></w:p>", "Il mulino apre."),
    ],
    ids=["paragraphs of a cell", "a table in a cell", "lists", "a line end"],
)
def test_blocks_of_a_word_document_are_parted_and_stand_once(tmp_path, body, text):
    assert read(docx(tmp_path / "a.docx", body)).text == text


def test_notes_comments_and_boxes_of_an_opendocument_text_cut_no_sentence(tmp_path):
    made = Document("text")
    made.body.clear()
    paragraph = Paragraph("Il mulino apre alle nove.")
    paragraph.insert_note(after="mulino", note_id="n1", citation="1", body="Quello vecchio.")
    paragraph.insert_annotation(after="apre", body="Davvero?", creator="Anna")
    frame = Frame.text_frame("Chiuso a Natale.", anchor_type="char")
    paragraph.append(frame)
    made.body.append(paragraph)
    made.save(tmp_path / "a.odt")
    assert read(tmp_path / "a.odt").text == "Il mulino apre alle nove.\nChiuso a Natale.\nQuello vecchio."


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (rb"{\rtf1\ansi\uc Il mulino \u232 e\uc1\u232 e.}", "Il mulino èè."),
        (rb"{\rtf1\ansi Il mulino {\deleted vecchio {\b molto} }nuovo.}", "Il mulino nuovo."),
        (rb"{\rtf1\ansi Il mulino \deleted vecchio \deleted0 nuovo.}", "Il mulino nuovo."),
        (rb"{\rtf1\mac perch\'8e \'8f cos\'93}", "perché è così"),
        (rb"{\rtf1\mac\ansicpg10000 perch\'8e}", "perché"),
        (rb"{\rtf1\pca perch\'82}", "perché"),
        (rb"{\rtf1\ansi Apre \u-10179?\u-8704? alle nove}", "Apre \U0001f600 alle nove"),
        (rb"{\rtf1\ansi Il mulino{\footnote\pard {\i Quello} vecchio.} apre.}", "Il mulino apre.\nQuello vecchio."),
        (
            rb"{\rtf1\ansi{\header{\shp{\shptxt Via}}}Apre{\shp{\*\shpinst{\shptxt Chiuso.}}} ora.}",
            "Apre ora.\nChiuso.",
        ),
        (b"\xef\xbb\xbf{\\rtf1\\ansi Il mulino.}", "Il mulino."),
        (rb"{\rtf1\ansi Il{\pict\bin3 }{{} mulino \u99999999? apre.}", "Il mulino ? apre."),
    ],
    ids=[
        "a bare uc",
        "deleted",
        "deleted up to a sign",
        "Mac",
        "the code page of Mac",
        "DOS",
        "halves of a character",
        "a note",
        "a text box",
        "a mark",
        "raw bytes",
    ],
)
def test_rich_text_gives_what_the_program_shows(tmp_path, source, text):
    (tmp_path / "a.rtf").write_bytes(source)
    found = whole_characters(read(tmp_path / "a.rtf").text)
    assert [" ".join(line.split()) for line in found.strip().splitlines()] == text.splitlines()


@pytest.mark.parametrize("name", ["a.docx", "a.odt"])
def test_a_package_of_another_format_is_unreadable(tmp_path, name):
    with pytest.raises(UnreadableError):
        read(package(tmp_path / name, "other", {"mimetype": "text"}))
