import io
import os
import re
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from pydantic import ValidationError
from python_calamine import CalamineWorkbook

from nestling.desk.interface import PairTask, Pile, RetrievalTask
from nestling.desk.sheet_files import save, shown
from nestling.desk.sheet_ledger import deal
from nestling.desk.sheets import SheetDesk, SheetParams
from nestling.desk.wording import Wording
from nestling.errors import UserError

IT = Wording.load("it")
HOSTILE = [
    '=HYPERLINK("http://x.example";"clic")',
    "+39 02 1234",
    "-5 gradi",
    "@SUM(A1)",
    "\t=1+1",
    "\rcmd",
    "'=1+1",
    "{=1+1}",
    "#N/A",
    "TRUE",
    "1 maggio",
    "3/4",
    "1.5e3",
    "007",
    "_x0041_ e _x000D_",
    "\ufffe\uffff",
    '<c t="n"><f>1+1</f></c> ]]> &amp; <dcterms:modified>x</dcterms:modified>',
    'prezzo "fisso"; e, poi\nuna riga',
    "\u200f\u202eabc\u202c",
    "con\0nullo",
    "lungo " * 20_000,
    "città è così «più»",
]


def query(name, text="Chi macina?", passages=("p1", "p2", "p3"), position=1):
    shown_passages = tuple((passage, f"Testo di {passage}.") for passage in passages)
    return RetrievalTask(name, text, passages[0], shown_passages, {"position": position})


def pair(name):
    return PairTask(name, f"Frase {name}.", "Un'altra frase.")


def desk(folder, annotators=("anna",), referees=("rita",), language="it"):
    params = SheetParams(kind="sheets", folder=str(folder), annotators=list(annotators), referees=list(referees))
    return SheetDesk(params, Wording.load(language))


def push(folder, tasks, pile="active", people=1, **params):
    """Push one pile of round r and return how many tasks were there and how many were added."""
    (pushed,) = desk(folder, **params).push("r", [Pile(pile, people, tasks)])
    return pushed.there, pushed.added


def book(folder, person="anna"):
    return folder / "r" / f"{person}.xlsx"


def table(path, pile="active"):
    """Headings and rows of a worksheet, as values."""
    heads, *rows = load_workbook(path)[pile].iter_rows(values_only=True)
    return list(heads), [list(row) for row in rows]


def ids(path, pile="active"):
    return [row[0] for row in table(path, pile)[1]]


def retype(path, heads, rows, pile="active"):
    """Save a workbook as another program might: the same cells, and nothing else of the file."""
    anew = Workbook()
    anew.active.title = pile
    for row in [heads, *rows]:
        anew.active.append(row)
    anew.save(path)


def column(heads, name):
    return next(place for place, head in enumerate(heads, 1) if head and head.endswith(f"[{name}]"))


def fill(path, answers, pile="active"):
    """Type answers (record_id to column to cell) into a worksheet and save it."""
    workbook = load_workbook(path, rich_text=True)
    sheet = workbook[pile]
    heads = [cell.value for cell in sheet[1]]
    for row in sheet.iter_rows(min_row=2):
        for name, value in answers.get(row[0].value, {}).items():
            cell = row[column(heads, name) - 1]
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"  # a cell that is formatted as text
    workbook.save(path)


def said(folder, **params):
    """(annotator, record) to the values of submitted answers."""
    return {(one.annotator, one.record_id): one.values for one in desk(folder, **params).pull("r").given}


def refused(folder, **params):
    with pytest.raises(UserError) as raised:
        desk(folder, **params).pull("r")
    return str(raised.value).replace(str(folder), "")


def answer(folder, **cells):
    """What one row with these cells gives: its values, or the error's sentence."""
    push(folder, [query("r1")])
    fill(book(folder), {"r1": cells})
    return said(folder)["anna", "r1"]


GOOD = {"query_quality": "Buona", "relevant": "A"}


def test_a_person_gets_one_workbook_with_a_sheet_a_pile_and_guidelines(tmp_path):
    piles = [Pile("audit", 1, [query("r1")]), Pile("active", 1, [query("r2")]), Pile("sts", 1, [pair("s1")])]
    desk(tmp_path).push("r", piles)
    assert sorted(path.name for path in (tmp_path / "r").glob("*.xlsx")) == ["anna.xlsx"]
    assert load_workbook(book(tmp_path)).sheetnames == ["Istruzioni", "audit", "active", "Istruzioni sts", "sts"]


def test_answers_stand_beside_the_query_and_the_ids_are_hidden(tmp_path):
    push(tmp_path, [query("r1"), query("r2", passages=("p1", "p2"), position=2)])
    heads, rows = table(book(tmp_path))
    asked = "Com'è la domanda? [query_quality]", "Quali passaggi rispondono alla domanda? [relevant]"
    assert heads[:5] == ["r/active/anna [record_id]", "N.", "Domanda", *asked]
    assert heads[5:8] == ["Passaggio A", "Passaggio B", "Passaggio C"]
    assert [re.search(r"\[(\w+)\]$", head)[1] for head in heads[8:]] == ["rewrite", "comment"]
    assert rows[1] == ["r2", 2, "Chi macina?", None, None, "Testo di p1.", "Testo di p2.", None, None, None]
    sheet = load_workbook(book(tmp_path))["active"]
    assert sheet.column_dimensions["A"].hidden
    assert sheet.freeze_panes == "F2"
    assert all(cell.alignment.wrap_text for row in sheet for cell in row)


def test_only_answers_can_be_edited_and_no_password_locks_the_rest(tmp_path):
    push(tmp_path, [query("r1")])
    workbook = load_workbook(book(tmp_path))
    open_cells = [cell for row in workbook["active"] for cell in row if not cell.protection.locked]
    heads = [workbook["active"].cell(1, cell.column).value for cell in open_cells]
    assert [re.search(r"\[(\w+)\]$", head)[1] for head in heads] == ["query_quality", "relevant", "rewrite", "comment"]
    assert {cell.number_format for cell in open_cells} == {"@"}  # what is typed stays as it is typed
    assert len(workbook.worksheets) == 2
    assert all(sheet.protection.sheet and sheet.protection.password is None for sheet in workbook)


def test_qualities_letters_and_grades_are_offered(tmp_path):
    push(tmp_path, [query("r1"), query("r2", passages=("p1",)), query("r3")])
    push(tmp_path, [pair("s1")], pile="sts")
    workbook = load_workbook(book(tmp_path))
    offered = {
        str(one.sqref): (one.formula1, one.showErrorMessage)
        for pile in ("active", "sts")
        for one in workbook[pile].data_validations.dataValidation
    }
    assert offered == {
        "D2:D4": ('"Buona,Vaga,Senza risposta,Lingua sbagliata"', True),
        "E2 E4": ('"A,B,C,nessuno"', False),  # several letters may be typed
        "E3": ('"A,nessuno"', False),
        "E2": ('"0,1,2,3,4,5"', False),
    }


@pytest.mark.parametrize("language", ["ca", "en", "es", "it", "pt"])
def test_what_to_do_is_told_in_the_annotators_language(tmp_path, language):
    words = Wording.load(language)
    push(tmp_path, [query("r1")], language=language)
    push(tmp_path, [pair("s1")], pile="sts-adjudication", language=language)
    for person, title, told in (
        ("anna", words.sheet.guidelines, [words.guidelines.retrieval, words.sheet.retrieval]),
        ("rita", f"{words.sheet.guidelines} sts-adjudication", [words.guidelines.adjudication, words.guidelines.sts]),
    ):
        sheet = load_workbook(book(tmp_path, person))[title]
        lines = "\n".join(str(cell.value) for row in sheet for cell in row if cell.value)
        for text in told:
            assert re.sub(r"\W", "", re.sub(r"(?m)^\|---.*", "", text)) in re.sub(r"\W", "", lines)
    assert not re.search(r"\*|^#|\|", lines, re.MULTILINE)


def test_the_same_queue_makes_the_same_bytes(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        push(folder, [query("r1"), query("r2")])
        push(folder, [query("r1"), query("r2"), query("r3")])
    assert book(tmp_path / "one").read_bytes() == book(tmp_path / "two").read_bytes()


def test_answers_come_back_with_what_was_shown(tmp_path):
    push(tmp_path, [query("r1"), query("r2")])
    push(tmp_path, [pair("s1")], pile="sts")
    fill(book(tmp_path), {"r1": {"query_quality": "Vaga", "relevant": "C, A", "rewrite": "Chi macina il grano?"}})
    fill(book(tmp_path), {"s1": {"similarity": "3", "comment": "quasi"}}, "sts")
    pulled = desk(tmp_path).pull("r")
    assert said(tmp_path) == {
        ("anna", "r1"): {"query_quality": "vague", "relevant": ["p1", "p3"], "rewrite": "Chi macina il grano?"},
        ("anna", "s1"): {"similarity": 3, "comment": "quasi"},
    }
    assert [(one.record_id, one.query, one.passage_id, one.candidates) for one in pulled.shown] == [
        ("r1", "Chi macina?", "p1", ("p2", "p3"))
    ]
    assert {name: (size.records, size.people) for name, size in pulled.sizes.items()} == {
        "active": (2, 1),
        "sts": (1, 1),
    }


def test_an_answer_is_as_old_as_its_file_and_more_work_does_not_age_it(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
    os.utime(book(tmp_path), (moment, moment))
    push(tmp_path, [query("r1"), query("r2")])
    assert [one.submitted_at for one in desk(tmp_path).pull("r").given] == ["2026-11-20T10:00:00Z"]


def test_a_row_without_a_required_answer_is_a_draft_and_an_empty_one_is_nothing(tmp_path):
    push(tmp_path, [query("r1"), query("r2"), query("r3")])
    fill(book(tmp_path), {"r1": {"relevant": "B"}, "r2": {"comment": " "}, "r3": GOOD})
    given_now = desk(tmp_path).pull("r").given
    assert [(one.record_id, one.status, bool(one.values)) for one in given_now] == [
        ("r1", "draft", False),
        ("r3", "submitted", True),
    ]


# what a spreadsheet program makes of a text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text_and_hurts_no_answer(tmp_path, text):
    tasks = [RetrievalTask("r1", text, "p1", (("p2", text), ("p1", text)))]
    push(tmp_path, tasks)
    push(tmp_path, [*tasks, query("r2")])  # opened and saved again
    fill(book(tmp_path), {"r1": GOOD})
    assert said(tmp_path)["anna", "r1"] == {"query_quality": "good", "relevant": ["p2"]}
    assert desk(tmp_path).pull("r").shown[0].query == text
    sheet = load_workbook(book(tmp_path))["active"]
    assert {
        cell.data_type for row in sheet for cell in row if cell.value is not None and cell.column_letter != "B"
    } == {"s"}
    other = CalamineWorkbook.from_path(book(tmp_path)).get_sheet_by_name("active").to_python()
    assert {cell.strip() for cell in (other[1][2], *other[1][5:7])} == {shown(text, IT.sheet.cut).strip()}
    with zipfile.ZipFile(book(tmp_path)) as archive:
        assert not any(b"<f>" in archive.read(name) for name in archive.namelist())


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_fits_into_a_cell(text):
    workbook, file = Workbook(), io.BytesIO()
    workbook.active["A1"].value = shown(text, "…")
    workbook.active["A1"].data_type = "s"
    workbook.save(file)
    assert (load_workbook(file).active["A1"].value or "").strip() == shown(text, "…").strip()


def test_a_text_longer_than_a_cell_is_cut_where_everybody_sees_it():
    assert shown("x" * 32_000, IT.sheet.cut) == "x" * 32_000
    for long in ("x" * 100_000, "🦉" * 40_000, ",=" * 50_000, "\n" * 200_000):
        cell = shown(long, IT.sheet.cut)
        assert cell.endswith(IT.sheet.cut)
        assert len(cell.encode("utf-16-le")) <= 2 * 32_767


@pytest.mark.parametrize("rewrite", ["=chi macina?", "'=chi macina?", "- chi\n- dove", "'80, che musica?", "  due  "])
def test_a_rewrite_comes_back_as_it_was_typed(tmp_path, rewrite):
    assert answer(tmp_path, **GOOD, rewrite=rewrite)["rewrite"] == rewrite.replace("'=", "=")


def test_line_ends_as_excel_writes_them_are_line_ends(tmp_path):
    assert answer(tmp_path, **GOOD, rewrite="chi_x000D_\nmacina?")["rewrite"] == "chi\nmacina?"


def test_a_record_whose_name_looks_like_a_number_keeps_it(tmp_path):
    name = "12345678901234567890"
    push(tmp_path, [query(name)])
    fill(book(tmp_path), {name: GOOD})
    assert list(said(tmp_path)) == [("anna", name)]
    assert push(tmp_path, [query(name)]) == (1, 0)


# pushing again


def test_pushing_again_adds_nothing_and_changes_no_byte(tmp_path):
    assert push(tmp_path, [query("r1"), query("r2")], people=2, annotators=("anna", "bo")) == (0, 2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert push(tmp_path, [query("r1"), query("r2")], people=2, annotators=("anna", "bo")) == (2, 0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


def test_rows_are_added_below_and_whatever_a_person_did_stays(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD | {"rewrite": "=chi?"}})
    workbook = load_workbook(book(tmp_path), rich_text=True)
    sheet = workbook["active"]
    sheet["L1"], sheet["L2"], sheet["L3"] = "mine", "=1+1", 7.5
    sheet["M4"].number_format = "0.00"  # a blank cell with a format, of which some programs write a thousand
    sheet["C2"].font = Font(bold=True)
    sheet.column_dimensions["C"].width = 12
    workbook.create_sheet("appunti")["A1"] = "note"
    workbook.save(book(tmp_path))
    before = [[cell.value for cell in row] for row in sheet.iter_rows(max_row=3)]
    assert push(tmp_path, [query("r1"), query("r2", passages=("p4", "p5", "p6"))]) == (1, 1)
    after = load_workbook(book(tmp_path))
    rows = [[cell.value for cell in row] for row in after["active"].iter_rows()]
    assert [row[: len(before[0])] for row in rows[:3]] == before
    assert rows[3][0] == "r2"
    assert after["active"]["C2"].font.b
    assert after["active"].column_dimensions["C"].width == 12
    assert after["appunti"]["A1"].value == "note"
    assert said(tmp_path) == {("anna", "r1"): {"query_quality": "good", "relevant": ["p1"], "rewrite": "=chi?"}}


def test_a_query_with_more_passages_gets_columns_of_its_own(tmp_path):
    push(tmp_path, [query("r1", passages=("p1", "p2"))])
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), heads, [[*row, "a note beside the table"] for row in rows])
    push(tmp_path, [query("r2")])
    heads, rows = table(book(tmp_path))
    assert heads[-2:] == [None, "Passaggio C"]
    assert (rows[0][-2], rows[1][-1]) == ("a note beside the table", "Testo di p3.")
    fill(book(tmp_path), {"r2": {"query_quality": "good", "relevant": "c"}})
    assert said(tmp_path)["anna", "r2"]["relevant"] == ["p3"]


def test_a_row_is_added_outside_of_merged_cells(tmp_path):
    push(tmp_path, [query("r1")])
    workbook = load_workbook(book(tmp_path))
    workbook["active"].merge_cells("A4:F6")
    workbook.save(book(tmp_path))
    push(tmp_path, [query("r1"), query("r2")])
    assert ids(book(tmp_path))[-1] == "r2"


def test_a_deleted_row_and_a_deleted_file_are_written_anew(tmp_path):
    tasks, people = [query("r1"), query("r2")], {"annotators": ("anna", "bo")}
    push(tmp_path, tasks, people=2, **people)
    workbook = load_workbook(book(tmp_path))
    workbook["active"].delete_rows(2)
    workbook.save(book(tmp_path))
    book(tmp_path, "bo").unlink()
    assert "bo.xlsx is missing: put it back, or `nestling review push` to write it anew" in refused(tmp_path, **people)
    assert push(tmp_path, tasks, people=2, **people) == (0, 2)
    assert [sorted(ids(book(tmp_path, who))) for who in ("anna", "bo")] == [["r1", "r2"]] * 2


def test_a_sheet_that_is_gone_is_named(tmp_path):
    desk(tmp_path).push("r", [Pile("audit", 1, [query("r1")]), Pile("active", 1, [query("r2")])])
    workbook = load_workbook(book(tmp_path))
    workbook.remove(workbook["active"])
    workbook.save(book(tmp_path))
    assert "anna.xlsx has no sheet active: put it back" in refused(tmp_path)
    assert push(tmp_path, [query("r2")]) == (0, 1)
    assert desk(tmp_path).pull("r").given == []


@pytest.mark.parametrize("lost", ["active.records.jsonl", "anna.xlsx", "bo.xlsx"])
def test_a_push_that_was_killed_between_files_is_ended_by_the_next(tmp_path, lost):
    tasks = [query(f"r{number}") for number in range(5)]
    push(tmp_path, tasks, annotators=("anna", "bo"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    (tmp_path / "r" / lost).unlink()
    push(tmp_path, tasks, annotators=("anna", "bo"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


def test_without_the_ledger_no_letter_is_taken_for_a_passage(tmp_path):
    push(tmp_path, [query("r1")])
    (tmp_path / "r" / "active.records.jsonl").unlink()
    assert "active.records.jsonl is missing, which tells what the letters stand for" in refused(tmp_path)
    (tmp_path / "r" / "active.records.jsonl").write_text('{"record_id": "r1"}\n', encoding="utf-8")
    assert "active.records.jsonl: line 1 is damaged" in refused(tmp_path)


@pytest.mark.parametrize("lock", [".~lock.anna.xlsx#", "~$anna.xlsx"])
def test_a_file_open_in_a_spreadsheet_program_is_left_alone(tmp_path, lock):
    push(tmp_path, [query("r1")])
    before = book(tmp_path).read_bytes()
    (tmp_path / "r" / lock).touch()
    with pytest.raises(UserError, match="is open in a spreadsheet program"):
        push(tmp_path, [query("r1"), query("r2")])
    assert book(tmp_path).read_bytes() == before
    assert push(tmp_path, [query("r1")]) == (1, 0)  # nothing to add
    assert desk(tmp_path).pull("r").given == []


def test_what_was_saved_while_rows_were_to_be_added_is_not_lost(tmp_path):
    push(tmp_path, [query("r1")])
    read_at = book(tmp_path).stat().st_mtime_ns
    fill(book(tmp_path), {"r1": GOOD})
    os.utime(book(tmp_path), ns=(0, read_at + 1))
    with pytest.raises(UserError, match="was saved while rows were to be added to it: push again"):
        save(Workbook(), book(tmp_path), read_at)
    assert list(said(tmp_path)) == [("anna", "r1")]


# what comes back, and under which name


@pytest.mark.parametrize("name", ["anna (1).xlsx", "Copia di fatto.XLSX", "r-anna.xlsx"])
def test_a_workbook_is_known_by_what_stands_in_it_and_added_to_where_it_lies(tmp_path, name):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    book(tmp_path).rename(tmp_path / "r" / name)
    assert list(said(tmp_path)) == [("anna", "r1")]
    push(tmp_path, [query("r1"), query("r2")])
    assert not book(tmp_path).exists()
    assert ids(tmp_path / "r" / name) == ["r1", "r2"]


def test_two_workbooks_of_one_person_are_both_named(tmp_path):
    push(tmp_path, [query("r1")])
    (tmp_path / "r" / "anna (1).xlsx").write_bytes(book(tmp_path).read_bytes())
    sentence = (
        "/r/anna (1).xlsx and /r/anna.xlsx are both anna's: keep the one that counts, and move the other elsewhere"
    )
    assert refused(tmp_path) == sentence
    with pytest.raises(UserError, match="are both anna's"):
        push(tmp_path, [query("r1"), query("r2")])


def test_a_workbook_under_another_persons_name_is_refused_and_not_written_over(tmp_path):
    push(tmp_path, [query("r1")], annotators=("anna",))
    fill(book(tmp_path), {"r1": GOOD})
    book(tmp_path).rename(book(tmp_path, "bo"))
    with pytest.raises(UserError, match=r"bo\.xlsx holds somebody else's records: call it as the person is called"):
        push(tmp_path, [query("r2")], annotators=("anna", "bo"))
    book(tmp_path, "bo").rename(book(tmp_path))
    assert list(said(tmp_path)) == [("anna", "r1")]


def test_a_workbook_of_another_round_is_refused(tmp_path):
    push(tmp_path, [query("r1")])
    desk(tmp_path).push("r2", [Pile("active", 1, [query("r1")])])
    book(tmp_path).write_bytes((tmp_path / "r2" / "anna.xlsx").read_bytes())
    assert "anna.xlsx, sheet active, is of the round r2: move the file to the folder of that round" in refused(
        tmp_path
    )


def test_sheets_of_two_people_in_one_workbook_are_refused(tmp_path):
    desk(tmp_path).push("r", [Pile("audit", 1, [query("r1")]), Pile("active", 1, [query("r2")])])
    workbook = load_workbook(book(tmp_path))
    workbook["audit"]["A1"].value = "r/audit/bo [record_id]"
    workbook.save(book(tmp_path))
    assert "anna.xlsx holds records of anna and bo: each person has a workbook" in refused(tmp_path)


def test_a_lost_heading_of_the_ids_is_told_letter_by_letter(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), ["record_id", *heads[1:]], rows)
    assert "has lost the heading of its first column: put back 'r/active/NAME [record_id]'" in refused(tmp_path)
    retype(book(tmp_path), ["r/active/anna [record_id]", *heads[1:]], rows)
    assert list(said(tmp_path)) == [("anna", "r1")]


def test_a_renamed_tab_is_known_and_a_doubled_one_refused(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    workbook = load_workbook(book(tmp_path))
    workbook["active"].title = "le mie"
    workbook.save(book(tmp_path))
    assert list(said(tmp_path)) == [("anna", "r1")]
    workbook.copy_worksheet(workbook["le mie"])
    workbook.save(book(tmp_path))
    assert "sheet le mie Copy, is the sheet le mie again: delete one of the two" in refused(tmp_path)


@pytest.mark.parametrize("name", ["active.anna.csv", "anna.ods", "anna.xls", "Anna.XLSM"])
def test_another_format_beside_is_not_overlooked(tmp_path, name):
    push(tmp_path, [query("r1")])
    (tmp_path / "r" / name).touch()
    assert f"{name} is not read: save it as an Excel workbook (.xlsx) here" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no workbook", b"record_id;Domanda\r\n", "half", "parts", "xml"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path, content):
    push(tmp_path, [query("r1")])
    whole = book(tmp_path).read_bytes()
    if content == "half":
        content = whole[: len(whole) // 2]
    if isinstance(content, str):
        with zipfile.ZipFile(book(tmp_path)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        cut = {"xl/worksheets/sheet2.xml": parts["xl/worksheets/sheet2.xml"][:900]} if content == "xml" else {}
        with zipfile.ZipFile(book(tmp_path), "w") as archive:
            for name, part in (parts | cut).items():
                if content == "xml" or "workbook" not in name:
                    archive.writestr(name, part)
        content = book(tmp_path).read_bytes()
    book(tmp_path).write_bytes(content)
    assert "anna.xlsx cannot be opened as a workbook" in refused(tmp_path)
    with pytest.raises(UserError, match="cannot be opened as a workbook"):
        push(tmp_path, [query("r1"), query("r2")])
    assert book(tmp_path).read_bytes() == content


def test_a_workbook_of_something_else_is_named(tmp_path):
    push(tmp_path, [query("r1")])
    Workbook().save(book(tmp_path, "spese"))
    assert "spese.xlsx holds records of nobody" in refused(tmp_path)


def test_a_wrong_size_that_a_program_wrote_hides_no_cell(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    with zipfile.ZipFile(book(tmp_path)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(book(tmp_path), "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, re.sub(rb'<dimension ref="[^"]*"/>', b'<dimension ref="A1"/>', part))
    assert list(said(tmp_path)) == [("anna", "r1")]


def as_excel_saves_it(path):
    """Move all texts to a table of their own, and letters in several formats into runs."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    texts = []

    def shared(cell):
        texts.append(re.sub("<t>A</t>", "<r><t>A</t></r><r><rPr><b/></rPr><t>, c</t></r>", cell[2]))
        return f'{cell[1]}t="s"><v>{len(texts) - 1}</v></c>'

    for name in [name for name in parts if "worksheets/sheet" in name]:
        parts[name] = re.sub(
            r'(<c r="[A-Z0-9]+"[^>]*?)t="inlineStr"><is>(.+?)</is></c>', shared, parts[name], flags=re.DOTALL
        )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">' + "".join(f"<si>{text}</si>" for text in texts) + "</sst>"
    types = parts["[Content_Types].xml"]
    added = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/></Types>'
    parts["[Content_Types].xml"] = types.replace("</Types>", added)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def test_a_file_as_excel_saves_it_is_read_and_added_to(tmp_path):
    push(tmp_path, [query("r1", "=Chi\nmacina? <b>")])
    fill(book(tmp_path), {"r1": GOOD | {"rewrite": "  due  "}})
    as_excel_saves_it(book(tmp_path))
    wanted = {("anna", "r1"): {"query_quality": "good", "relevant": ["p1", "p3"], "rewrite": "  due  "}}
    assert said(tmp_path) == wanted
    push(tmp_path, [query("r1", "=Chi\nmacina? <b>"), query("r2")])
    assert said(tmp_path) == wanted
    assert ids(book(tmp_path)) == ["r1", "r2"]


# what was shown


def test_a_record_shown_with_other_passages_is_another_record(tmp_path):
    push(tmp_path, [query("r1")])
    with pytest.raises(UserError, match="r1 was shown with other passages"):
        push(tmp_path, [query("r1", passages=("p1", "p9"))])


def test_letters_mean_what_they_meant_when_they_were_shown(tmp_path):
    push(tmp_path, [query("r1")])
    book(tmp_path).unlink()
    push(tmp_path, [query("r1", passages=("p3", "p1", "p2"))])
    assert table(book(tmp_path))[1][0][5] == "Testo di p1."


def test_there_are_26_letters(tmp_path):
    with pytest.raises(UserError, match="27 passages and there are 26 letters"):
        push(tmp_path, [query("r1", passages=[f"p{number}" for number in range(27)])])


def test_a_pile_without_tasks_is_no_book(tmp_path):
    assert push(tmp_path, []) == (0, 0)
    assert refused(tmp_path) == "/r holds no sheets: `nestling review push` writes them, or correct review.round"


# who judges what

PEOPLE = st.lists(st.sampled_from(["anna", "bo", "chiara", "duc", "elif"]), min_size=1, unique=True)


def records(size):
    return [f"r{number}" for number in range(size)]


def loads(dealt, people):
    return [sum(person in holders for holders in dealt.values()) for person in people]


@given(st.integers(0, 40), PEOPLE, st.data())
def test_every_record_goes_to_as_many_different_people_and_work_is_even(size, people, data):
    wanted = data.draw(st.integers(1, len(people)))
    dealt = deal(records(size), {}, people, wanted)
    assert all(len(set(holders)) == len(holders) == wanted for holders in dealt.values())
    assert max(loads(dealt, people)) - min(loads(dealt, people)) <= 1
    assert dealt == deal(records(size), {}, people[::-1], wanted)


@given(st.integers(0, 30), st.integers(0, 30), PEOPLE)
def test_more_records_leave_what_was_dealt_and_keep_work_even(size, more, people):
    before = deal(records(size), {}, people, 1)
    after = deal(records(size + more), before, people, 1)
    assert {name: after[name] for name in before} == before
    assert max(loads(after, people)) - min(loads(after, people)) <= 1


@given(st.integers(1, 30), PEOPLE)
def test_a_new_person_takes_over_nothing_and_gets_what_is_new_until_work_is_even(size, people):
    before = deal(records(size), {}, people, 1)
    after = deal(records(3 * size), before, [*people, "new"], 1)
    assert {name: after[name] for name in before} == before
    assert max(loads(after, [*people, "new"])) - min(loads(after, [*people, "new"])) <= 1


def test_a_pile_for_two_is_dealt_to_two(tmp_path):
    tasks = [query(f"r{number}") for number in range(3)]
    push(tmp_path, tasks, pile="audit", people=2, annotators=("anna", "bo", "chiara"))
    dealt = [name for who in ("anna", "bo", "chiara") for name in ids(book(tmp_path, who), "audit")]
    assert sorted(dealt) == ["r0", "r0", "r1", "r1", "r2", "r2"]


def test_who_leaves_hands_on_what_is_not_answered(tmp_path):
    tasks = [query("r1"), query("r2")]
    push(tmp_path, tasks, annotators=("bo",))
    fill(book(tmp_path, "bo"), {"r1": GOOD})
    push(tmp_path, tasks, annotators=("anna",))
    assert ids(book(tmp_path)) == ["r2"]
    assert list(said(tmp_path)) == [("bo", "r1")]


def test_a_pile_that_needs_more_people_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"audit needs 2 people and review\.desk\.annotators names 1"):
        push(tmp_path, [query("r1")], pile="audit", people=2)


def test_disputes_go_to_referees(tmp_path):
    push(
        tmp_path, [RetrievalTask("r1", "Chi macina?", "p1", (("p1", "Testo."),), said="anna: A")], pile="adjudication"
    )
    heads, rows = table(book(tmp_path, "rita"), "adjudication")
    assert rows[0][heads.index(IT.fields.said)] == "anna: A"
    assert not book(tmp_path).exists()


@pytest.mark.parametrize("name", ["", "../bo", ".bo", "bo/x", "bo\n", "bò", "x" * 101])
def test_names_that_make_no_file_are_refused(tmp_path, name):
    with pytest.raises(ValidationError, match="is to be the name of a file"):
        desk(tmp_path, annotators=(name,))
    with pytest.raises(UserError, match=r"review\.round is"):
        desk(tmp_path).push(name, [])


def test_names_that_are_one_on_some_disks_are_refused(tmp_path):
    with pytest.raises(ValidationError, match="stands there twice"):
        desk(tmp_path, annotators=("Bo", "bo"))


# what people type


@pytest.mark.parametrize("cell", ["good", " GOOD ", "Buona", "buona", "BUONA ", "ｇｏｏｄ"])
def test_a_quality_goes_by_its_word_in_either_language(tmp_path, cell):
    assert answer(tmp_path, query_quality=cell, relevant="A")["query_quality"] == "good"


@pytest.mark.parametrize("cell", ["senza risposta", "not_answerable", "not answerable", "Senza  Risposta"])
def test_blanks_and_underlines_in_a_quality_do_not_matter(tmp_path, cell):
    assert answer(tmp_path, query_quality=cell, relevant="none")["query_quality"] == "not_answerable"


@pytest.mark.parametrize(
    ("cell", "passages"),
    [
        ("A, C", ["p1", "p3"]),
        ("a c", ["p1", "p3"]),
        ("C;A", ["p1", "p3"]),
        (" b ", ["p2"]),
        ("A\nB", ["p1", "p2"]),
        ("A,A,", ["p1"]),
        ("Ａ，Ｃ", ["p1", "p3"]),
        ("ａ、ｂ", ["p1", "p2"]),
        ("none", []),
        ("NESSUNO", []),
        ("nessuno dei passaggi", []),
    ],
)
def test_passages_go_by_their_letters(tmp_path, cell, passages):
    assert answer(tmp_path, query_quality="good", relevant=cell)["relevant"] == passages


@pytest.mark.parametrize(
    ("cell", "grade"),
    [
        ("0", 0),
        ("5", 5),
        ("3,0", 3),
        ("2.5", 2.5),
        (" 4 ", 4),
        ("4,25", 4.25),
        ("３", 3),
        (3, 3),
        (3.0, 3),
        (2.5, 2.5),
    ],
)
def test_a_grade_is_a_number_with_comma_or_point(tmp_path, cell, grade):
    push(tmp_path, [pair("s1")], pile="sts")
    fill(book(tmp_path), {"s1": {"similarity": cell}}, "sts")
    assert said(tmp_path) == {("anna", "s1"): {"similarity": grade}}


@pytest.mark.parametrize("cell", ["6", "5,5", "-1", "tre", "2-3", "02-mag", "1e0", "٣", "", "5.", "=3", 6, True])
def test_no_grade_is_guessed(tmp_path, cell):
    push(tmp_path, [pair("s1")], pile="sts")
    fill(book(tmp_path), {"s1": {"similarity": cell, "comment": "x"}}, "sts")
    if cell:
        assert f"[similarity]': {str(cell)!r} is not a number from 0 to 5" in refused(tmp_path).replace('"', "'")
    else:
        assert said(tmp_path) == {("anna", "s1"): {}}


@pytest.mark.parametrize("cell", ["D", "AC", "A, nessuno", "A e C", "A, B e C", "?", ",", "A-C", "1"])
def test_no_letter_is_guessed(tmp_path, cell):
    push(tmp_path, [query("r1", passages=[f"p{n}" for n in range(9 if " e " in cell else 3)])])
    fill(book(tmp_path), {"r1": {"query_quality": "good", "relevant": cell}})
    assert re.search(
        rf"row 2, column .*: {re.escape(repr(cell))} is not letters from A to .*, or nessuno$", refused(tmp_path)
    )


@pytest.mark.parametrize("value", ["=3", datetime(2026, 3, 2), "#NAME?"])
def test_what_a_program_made_of_a_grade_is_not_taken_for_one(tmp_path, value):
    push(tmp_path, [pair("s1")], pile="sts")
    workbook = load_workbook(book(tmp_path))
    cell = workbook["sts"].cell(2, column(table(book(tmp_path), "sts")[0], "similarity"))
    cell.number_format, cell.value = "General", value
    assert cell.data_type in ("f", "d", "e")
    workbook.save(book(tmp_path))
    assert f"{str(value)!r} is not a number from 0 to 5" in refused(tmp_path)


def test_numbers_in_free_text_are_what_they_show(tmp_path):
    assert answer(tmp_path, **GOOD, rewrite=80.0, comment=1.5) == {
        "query_quality": "good",
        "relevant": ["p1"],
        "rewrite": "80",
        "comment": "1.5",
    }


def test_all_that_cannot_be_read_is_told_at_once_but_no_more_than_ten(tmp_path):
    push(tmp_path, [query(f"r{number}") for number in range(12)])
    bad = {f"r{number}": {"query_quality": "boh", "relevant": "A"} for number in range(11)}
    fill(book(tmp_path), bad | {"r11": GOOD})
    sentence = refused(tmp_path)
    assert re.findall(r"row (\d+)", sentence) == [str(row) for row in range(2, 12)]
    assert sentence.startswith(
        "/r/anna.xlsx, sheet active, cannot be taken as it is: row 2, column \"Com'è la domanda?"
    )
    assert sentence.endswith("; and 1 more")


def test_columns_may_be_moved_and_added_and_headings_shortened(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": GOOD})
    heads, rows = table(book(tmp_path))
    renamed = [{"Domanda": "Frage"}.get(head, head.replace("Com'è la domanda? ", "")) for head in heads]
    retype(book(tmp_path), ["mine", *renamed[::-1]], [["x", *row[::-1]] for row in rows])
    assert said(tmp_path)["anna", "r1"] == {"query_quality": "good", "relevant": ["p1"]}
    push(tmp_path, [query("r1"), query("r2")])
    assert table(book(tmp_path))[1][1][-2:] == ["r2", "Chi macina?"]  # the column that was renamed is there anew


def test_another_language_reads_the_same_file(tmp_path):
    push(tmp_path, [query("r1")])
    fill(book(tmp_path), {"r1": {"query_quality": "good", "relevant": "none"}})
    assert said(tmp_path, language="es")["anna", "r1"] == {"query_quality": "good", "relevant": []}


@pytest.mark.parametrize(
    ("lost", "said_of_it"), [(0, "has lost the heading of its first column"), (4, "has no column relevant")]
)
def test_a_column_that_is_gone_is_named(tmp_path, lost, said_of_it):
    push(tmp_path, [query("r1")])
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), heads[:lost] + heads[lost + 1 :], [row[:lost] + row[lost + 1 :] for row in rows])
    assert said_of_it in refused(tmp_path)


def test_a_column_that_stands_there_twice_is_named(tmp_path):
    push(tmp_path, [query("r1")])
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), [*heads, "relevant"], rows)
    assert "has the column relevant twice" in refused(tmp_path)


@pytest.mark.parametrize("texts", [("Chi macina?", "Dove si sale?"), ("谁磨面粉？", "从哪里上山？")])
def test_rows_may_be_sorted_but_not_a_single_column(tmp_path, texts):
    push(tmp_path, [query("r1", texts[0]), query("r2", texts[1])])
    fill(book(tmp_path), {"r1": GOOD, "r2": {"query_quality": "vague", "relevant": "B"}})
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), heads, [[], *rows[::-1], [None] * len(heads)])
    assert said(tmp_path)["anna", "r2"]["query_quality"] == "vague"
    retype(book(tmp_path), heads, [[one[0], *two[1:]] for one, two in zip(rows, rows[::-1], strict=True)])
    assert f"row 2, column 'Domanda': '{texts[1]}' is not what record r1 shows" in refused(tmp_path)


def test_a_row_of_no_record_is_told_unless_nothing_is_said_in_it(tmp_path):
    push(tmp_path, [query("r1")])
    heads, rows = table(book(tmp_path))
    retype(book(tmp_path), heads, [*rows, ["total", 12]])
    assert desk(tmp_path).pull("r").given == []
    retype(book(tmp_path), heads, [["r9", 1, "Chi macina?", "good", "A"]])
    assert "'r9' is not a record of this pile" in refused(tmp_path)


def test_a_row_that_stands_there_twice_must_say_the_same(tmp_path):
    push(tmp_path, [query("r1")])
    heads, (row,) = table(book(tmp_path))
    retype(book(tmp_path), heads, [row, [*row[:3], "good", "A"], [*row[:3], "Buona", "a"]])
    assert said(tmp_path)["anna", "r1"]["relevant"] == ["p1"]
    retype(book(tmp_path), heads, [[*row[:3], "good", "A"], [*row[:3], "good", "B"]])
    assert "rows 2 and 3 answer the same record differently" in refused(tmp_path)
