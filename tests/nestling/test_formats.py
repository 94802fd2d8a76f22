"""Each format is read from a file made here, as the programs of offices write it."""

import zipfile
from pathlib import Path

import pytest
from odfdo import Document, Table

from nestling.corpus.content import UnreadableError
from nestling.corpus.rejects import Reject
from nestling.corpus.sources import read_documents
from nestling.corpus.spreadsheets import read_spreadsheet
from tests.nestling.test_mail import MESSAGE
from tests.office import docx, p, read, xlsx


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


@pytest.mark.parametrize("name", ["a.xlsx", "a.ods"])
def test_a_cell_far_from_the_table_is_told_and_not_waited_for(tmp_path, name):
    path = far_cell(tmp_path / name)
    (left,) = read_spreadsheet(path, name, ("id", "text"), ["text"])
    assert left.detail.startswith("a sheet reaches to row 1048576 and column 16384 with 3 filled cells")


def far_cell(path: Path) -> Path:
    if path.suffix == ".xlsx":
        xlsx(path, ("id", "text"))
        change = ("</sheetData>", '<row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>')
    else:
        made, table = Document("spreadsheet"), Table("t")
        table.set_values([["id", "text"]])
        made.body.clear()
        made.body.append(table)
        made.save(path)
        cell, row = "<table:table-cell table:number-columns-repeated=", "<table:table-row"
        far = f'{cell}"16383"/><table:table-cell office:value-type="float" office:value="7"/></table:table-row>'
        empty = f'{row} table:number-rows-repeated="1048574">{cell}"16384"/></table:table-row>'
        change = ("</table:table>", f"{empty}{row}>{far}</table:table>")
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name).decode("utf-8", "surrogateescape") for name in packed.namelist()}
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in parts.items():
            if name.endswith(("sheet1.xml", "content.xml")):
                text = text.replace('<c t="inlineStr"', '<c r="A1" t="inlineStr"').replace(*change)
            packed.writestr(name, text.encode("utf-8", "surrogateescape"))
    return path


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
