import csv
import io
import os
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nestling.desk.interface import PairTask, Pile, RetrievalTask
from nestling.desk.sheet_files import add_rows, read_sheet, shown, typed
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
    'prezzo "fisso"; e, poi\nuna riga',
    "\u200f\u202eabc\u202c",
    "con\0nullo",
    "lungo " * 20_000,
    "1 maggio",
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


def sheet(folder, person="anna", pile="active"):
    return folder / "r" / f"{pile}.{person}.csv"


def table(path, delimiter=";"):
    """Headings and rows as a spreadsheet program sees them."""
    heads, *rows = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), delimiter=delimiter)
    return heads, rows


def save(path, heads, rows, delimiter=";", encoding="utf-8-sig"):
    """Save as a spreadsheet program does."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows([heads, *rows])
    path.write_bytes(text.getvalue().encode(encoding))


def fill(path, answers, **saved):
    """Type answers (record_id to column to cell) into a sheet and save it."""
    heads, rows = table(path)
    for row in rows:
        for column, cell in answers.get(row[0].removeprefix("'"), {}).items():
            row[next(i for i, head in enumerate(heads) if head.endswith(f"[{column}]"))] = cell
    save(path, heads, rows, **saved)


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
    fill(sheet(folder), {"r1": cells})
    return said(folder)["anna", "r1"]


GOOD = {"query_quality": "Buona", "relevant": "A"}


def test_a_sheet_opens_well_in_a_program_of_its_language(tmp_path):
    push(tmp_path, [query("r1"), query("r2", passages=("p1", "p2"))])
    assert sheet(tmp_path).read_bytes().startswith(b'\xef\xbb\xbf"record_id";"N.";"Domanda";"Passaggio A";')
    heads, rows = table(sheet(tmp_path))
    assert heads[:6] == ["record_id", "N.", "Domanda", "Passaggio A", "Passaggio B", "Passaggio C"]
    assert [re.search(r"\[(\w+)\]$", head)[1] for head in heads[6:]] == [
        "query_quality",
        "relevant",
        "rewrite",
        "comment",
    ]
    assert rows[1] == ["r2", "1", "Chi macina?", "Testo di p1.", "Testo di p2.", "", "", "", "", ""]


def test_english_programs_expect_commas(tmp_path):
    push(tmp_path, [pair("s1")], pile="sts", language="en")
    heads, rows = table(sheet(tmp_path, pile="sts"), delimiter=",")
    assert heads[2:4] == ["Sentence 1", "Sentence 2"]
    assert rows == [["s1", "", "Frase s1.", "Un'altra frase.", "", ""]]


def test_what_to_do_lies_beside(tmp_path):
    push(tmp_path, [query("r1")])
    push(tmp_path, [pair("s1")], pile="sts-adjudication")
    assert (tmp_path / "r" / "active.md").read_text(encoding="utf-8").startswith(IT.guidelines.retrieval)
    assert (tmp_path / "r" / "sts-adjudication.md").read_text(encoding="utf-8").startswith(IT.guidelines.adjudication)


def test_answers_come_back_with_what_was_shown(tmp_path):
    push(tmp_path, [query("r1"), query("r2")])
    push(tmp_path, [pair("s1")], pile="sts")
    fill(sheet(tmp_path), {"r1": {"query_quality": "Vaga", "relevant": "C, A", "rewrite": "Chi macina il grano?"}})
    fill(sheet(tmp_path, pile="sts"), {"s1": {"similarity": "3", "comment": "quasi"}})
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
    fill(sheet(tmp_path), {"r1": GOOD})
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
    os.utime(sheet(tmp_path), (moment, moment))
    push(tmp_path, [query("r1"), query("r2")])
    assert [one.submitted_at for one in desk(tmp_path).pull("r").given] == ["2026-11-20T10:00:00Z"]


def test_a_row_without_a_required_answer_is_a_draft_and_an_empty_one_is_nothing(tmp_path):
    push(tmp_path, [query("r1"), query("r2"), query("r3")])
    fill(sheet(tmp_path), {"r1": {"relevant": "B"}, "r2": {"comment": " "}, "r3": GOOD})
    given_now = desk(tmp_path).pull("r").given
    assert [(one.record_id, one.status, bool(one.values)) for one in given_now] == [
        ("r1", "draft", False),
        ("r3", "submitted", True),
    ]


# what a spreadsheet program makes of a text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text_and_hurts_no_answer(tmp_path, text):
    push(tmp_path, [RetrievalTask("r1", text, "p1", (("p2", text), ("p1", text)))])
    fill(sheet(tmp_path), {"r1": GOOD})
    assert said(tmp_path)["anna", "r1"] == {"query_quality": "good", "relevant": ["p2"]}
    assert desk(tmp_path).pull("r").shown[0].query == text
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in table(sheet(tmp_path))[1][0])


pieces = st.lists(st.sampled_from([*'=+-@,;\t\n\r" a1', "＝", "\u200b", "\0"]), max_size=12).map("".join)


@given(pieces, st.sampled_from(",;\t"))
def test_no_cell_is_a_formula_whatever_delimiter_a_program_takes(text, delimiter):
    line = io.StringIO(newline="")
    csv.writer(line, delimiter=";", quoting=csv.QUOTE_ALL).writerow(["r1", shown(text, "…")])
    cells = [cell for row in csv.reader(io.StringIO(line.getvalue(), newline=""), delimiter=delimiter) for cell in row]
    assert not [cell for cell in cells if cell.strip(' \t\n\u200b"').startswith(("=", "+", "-", "@", "＝"))]


def test_a_text_longer_than_a_cell_is_cut_where_everybody_sees_it():
    assert shown("x" * 32_000, IT.sheet.cut) == "x" * 32_000
    for long in ("x" * 100_000, "🦉" * 40_000, ",=" * 50_000):
        cell = shown(long, IT.sheet.cut)
        assert cell.endswith(IT.sheet.cut)
        assert len(cell.encode("utf-16-le")) <= 2 * 32_767


def test_blanks_without_end_are_shown_in_no_time():
    assert shown("\n" * 200_000, "…").endswith("…")


@pytest.mark.parametrize("text", ["12", "3/4", "1 maggio", "mar 12", "1.5e3", "1 de mayo de 2026"])
def test_what_passes_for_a_number_or_a_date_stays_text(text):
    assert shown(text, "…") == f"'{text}"


@pytest.mark.parametrize("rewrite", ["=chi macina?", "'=chi macina?", "- chi\n- dove", "'80, che musica?", "  due  "])
def test_a_rewrite_comes_back_as_it_was_typed(tmp_path, rewrite):
    wanted = rewrite.removeprefix("'") if rewrite.startswith("'=") else rewrite
    assert answer(tmp_path, **GOOD, rewrite=rewrite)["rewrite"] == wanted == typed(rewrite)


def test_a_record_whose_name_looks_like_a_number_keeps_it(tmp_path):
    name = "12345678901234567890"
    push(tmp_path, [query(name)])
    assert table(sheet(tmp_path))[1][0][0] == f"'{name}"
    fill(sheet(tmp_path), {name: GOOD})
    assert list(said(tmp_path)) == [("anna", name)]
    assert push(tmp_path, [query(name)]) == (1, 0)


# pushing again


def test_pushing_again_adds_nothing_and_changes_no_byte(tmp_path):
    assert push(tmp_path, [query("r1"), query("r2")], people=2, annotators=("anna", "bo")) == (0, 2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    assert push(tmp_path, [query("r1"), query("r2")], people=2, annotators=("anna", "bo")) == (2, 0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b""])
def test_rows_are_added_below_and_what_was_typed_stays_byte_for_byte(tmp_path, ending):
    push(tmp_path, [query("r1")])
    typed_in = sheet(tmp_path).read_bytes().rstrip() + b';"my own note, = \xc3\xa8"' + ending
    sheet(tmp_path).write_bytes(typed_in)
    assert push(tmp_path, [query("r1"), query("r2")]) == (1, 1)
    assert sheet(tmp_path).read_bytes().startswith(typed_in)
    assert [row[0] for row in table(sheet(tmp_path))[1]] == ["r1", "r2"]


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), ("\t", "utf-16"), (";", "cp1252")])
def test_a_file_saved_in_another_way_is_read_and_added_to(tmp_path, delimiter, encoding):
    push(tmp_path, [query("r1", "Perché è così?")])
    fill(sheet(tmp_path), {"r1": GOOD | {"comment": "più, «sì»; no"}}, delimiter=delimiter, encoding=encoding)
    assert said(tmp_path)["anna", "r1"]["comment"] == "più, «sì»; no"
    push(tmp_path, [query("r1"), query("r2", "Où? Ђ")])
    rows = table(sheet(tmp_path), delimiter)[1]
    assert [row[2] for row in rows] == ["Perché è così?", "Où? Ђ"]
    assert said(tmp_path)["anna", "r1"]["comment"] == "più, «sì»; no"


def test_a_query_with_more_passages_gets_columns_of_its_own(tmp_path):
    push(tmp_path, [query("r1", passages=("p1", "p2"))])
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), heads, [[*row, "a note beside the table"] for row in rows])
    push(tmp_path, [query("r2")])
    heads, rows = table(sheet(tmp_path))
    assert heads[-2:] == ["", "Passaggio C"]
    assert (rows[0][-1], rows[1][-1]) == ("a note beside the table", "Testo di p3.")
    fill(sheet(tmp_path), {"r2": {"query_quality": "good", "relevant": "c"}})
    assert said(tmp_path)["anna", "r2"]["relevant"] == ["p3"]


def test_a_deleted_row_and_a_deleted_file_are_written_anew(tmp_path):
    tasks = [query("r1"), query("r2")]
    push(tmp_path, tasks, annotators=("anna", "bo"), people=2)
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), heads, rows[1:])
    sheet(tmp_path, "bo").unlink()
    assert "active.bo.csv is missing" in refused(tmp_path, annotators=("anna", "bo"))
    assert push(tmp_path, tasks, annotators=("anna", "bo"), people=2) == (0, 2)
    assert [sorted(row[0] for row in table(sheet(tmp_path, who))[1]) for who in ("anna", "bo")] == [["r1", "r2"]] * 2


@pytest.mark.parametrize("lost", ["active.records.jsonl", "active.anna.csv", "active.bo.csv", "active.md"])
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


def test_a_file_open_in_a_spreadsheet_program_is_left_alone(tmp_path):
    push(tmp_path, [query("r1")])
    before = sheet(tmp_path).read_bytes()
    (tmp_path / "r" / ".~lock.active.anna.csv#").touch()
    with pytest.raises(UserError, match="is open in a spreadsheet program"):
        push(tmp_path, [query("r1"), query("r2")])
    assert sheet(tmp_path).read_bytes() == before
    assert push(tmp_path, [query("r1")]) == (1, 0)  # nothing to add


def test_what_was_saved_while_rows_were_to_be_added_is_not_lost(tmp_path):
    push(tmp_path, [query("r1")])
    before = read_sheet(sheet(tmp_path), {"record_id": "record_id"})
    fill(sheet(tmp_path), {"r1": GOOD})
    os.utime(sheet(tmp_path), ns=(0, before.modified_ns + 1))
    with pytest.raises(UserError, match="was saved while rows were to be added to it: push again"):
        add_rows(before, {}, [{"record_id": "r2"}])
    assert list(said(tmp_path)) == [("anna", "r1")]


def test_a_workbook_beside_a_sheet_is_not_overlooked(tmp_path):
    push(tmp_path, [query("r1")])
    (tmp_path / "r" / "active.anna.xlsx").touch()
    assert "active.anna.xlsx is a workbook: save it as CSV UTF-8 under the name active.anna.csv" in refused(tmp_path)


def test_a_record_shown_with_other_passages_is_another_record(tmp_path):
    push(tmp_path, [query("r1")])
    with pytest.raises(UserError, match="r1 was shown with other passages"):
        push(tmp_path, [query("r1", passages=("p1", "p9"))])


def test_letters_mean_what_they_meant_when_they_were_shown(tmp_path):
    push(tmp_path, [query("r1")])
    sheet(tmp_path).unlink()
    push(tmp_path, [query("r1", passages=("p3", "p1", "p2"))])
    assert table(sheet(tmp_path))[1][0][3] == "Testo di p1."


def test_there_are_26_letters(tmp_path):
    with pytest.raises(UserError, match="27 passages and there are 26 letters"):
        push(tmp_path, [query("r1", passages=[f"p{number}" for number in range(27)])])


def test_a_pile_without_tasks_is_no_sheet(tmp_path):
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
    dealt = [row[0] for who in ("anna", "bo", "chiara") for row in table(sheet(tmp_path, who, "audit"))[1]]
    assert sorted(dealt) == ["r0", "r0", "r1", "r1", "r2", "r2"]


def test_who_leaves_hands_on_what_is_not_answered(tmp_path):
    tasks = [query("r1"), query("r2")]
    push(tmp_path, tasks, annotators=("bo",))
    fill(sheet(tmp_path, "bo"), {"r1": GOOD})
    push(tmp_path, tasks, annotators=("anna",))
    assert [row[0] for row in table(sheet(tmp_path))[1]] == ["r2"]
    assert list(said(tmp_path)) == [("bo", "r1")]


def test_a_pile_that_needs_more_people_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"audit needs 2 people and review\.desk\.annotators names 1"):
        push(tmp_path, [query("r1")], pile="audit", people=2)


def test_disputes_go_to_referees(tmp_path):
    push(
        tmp_path, [RetrievalTask("r1", "Chi macina?", "p1", (("p1", "Testo."),), said="anna: A")], pile="adjudication"
    )
    heads, rows = table(sheet(tmp_path, "rita", "adjudication"))
    assert rows[0][heads.index(IT.fields.said)] == "anna: A"
    assert not sheet(tmp_path, "anna", "adjudication").exists()


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


@pytest.mark.parametrize("cell", ["good", " GOOD ", "Buona", "buona", "BUONA "])
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
        ("none", []),
        ("NESSUNO", []),
        ("nessuno dei passaggi", []),
    ],
)
def test_passages_go_by_their_letters(tmp_path, cell, passages):
    assert answer(tmp_path, query_quality="good", relevant=cell)["relevant"] == passages


@pytest.mark.parametrize(("cell", "grade"), [("0", 0), ("5", 5), ("3,0", 3), ("2.5", 2.5), (" 4 ", 4), ("4,25", 4.25)])
def test_a_grade_is_a_number_with_comma_or_point(tmp_path, cell, grade):
    push(tmp_path, [pair("s1")], pile="sts")
    fill(sheet(tmp_path, pile="sts"), {"s1": {"similarity": cell}})
    assert said(tmp_path) == {("anna", "s1"): {"similarity": grade}}


@pytest.mark.parametrize("cell", ["6", "5,5", "-1", "tre", "2-3", "02-mag", "1e0", "٣", "", "5.", "=3"])
def test_no_grade_is_guessed(tmp_path, cell):
    push(tmp_path, [pair("s1")], pile="sts")
    fill(sheet(tmp_path, pile="sts"), {"s1": {"similarity": cell, "comment": "x"}})
    if cell:
        assert f"[similarity]': {cell!r} is not a number from 0 to 5" in refused(tmp_path).replace('"', "'")
    else:
        assert said(tmp_path) == {("anna", "s1"): {}}


@pytest.mark.parametrize("cell", ["D", "AC", "A, nessuno", "A e C", "A, B e C", "?", ",", "A-C", "1"])
def test_no_letter_is_guessed(tmp_path, cell):
    push(tmp_path, [query("r1", passages=[f"p{n}" for n in range(9 if " e " in cell else 3)])])
    fill(sheet(tmp_path), {"r1": {"query_quality": "good", "relevant": cell}})
    assert re.search(
        rf"row 2, column .*: {re.escape(repr(cell))} is not letters from A to .*, or nessuno$", refused(tmp_path)
    )


def test_all_that_cannot_be_read_is_told_at_once_but_no_more_than_ten(tmp_path):
    push(tmp_path, [query(f"r{number}") for number in range(12)])
    bad = {f"r{number}": {"query_quality": "boh", "relevant": "A"} for number in range(11)}
    fill(sheet(tmp_path), bad | {"r11": GOOD})
    sentence = refused(tmp_path)
    assert re.findall(r"row (\d+)", sentence) == [str(row) for row in range(2, 12)]
    assert sentence.startswith(
        "/r/active.anna.csv cannot be taken as it is: row 2, column \"Com'è la domanda? [query_quality]\": 'boh'"
    )
    assert sentence.endswith("; and 1 more")


def test_columns_may_be_moved_and_added_and_headings_shortened(tmp_path):
    push(tmp_path, [query("r1")])
    fill(sheet(tmp_path), {"r1": GOOD})
    heads, rows = table(sheet(tmp_path))
    renamed = [{"Domanda": "Frage"}.get(head, head.replace("Com'è la domanda? ", "")) for head in heads]
    save(sheet(tmp_path), ["mine", *renamed[::-1]], [["x", *row[::-1]] for row in rows])
    assert said(tmp_path)["anna", "r1"] == {"query_quality": "good", "relevant": ["p1"]}


def test_another_language_reads_the_same_file(tmp_path):
    push(tmp_path, [query("r1")])
    fill(sheet(tmp_path), {"r1": {"query_quality": "good", "relevant": "none"}})
    assert said(tmp_path, language="es")["anna", "r1"] == {"query_quality": "good", "relevant": []}


@pytest.mark.parametrize(("lost", "said_of_it"), [(0, "has no column record_id"), (7, "has no column relevant")])
def test_a_column_that_is_gone_is_named(tmp_path, lost, said_of_it):
    push(tmp_path, [query("r1")])
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), heads[:lost] + heads[lost + 1 :], [row[:lost] + row[lost + 1 :] for row in rows])
    assert said_of_it in refused(tmp_path)


def test_a_column_that_stands_there_twice_is_named(tmp_path):
    push(tmp_path, [query("r1")])
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), [*heads, "relevant"], rows)
    assert "has the column relevant twice" in refused(tmp_path)


def test_rows_may_be_sorted_but_not_a_single_column(tmp_path):
    push(tmp_path, [query("r1", "Chi macina?"), query("r2", "Dove si sale?")])
    fill(sheet(tmp_path), {"r1": GOOD, "r2": {"query_quality": "vague", "relevant": "B"}})
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), heads, [[], *rows[::-1], [""] * len(heads)])
    assert said(tmp_path)["anna", "r2"]["query_quality"] == "vague"
    save(sheet(tmp_path), heads, [[first[0], *second[1:]] for first, second in zip(rows, rows[::-1], strict=True)])
    assert "row 2, column 'Domanda': 'Dove si sale?' is not what record r1 shows" in refused(tmp_path)


def test_a_row_of_no_record_is_told_unless_nothing_is_said_in_it(tmp_path):
    push(tmp_path, [query("r1")])
    heads, rows = table(sheet(tmp_path))
    save(sheet(tmp_path), heads, [*rows, ["total", "12"]])
    assert desk(tmp_path).pull("r").given == []
    save(sheet(tmp_path), heads, [["1,2E+19", *rows[0][1:-4], "good", "A"]])
    assert "row 2, column 'record_id': '1,2E+19' is not a record of this pile" in refused(tmp_path)


def test_a_row_that_stands_there_twice_must_say_the_same(tmp_path):
    push(tmp_path, [query("r1")])
    heads, (row,) = table(sheet(tmp_path))
    save(sheet(tmp_path), heads, [row, [*row[:-4], "good", "A"], [*row[:-4], "Buona", "a"]])
    assert said(tmp_path)["anna", "r1"]["relevant"] == ["p1"]
    save(sheet(tmp_path), heads, [[*row[:-4], "good", "A"], [*row[:-4], "good", "B"]])
    assert "rows 2 and 3 answer the same record differently" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no column record_id"),
        (b"PK\x03\x04 a workbook", "has no column record_id"),
        (b'"record_id;Domanda"\r\n', "has no column record_id"),
        (b"\xff\xfer\x00e", "is in an encoding that cannot be told"),
        (b"record_id;\x81\x8d\r\n", "is in an encoding that cannot be told: save it as CSV UTF-8"),
        (b"\xff\xfer\x00e\x00", "has no column record_id"),
        (b'record_id;query_quality;relevant;rewrite;comment\nr1;"good;A\n', "has a cell whose quotes do not match"),
    ],
)
def test_a_file_that_is_no_sheet_is_named(tmp_path, content, sentence):
    push(tmp_path, [query("r1")])
    sheet(tmp_path).write_bytes(content)
    assert f"active.anna.csv {sentence}" in refused(tmp_path)
