import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nestling.corpus.ids import content_id
from nestling.corpus.pairs import read_pairs
from nestling.corpus.qrels import Known
from nestling.corpus.recorded import check_scales, read_recorded, read_sts, read_suites
from nestling.corpus.rejects import RefusedError, Reject
from nestling.errors import UserError
from nestling.tables.corpus import RecordedQuery, Rejected, SuiteQrel, SuiteQuery
from nestling.tables.io import check

KNOWN = Known.of(
    ["d1", "d2", "d3"],
    [
        Reject("document", "blank", "missing_text", "a.jsonl:1"),
        Reject("document", "huge", "too_large"),
        Reject("line", "a.jsonl:3", "invalid_utf8"),
    ],
    "document",
)


def put(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def jsonl(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def recorded(folder: Path) -> tuple[list[tuple], list[tuple]]:
    frame, rejected = read_recorded(folder, KNOWN)
    check(frame, RecordedQuery, "test")
    check(rejected, Rejected, "test")
    return frame.rows(), rejected.select("item", "item_id", "reason").rows()


def test_a_set_without_queries_pairs_and_suites_gives_empty_tables(tmp_path):
    assert recorded(tmp_path) == ([], [])
    assert [frame.height for frame in read_sts(tmp_path)] == [0, 0]
    assert read_suites(tmp_path, KNOWN).queries.is_empty()


def test_a_query_may_point_to_several_documents(tmp_path):
    rows = [
        {"_id": "q1", "text": "uno?", "document_id": "d1"},
        {"_id": "q2", "text": "due?", "document_id": ["d1", "d2"]},
        {"text": "tre?", "document_ids": ["d3", "d3"]},
        {"text": "tre?", "document_id": "d1"},
    ]
    put(tmp_path, "queries.jsonl.gz", gzip.compress(jsonl(*rows).encode()))
    third = content_id("tre?")
    expected = [
        ("q1", "d1", "uno?"),
        ("q2", "d1", "due?"),
        ("q2", "d2", "due?"),
        (third, "d3", "tre?"),
        (third, "d1", "tre?"),
    ]
    assert recorded(tmp_path) == (expected, [])


def test_queries_without_pointers_take_those_of_the_train_qrels(tmp_path):
    put(tmp_path, "queries.jsonl", jsonl({"_id": "q1", "text": "uno?"}, {"_id": "q2", "text": "due?"}))
    put(tmp_path, "qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td2\t1\nq1\td3\t0\nq9\td1\t1\n")
    put(tmp_path, "qrels/test.tsv", "query-id\tcorpus-id\tscore\nq2\td1\t1\n")
    rows, rejected = recorded(tmp_path)
    assert rows == [("q1", "d2", "uno?")]
    assert rejected == [
        ("query", "q2", "no_document"),
        ("qrel", "q9", "unknown_query"),
        ("file", "qrels/test.tsv", "unsupported"),
        ("qrel", "q1 d3", "not_relevant"),
    ]


@pytest.mark.parametrize(
    ("row", "item_id", "reason"),
    [
        ({"_id": "x", "text": "", "document_id": "d1"}, "x", "missing_text"),
        ({"_id": "x", "text": "x?", "document_id": "d9"}, "x", "unknown_document"),
        ({"_id": "x", "text": "x?", "document_id": "blank"}, "x", "without_text"),
        ({"_id": "x", "text": "x?", "document_id": "huge"}, "x", "unknown_document"),
        ({"_id": "x", "text": "x?"}, "x", "no_document"),
        ({"_id": "q1", "text": "x?", "document_id": "d1"}, "q1", "duplicate_id"),
        ({"_id": "x", "text": "&shy;", "document_id": "d1"}, "x", "missing_text"),
        ({"_id": ["x"], "text": "x?", "document_id": "d1"}, "queries.jsonl:2", "invalid_value"),
        ({"_id": "x", "id": "y", "text": "x?", "document_id": "d1"}, "queries.jsonl:2", "invalid_value"),
        ({"_id": "x", "text": "x?", "document_id": [{"id": "d1"}]}, "queries.jsonl:2", "invalid_value"),
    ],
)
def test_a_query_that_cannot_be_used_is_rejected_with_its_reason(tmp_path, row, item_id, reason):
    put(tmp_path, "queries.jsonl", jsonl({"_id": "q1", "text": "uno?", "document_id": "d1"}, row))
    assert recorded(tmp_path) == ([("q1", "d1", "uno?")], [("query", item_id, reason)])


def test_two_files_of_queries_are_refused(tmp_path):
    put(tmp_path, "queries.jsonl", "")
    put(tmp_path, "queries.jsonl.gz", gzip.compress(b""))
    with pytest.raises(UserError, match="keep one"):
        read_recorded(tmp_path, KNOWN)


def graded(folder: Path, scores: Sequence[object], name: str = "sts/a.csv") -> None:
    put(folder, name, "sentence1;sentence2;score\n" + "".join(f"uno {n};due {n};{s}\n" for n, s in enumerate(scores)))


@pytest.mark.parametrize(
    ("scores", "said", "expected"),
    [
        ([0, 1, 5], "", [0, 0.2, 1]),
        ([0, 0.5, 1], "", [0, 0.5, 1]),
        (["0,0", "2,5", "5,0"], "", [0, 0.5, 1]),
        ([1, 3, 5], "sts_scale: [1, 5]", [0, 0.5, 1]),
        ([0, 1], "sts_scale: [0, 5]", [0, 0.2]),
        ([1, 3, 5], "sts_scale: {sts/b.csv: [0, 1], sts/a.csv: [1, 5]}", [0, 0.5, 1]),
        ([*range(11)], "sts_scale: [0, 10]", [n / 10 for n in range(11)]),
        ([*[0, 5] * 20, 55], "sts_scale: [0, 5]", [0, 1] * 20),
    ],
)
def test_scores_come_to_lie_between_0_and_1(tmp_path, scores, said, expected):
    graded(tmp_path, scores)
    put(tmp_path, "set.yaml", said)
    frame, rejected = read_sts(tmp_path)
    assert frame["score"].to_list() == pytest.approx(expected)
    assert rejected["reason"].to_list() == ["score_out_of_scale"] * (len(scores) - len(expected))


@pytest.mark.parametrize(
    ("scores", "said", "sentence"),
    [
        ([0, 2, 10], "", "from 0 to 10"),
        ([5, 50, 100], "", "from 5 to 100"),
        ([-1, 0, 1], "", "from -1 to 1"),
        ([1, 3, 2, 5], "", "none of its 4 scores is below 1"),
        ([2, 5] * 10, "", "none of its 20 scores is below 2"),
        ([0, 4] * 10, "", "none of its 20 scores is above 4"),
        ([0, 1, "due", 1], "", "1 rows have a score that cannot be read"),
        ([0, 1, "2;5"], "", "1 rows have a score that cannot be read"),
        ([0, 5, "9;8"], "", "1 rows have a score that cannot be read"),
        ([0, 5, *[3] * 200, "alto"], "", "1 rows have a score that cannot be read"),
        ([0, 5, 10], "sts_scale: [0, 5]", "1 of 3 scores are outside the scale of 0 to 5"),
        ([*[0, 5] * 9, 55], "sts_scale: [0, 5]", "1 of 19 scores are outside"),
        ([0, 1, 3, 4], "sts_scale: [0, 1]", "2 of 4 scores are outside the scale of 0 to 1"),
        ([0, 1, 3, 4], "sts_scale: {sts/b.csv: [0, 1]}", None),
    ],
)
@pytest.mark.parametrize("name", ["sts/a.csv", "eval/a.csv"])
def test_scores_that_show_another_scale_stop_the_build(tmp_path, scores, said, sentence, name):
    graded(tmp_path, scores, name)
    put(tmp_path, "set.yaml", said)
    read = read_sts if name.startswith("sts") else lambda folder: read_suites(folder, KNOWN)
    if sentence is None:
        read(tmp_path)
        return
    with pytest.raises(UserError, match=sentence) as error:
        read(tmp_path)
    assert f"sts_scale: {{{name}: [lowest, highest]}}" in str(error.value)


def test_a_scale_is_found_by_a_name_that_is_written_decomposed(tmp_path):
    put(tmp_path, "set.yaml", "sts_scale: {sts/caff\u00e8.csv: [0, 10]}")
    put(tmp_path, "sts/caffe\u0300.csv", "sentence1,sentence2,score\na,b,5\n")
    assert read_sts(tmp_path)[0]["score"].to_list() == [0.5]


def test_a_scale_is_told_by_all_scores_not_by_those_of_pairs_that_are_kept(tmp_path):
    put(tmp_path, "a.csv", "sentence1,sentence2,score\nuno,due,1\ntre,,4\n")
    assert read_pairs(tmp_path / "a.csv", "a.csv").scores == [1, 4]
    put(tmp_path, "sts/a.csv", "sentence1,sentence2,score\nuno,due,1\ntre,,4\n")
    assert read_sts(tmp_path)[0]["score"].to_list() == [0.2]


def test_every_broken_row_of_pairs_has_its_reason(tmp_path):
    put(
        tmp_path,
        "sts/a.csv",
        'sentence1,sentence2,score\nuno,"due, tre",5\nuno,,3\nuno,due,alto\nuno,due,nan\nuno,due\n',
    )
    put(tmp_path, "set.yaml", "sts_scale: {sts/a.csv: [0, 5]}")
    put(tmp_path, "sts/b.csv", "score;sentence1;sentence2;genre\n0.5;quattro;cinque;news\n")
    put(tmp_path, "sts/c.tsv", "SENTENCE1\tSentence2\tscore\nsei\tsette\t1\n")
    put(tmp_path, "sts/c.doc", "x")
    put(tmp_path, "sts/d.csv", "a,b\n1,2\n")
    frame, rejected = read_sts(tmp_path)
    assert frame.rows() == [("uno", "due, tre", 1.0), ("quattro", "cinque", 0.5), ("sei", "sette", 1.0)]
    assert rejected.select("item_id", "reason").rows() == [
        ("sts/a.csv:3", "missing_text"),
        ("sts/a.csv:4", "score_not_a_number"),
        ("sts/a.csv:5", "score_not_a_number"),
        ("sts/a.csv:6", "broken_row"),
        ("sts/c.doc", "unsupported"),
        ("sts/d.csv", "unreadable"),
        ("sts/d.csv", "all_rejected"),
    ]


def suite(folder: Path, qrels: str, name: str = "gold", at: str = "qrels/test.tsv") -> None:
    put(folder, f"eval/{name}/queries.jsonl", jsonl({"_id": "q1", "text": "uno?"}, {"_id": "q2", "text": "due?"}))
    put(folder, f"eval/{name}/{at}", qrels)


HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("qrels", "at"),
    [
        (HEADER + "q1\td1\t2\nq1\td2\t0\n", "qrels/test.tsv"),
        (HEADER + "q1\td1\t2\r\nq1\td2\t-1\r\n", "qrels.tsv"),
        ("q1 0 d1 2\nq1 0 d2 0\n", "qrels.tsv"),
        ("q1\t0\td1\t2\nq1\t0\td2\t0\n", "qrels/test.tsv"),
    ],
)
def test_a_suite_keeps_its_queries_with_relevant_documents(tmp_path, qrels, at):
    suite(tmp_path, qrels, at=at)
    suites = read_suites(tmp_path, KNOWN)
    assert check(suites.queries, SuiteQuery, "test").rows() == [("gold", "q1", "uno?")]
    assert check(suites.qrels, SuiteQrel, "test").rows() == [("gold", "q1", "d1", 2), ("gold", "q1", "d2", 0)]
    assert suites.rejected["reason"].to_list() == ["no_qrels"]
    assert suites.documents.is_empty()


def test_grades_of_nought_that_nothing_needs_are_left_out_and_stop_nothing(tmp_path):
    rows = "q1\td1\t1\nq1\td9\t0\nq1\tblank\t-1\nq2\td1\t0\nq9\td1\t0\nq1\td1\t0\n"
    suite(tmp_path, HEADER + rows)
    suites = read_suites(tmp_path, KNOWN)
    assert suites.qrels.rows() == [("gold", "q1", "d1", 1)]  # of two words on one document the yes holds
    unused = suites.rejected.filter(suites.rejected["reason"] == "not_relevant")
    assert sorted(unused["item_id"]) == ["q1 blank", "q1 d1", "q1 d9", "q2 d1", "q9 d1"]
    assert suites.queries["query_id"].to_list() == ["q1"]


def test_a_suite_may_bring_its_own_documents(tmp_path):
    suite(tmp_path, HEADER + "q1\town\t1\nq2\town\t1\n")
    put(tmp_path, "eval/gold/corpus.jsonl", jsonl({"_id": "own", "title": "T", "text": "suo"}))
    put(tmp_path, "set.yaml", "language: it")
    documents = read_suites(tmp_path, KNOWN).documents
    assert documents.rows() == [("gold", "own", "T", "suo", "it", None, "eval/gold/corpus.jsonl")]


def test_a_csv_file_is_a_suite_of_pairs(tmp_path):
    put(tmp_path, "eval/stsb-it.csv", "sentence1,sentence2,score\na,b,2.5\n")
    put(tmp_path, "eval/note.txt", "x")
    suites = read_suites(tmp_path, KNOWN)
    assert suites.pairs.rows() == [("stsb-it", "a", "b", 0.5)]
    assert suites.rejected.select("item_id", "reason").rows() == [("eval/note.txt", "unsupported")]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("".join(f"q{n}\td1\t1\n" for n in range(3, 8)), r"gold: the qrels name 5 queries .*'q3', 'q4', 'q5'\)"),
        ("q1\td9\t1\n", r"gold: the qrels name 1 documents that are not there \('d9'.*\): correct eval/gold"),
        ("q1\td9\t1\n", r"'d9'; 1 lines or files could not be read: a.jsonl:3: invalid_utf8"),
        ("q1\tblank\t1\n", r"gold: the qrels name 1 documents without text \('blank': a.jsonl:1\)"),
        ("q1\thuge\t1\n", r"gold: the qrels name 1 documents that were left out \('huge': too_large\)"),
    ],
)
def test_qrels_that_name_what_is_not_there_are_refused(tmp_path, row, sentence):
    suite(tmp_path, HEADER + row)
    with pytest.raises(UserError, match=sentence):
        read_suites(tmp_path, KNOWN)


def test_broken_and_repeated_judgements_are_rejected(tmp_path):
    suite(tmp_path, HEADER + "q1\td1\t1\nq1\td1\t1\nq1\td2\nq1\td2\thigh\n")
    rejected = read_suites(tmp_path, KNOWN).rejected
    assert rejected["reason"].to_list() == ["duplicate_id", "broken_row", "broken_row", "no_qrels"]


def test_a_bad_name_and_a_name_taken_twice_are_refused(tmp_path):
    suite(tmp_path, HEADER + "q1\td1\t1\n", name="gold")
    put(tmp_path, "eval/gold.csv", "sentence1,sentence2,score\na,b,1\n")
    put(tmp_path, "eval/note.txt", "x")
    with pytest.raises(UserError, match="two suites"):
        read_suites(tmp_path, KNOWN)
    suite(tmp_path, HEADER, name="best suite")
    with pytest.raises(UserError, match="'best suite' cannot name a suite"):
        read_suites(tmp_path, KNOWN)


@pytest.mark.parametrize(
    ("lost", "sentence"), [("queries.jsonl", "no queries.jsonl"), ("qrels/test.tsv", "no qrels/test.tsv")]
)
def test_a_suite_that_lacks_a_file_is_refused(tmp_path, lost, sentence):
    suite(tmp_path, HEADER + "q1\td1\t1\n")
    (tmp_path / "eval" / "gold" / lost).unlink()
    with pytest.raises(UserError, match=sentence):
        read_suites(tmp_path, KNOWN)


def test_a_link_out_of_the_set_is_no_suite(tmp_path):
    folder = tmp_path / "mine"
    put(tmp_path, "other/queries.jsonl", "")
    (folder / "eval").mkdir(parents=True)
    (folder / "eval" / "gold").symlink_to(tmp_path / "other")
    assert read_suites(folder, KNOWN).rejected["reason"].to_list() == ["outside_the_set", "all_rejected"]


@pytest.mark.parametrize("name", ["heldout", "HeldOut", "heldout.recorded", "heldout.csv", "Heldout.Generated.tsv"])
def test_the_names_of_the_sets_own_suites_are_refused(tmp_path, name):
    if name.endswith("sv"):
        put(tmp_path, f"eval/{name}", "sentence1\tsentence2\tscore\na\tb\t1\n")
    else:
        suite(tmp_path, HEADER + "q1\td1\t1\n", name=name)
    with pytest.raises(UserError, match="the set's own held-out suites"):
        read_suites(tmp_path, KNOWN)


def test_ids_are_compared_composed_and_without_outer_blanks(tmp_path):
    accented, split = "citt\u00e0", "citta\u0300"
    known = Known({accented})
    row = {"_id": f" {split}", "text": "uno?", "document_id": f"{split} "}
    put(tmp_path, "queries.jsonl", jsonl(row))
    assert read_recorded(tmp_path, known)[0].rows() == [(accented, accented, "uno?")]
    put(tmp_path, "eval/gold/queries.jsonl", jsonl({"_id": accented, "text": "uno?"}))
    put(tmp_path, "eval/gold/qrels.tsv", f"{HEADER}{split} \t {split}\t1\n")
    assert read_suites(tmp_path, known).qrels.rows() == [("gold", accented, accented, 1)]


def reasons(folder: Path) -> list[tuple]:
    rejected = read_suites(folder, KNOWN).rejected
    return rejected.filter(rejected["reason"] == "all_rejected").select("item", "item_id", "detail").rows()


@pytest.mark.parametrize(
    ("qrels", "detail"),
    [
        (
            HEADER + "q1\td1\t0.5\nq2\td1\t0.5\n",
            "2 broken_row, 2 no_qrels: eval/gold/qrels/test.tsv:2: the score '0.5'",
        ),
        (HEADER + "q1\td1\t0\n", "2 no_qrels, 1 not_relevant: q1 d1: eval/gold/qrels/test.tsv:2"),
        ("domanda\tdoc\tvoto\nq1\td1\t1\n", "2 no_qrels, 1 unreadable: eval/gold/qrels/test.tsv: columns cannot"),
        ("", "2 no_qrels, 1 unreadable: eval/gold/qrels/test.tsv: columns cannot"),
        (HEADER, "2 no_qrels: gold/q1: no document answers it"),
    ],
)
def test_a_suite_of_which_nothing_is_left_says_why(tmp_path, qrels, detail):
    suite(tmp_path, qrels)
    ((item, name, said),) = reasons(tmp_path)
    assert (item, name) == ("suite", "gold")
    assert said.startswith(detail)


def test_a_suite_of_pairs_of_which_nothing_is_left_says_why(tmp_path):
    put(tmp_path, "eval/it.csv", "sentence1,sentence2,score\na,b,alto\nc,d,basso\n")
    assert reasons(tmp_path) == [("file", "eval/it.csv", "2 score_not_a_number: eval/it.csv:2: the score is 'alto'")]


@pytest.mark.parametrize("name", ["eval/gold.xlsx", "eval/gold.jsonl", "eval/it.parquet"])
def test_a_suite_in_a_format_that_is_not_read_does_not_vanish(tmp_path, name):
    put(tmp_path, name, b"x")
    put(tmp_path, "eval/README.md", b"x")
    assert reasons(tmp_path) == [("file", name, f"1 unsupported: {name}: a suite is a folder or a CSV file")]


def test_pairs_in_a_format_that_is_not_read_do_not_vanish(tmp_path):
    put(tmp_path, "sts/it.xlsx", b"x")
    assert read_sts(tmp_path)[1]["reason"].to_list() == ["unsupported", "all_rejected"]


def test_a_suite_does_not_search_the_set_in_the_place_of_a_corpus_that_is_not_read(tmp_path):
    suite(tmp_path, HEADER + "q1\td1\t1\n")
    put(tmp_path, "eval/gold/corpus.csv", "id,text\nd1,uno\n")
    with pytest.raises(UserError, match=r"eval/gold has corpus.csv, which is not read: bring .* corpus.jsonl"):
        read_suites(tmp_path, KNOWN)


def test_no_scale_is_read_from_the_few_scores_that_can_be_read(tmp_path):
    put(tmp_path, "sts/a.csv", "sentence1,sentence2,score\na,b,2.5\nc,d,7 su 10\ne,f,9 su 10\n")
    with pytest.raises(UserError, match=r"2 rows have a score that cannot be read \(sts/a.csv:3, .*sts_scale"):
        read_sts(tmp_path)


def test_a_suite_that_holds_nothing_is_no_suite(tmp_path):
    suite(tmp_path, HEADER)
    put(tmp_path, "eval/gold/queries.jsonl", "")
    put(tmp_path, "eval/it.csv", "sentence1,sentence2,score\n")
    assert reasons(tmp_path) == [("suite", "gold", "it holds no row"), ("file", "eval/it.csv", "it holds no row")]


def test_a_file_of_queries_of_which_nothing_is_left_says_why(tmp_path):
    put(tmp_path, "queries.jsonl", jsonl({"_id": "a", "text": "uno?"}, {"_id": "b", "text": "due?"}))
    assert recorded(tmp_path)[1] == [
        ("query", "a", "no_document"),
        ("query", "b", "no_document"),
        ("file", "queries.jsonl", "all_rejected"),
    ]


def test_a_file_of_which_most_is_left_out_is_told(tmp_path, capsys):
    put(tmp_path, "sts/a.csv", "sentence1,sentence2,score\na,b,5\nc,d,alto\ne,f,\n")
    put(tmp_path, "set.yaml", "sts_scale: [0, 5]")
    read_sts(tmp_path)
    assert "warning: sts/a.csv: 2 of 3 were left out (2 score_not_a_number)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"_id": "q9", "text": ""}', r"1 queries without text \('q9': eval/gold/queries.jsonl:3\)"),
        (b'{"_id": "q9", "text": "\\u00ad"}', r"1 queries without text \('q9': eval/gold/queries.jsonl:3\)"),
        (
            b'{"_id": "q9", "text": "\xff"}',
            r"not there \('q9'; 1 lines .* eval/gold/queries.jsonl:3: invalid start byte",
        ),
    ],
)
def test_a_query_that_was_rejected_is_told_with_its_cause_and_its_place(tmp_path, line, sentence):
    suite(tmp_path, HEADER + "q9\td1\t1\n")
    with (tmp_path / "eval/gold/queries.jsonl").open("ab") as file:
        file.write(line)
    with pytest.raises(RefusedError, match=sentence) as error:
        read_suites(tmp_path, KNOWN)
    assert [reject.reason for reject in error.value.rejects] == ["invalid_utf8" if b"\xff" in line else "missing_text"]


@pytest.mark.parametrize("corpus", ["", '{"_id": "d1", "text": "&nbsp;"}'])
def test_a_suites_corpus_without_a_document_says_so(tmp_path, corpus):
    suite(tmp_path, HEADER + "q1\td1\t1\n")
    put(tmp_path, "eval/gold/corpus.jsonl", corpus)
    with pytest.raises(UserError, match=r"eval/gold/corpus.jsonl has no document \(1 missing_text; "):
        read_suites(tmp_path, KNOWN)


def test_hidden_names_make_no_suite(tmp_path):
    put(tmp_path, "eval/gold/.DS_Store", "x")
    put(tmp_path, "eval/.DS_Store", "x")
    assert read_suites(tmp_path, KNOWN).rejected.is_empty()


def test_a_scale_of_a_file_that_is_not_there_is_refused(tmp_path):
    graded(tmp_path, [0, 5], "sts/a.csv")
    graded(tmp_path, [0, 5], "eval/b.csv")
    suite(tmp_path, HEADER + "q1\td1\t1\n")
    for said in ("sts_scale: [0, 5]", "sts_scale: {sts/a.csv: [0, 5], eval/b.csv: [0, 5]}"):
        put(tmp_path, "set.yaml", said)
        check_scales(tmp_path)
    put(tmp_path, "set.yaml", "sts_scale: {a.csv: [0, 5]}")
    with pytest.raises(UserError, match=r"'a.csv', which is not there; files of pairs: sts/a.csv, eval/b.csv"):
        check_scales(tmp_path)


def test_qrels_to_train_on_whose_columns_cannot_be_told_stop_the_build(tmp_path):
    put(tmp_path, "queries.jsonl", jsonl({"_id": "q1", "text": "uno?", "document_id": "d1"}))
    put(tmp_path, "qrels/train.tsv", "query-id\tcorpus-id\trelevance\tscore\nq1\td2\t0\t87\n")
    assert recorded(tmp_path)[1] == [
        ("file", "qrels/train.tsv", "unreadable"),
        ("file", "qrels/train.tsv", "all_rejected"),
    ]
