from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nestling.corpus.delimited import read_delimited
from nestling.corpus.rejects import Reject

COLUMNS = ("id", "text", "title")
ROWS = [("1", "perché no"), ("2", "così è"), ("3", "a, b; c")]


def read(folder: Path, content: str | bytes, max_bytes: int = 10_000) -> tuple[list[dict], list[tuple[str, str]]]:
    path = folder / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = list(read_delimited(path, "a.csv", max_bytes, COLUMNS, ["text"], ["id"]))
    rejects = [(row.item_id, row.reason) for row in rows if isinstance(row, Reject)]
    return [row.values for row in rows if not isinstance(row, Reject)], rejects


def table(delimiter: str = ",", end: str = "\n", head: str = "id{}text") -> str:
    lines = [head.format(delimiter), *(f'{name}{delimiter}"{text}"' for name, text in ROWS)]
    return "".join(f"{line}{end}" for line in lines)


WHOLE = [{"id": name, "text": text} for name, text in ROWS]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac_roman", "cp850"]
)
def test_a_table_is_read_whatever_program_saved_it(tmp_path, delimiter, end, encoding):
    assert read(tmp_path, table(delimiter, end).encode(encoding)) == (WHOLE, [])


@pytest.mark.parametrize(
    "content",
    [
        table(";", head=" ID {} Text "),
        table(";", head="\ufeffID{}TEXT"),
        "sep=;\r\n" + table(";", "\r\n"),
        '"sep=|"\n' + table("|"),
        "\n \n" + table(),
        table() + ",\n,,,\n\n",
        table(";", head='id{}"text"').replace("perché", "perc\0hé"),
        table() + "\0" * 50,
        "id,text\r\n1,perché no\r2,così è\n" + '3,"a, b; c"\n',  # line ends of three kinds
        'id, text\n1, perché no\n2, così è\n3, "a, b; c"\n',
        "id;text;;\n1;perché no;;\n2;così è\n3;a, b; c;;\n".replace("a, b; c", '"a, b; c"'),
    ],
)
def test_what_spreadsheets_leave_around_a_table_is_no_part_of_it(tmp_path, content):
    assert read(tmp_path, content) == (WHOLE, [])


def test_a_file_with_one_column_has_no_separator(tmp_path):
    rows, rejects = read(tmp_path, 'Text\nuno, due; tre|quattro\n"cin\nque"\n\nsei\n')
    assert [row["text"] for row in rows] == ["uno, due; tre|quattro", "cin\nque", "sei"]
    assert rejects == []


def test_two_stray_quotes_swallow_no_rows_between_tabs(tmp_path):
    rows, rejects = read(tmp_path, 'id\ttext\n1\t"Apre, disse\n2\tdomani alle nove"\n3\ttre\n4\t"in\ndue righe"\n')
    assert rows == [
        {"id": "2", "text": 'domani alle nove"'},
        {"id": "3", "text": "tre"},
        {"id": "4", "text": "in\ndue righe"},
    ]
    assert rejects == [("a.csv:2", "broken_row")]


@pytest.mark.parametrize(
    ("content", "texts", "broken"),
    [
        ('id\ttext\n1\t"Il mulino" apre\n2\tdetto "il gufo"\n', ['"Il mulino" apre', 'detto "il gufo"'], 0),
        ('id\ttext\n1\t"Il mulino" apre\n2\t"uno"\n3\t"due"\n', ["uno", "due"], 1),  # a file with quoting
        ('id,text\n1,"Il mulino" apre\n2,due\n', ["due"], 1),
        ('id,text\n1,"Il \\"mulino\\", poi"\n2,"C:\\x, y"\n', ['Il "mulino", poi', "C:\\x, y"], 0),
        ('id,text\n"1" ,"Apre, poi" \n2,due\n', ["Apre, poi", "due"], 0),
        ('" ID ","TEXT" \n"1","uno"\n', ["uno"], 0),
    ],
)
def test_what_quotes_mean_is_told_by_the_whole_file(tmp_path, content, texts, broken):
    rows, rejects = read(tmp_path, content)
    assert [row["text"] for row in rows] == texts
    assert [reason for _, reason in rejects] == ["broken_row"] * broken


@pytest.mark.parametrize(
    ("ids", "read_as"),
    [
        (["1.0", "", "3.0"], ["1", "", "3"]),
        (["", "2.0", "10.0"], ["", "2", "10"]),
        (["1.0", "2.0", "3.0"], ["1.0", "2.0", "3.0"]),  # versions or chapters: none is missing
        (["1.0", "", "1.1"], ["1.0", "", "1.1"]),
        (["007", "", "8"], ["007", "", "8"]),
        (['"7,0"', "", '"8,0"'], ["7", "", "8"]),
    ],
)
def test_ids_that_a_missing_one_turned_into_floats_are_whole_numbers(tmp_path, ids, read_as):
    rows, rejects = read(tmp_path, "".join(f"{line}\n" for line in ("id,text", *(f"{name},uno" for name in ids))))
    assert ([row["id"] for row in rows], rejects) == (read_as, [])


def test_a_row_without_anything_in_it_is_no_missing_id(tmp_path):
    rows, _ = read(tmp_path, "id,text\n1.0,uno\n2.0,due\n,\n")
    assert [row["id"] for row in rows] == ["1.0", "2.0"]


def test_columns_without_a_meaning_are_passed_over_wherever_they_stand(tmp_path):
    content = 'note,"text",votes,id\nx,uno,3,1\n'
    assert read(tmp_path, content) == ([{"text": "uno", "id": "1"}], [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ID;Testo\n1;uno\n", "no column text; the header is 'ID;Testo'"),
        ("1,uno\n2,due\n", "no column text; the header is '1,uno'"),
        ("", "no column text; the header is ''"),
        ("id,text,Text\n1,uno,due\n", "column text stands twice in the header 'id,text,Text'"),
    ],
)
def test_a_header_that_names_no_text_costs_the_file_and_is_told(tmp_path, content, said):
    (tmp_path / "a.csv").write_text(content)
    (reject,) = read_delimited(tmp_path / "a.csv", "a.csv", 1000, COLUMNS, ["text"])
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.detail) == ("unreadable", said)


def test_a_line_of_another_encoding_costs_that_line(tmp_path):
    rows, rejects = read(tmp_path, table().encode() + "4,città\n".encode("latin-1") + b"5,fine\n")
    assert [row["id"] for row in rows] == ["1", "2", "3", "5"]
    assert rejects == [("a.csv:5", "invalid_utf8")]


def test_what_cannot_be_told_is_not_guessed(tmp_path):
    polish = "id,text\n1,Zażółć gęślą jaźń\n2,ascii\n".encode("cp1250")
    assert read(tmp_path, polish) == ([{"id": "2", "text": "ascii"}], [("a.csv:2", "invalid_utf8")])


def test_an_encoding_that_was_told_by_letters_is_said(tmp_path, capsys):
    read(tmp_path, table().encode("cp1252"))
    assert capsys.readouterr().err == "note: a.csv is read as cp1252\n"


def test_a_line_that_is_too_long_costs_that_line(tmp_path):
    rows, rejects = read(tmp_path, f"id,text\r1,{'x' * 300}\r2,due\r", 200)
    assert (rows, rejects) == ([{"id": "2", "text": "due"}], [("a.csv:2", "too_large")])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_no_bytes_are_an_error(tmp_path, content):
    read(tmp_path, b"id,text\n" + content)
    read(tmp_path, content)
