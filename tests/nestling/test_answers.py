import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.review.answers import by_annotator, majority, read_answers, read_shown_records, under_names_of_now
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.review import Answer

ANSWER = {
    "record_id": "r1",
    "question": "query_quality",
    "value": "good",
    "annotator": "anna",
    "status": "submitted",
    "submitted_at": "2026-11-20T10:00:00Z",
}


def write(folder, name, *lines):
    """A round; a dict is written as JSON, text as it is."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / f"{name}.jsonl").write_text(text + "\n", encoding="utf-8")


def values(folder):
    return [json.loads(value) for value in read_answers(folder)[0]["value"]]


def left_out(folder):
    return read_answers(folder)[1].select("item_id", "reason").rows()


def test_rounds_add_up(tmp_path):
    write(tmp_path, "round-1", ANSWER)
    write(tmp_path, "round-2", ANSWER | {"annotator": "bo", "value": "vague"}, ANSWER | {"record_id": "r2"})
    answers, rejected = read_answers(tmp_path)
    assert answers.select("record_id", "annotator", "value", "round").rows() == [
        ("r1", "anna", '"good"', "round-1"),
        ("r1", "bo", '"vague"', "round-2"),
        ("r2", "anna", '"good"', "round-2"),
    ]
    assert rejected.is_empty()


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"),
        ("2026-11-20T10:30:00+02:00", "2026-11-20T09:00:00Z"),  # half past eight in UTC
        ("2026-11-20T10:00:00", "2026-11-20T10:00:00.000001"),
        ("2026-11-20", "2026-11-20T00:00:01+00:00"),
    ],
)
def test_a_persons_later_answer_replaces_the_earlier_whichever_round_it_stands_in(tmp_path, earlier, later):
    write(tmp_path, "a", ANSWER | {"submitted_at": later, "value": "vague"})
    write(tmp_path, "b", ANSWER | {"submitted_at": earlier})
    assert values(tmp_path) == ["vague"]


def test_of_two_answers_at_the_same_time_the_last_line_counts(tmp_path):
    write(tmp_path, "a", ANSWER, ANSWER | {"value": "vague"})
    assert values(tmp_path) == ["vague"]


@pytest.mark.parametrize("status", ["draft", "discarded", "pending"])
def test_only_what_was_submitted_counts(tmp_path, status):
    write(tmp_path, "a", ANSWER, ANSWER | {"status": status, "value": "vague", "submitted_at": "2027-01-01T00:00:00Z"})
    assert values(tmp_path) == ["good"]
    assert left_out(tmp_path) == [("a:2", "not_submitted")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"record_id": "r1", ', "broken_json"),
        ("[1, 2]", "broken_json"),
        ("[" * 100_000, "broken_json"),
        (json.dumps(ANSWER | {"value": "\ud83d"}), "broken_json"),
        (json.dumps({key: ANSWER[key] for key in ANSWER if key != "annotator"}), "missing_annotator"),
        (json.dumps(ANSWER | {"value": "bad"}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "mood"}), "invalid_value"),
        (json.dumps(ANSWER | {"record_id": 7}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "relevant", "value": "p1"}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "relevant", "value": [1]}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "similarity", "value": 5.1}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "similarity", "value": True}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "similarity", "value": float("nan")}), "invalid_value"),
        (json.dumps(ANSWER | {"question": "rewrite", "value": None}), "invalid_value"),
        (json.dumps(ANSWER | {"referee": "yes"}), "invalid_value"),
        (json.dumps(ANSWER | {"referee": 1}), "invalid_value"),
        (json.dumps(ANSWER | {"referee": None}), "invalid_value"),
        (json.dumps(ANSWER | {"suggested": "yes"}), "invalid_value"),
        (json.dumps(ANSWER | {"suggested": 0}), "invalid_value"),
        (json.dumps(ANSWER | {"suggested": None}), "invalid_value"),
        (json.dumps(ANSWER | {"submitted_at": "yesterday"}), "invalid_time"),
    ],
)
def test_a_broken_line_is_counted_and_the_others_stand(tmp_path, line, reason):
    write(tmp_path, "a", ANSWER, line, ANSWER | {"record_id": "r2"})
    assert left_out(tmp_path) == [("a:2", reason)]
    assert values(tmp_path) == ["good", "good"]


def test_a_line_that_is_no_utf_8_is_counted_and_a_byte_order_mark_is_harmless(tmp_path):
    good = json.dumps(ANSWER).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\n" + good.replace(b"anna", b"Jos\xe9") + b"\n\n")
    assert values(tmp_path) == ["good"]
    assert left_out(tmp_path) == [("a:2", "invalid_utf8")]


def test_without_answers_there_are_empty_tables(tmp_path):
    answers, rejected = read_answers(tmp_path)
    assert (answers.height, rejected.height, read_shown_records(tmp_path).height) == (0, 0, 0)


def test_records_as_they_were_shown_are_no_answers(tmp_path):
    shown = {"record_id": "r1", "query": "chi macina", "passage_id": "p1", "candidates": ["p2"], "why": "audit"}
    write(tmp_path, "a.records", shown, "{", {"record_id": "r2"}, shown | {"record_id": "r3", "candidates": None})
    assert read_shown_records(tmp_path).rows() == [("r1", "chi macina", "p1", ["p2"]), ("r3", "chi macina", "p1", [])]
    assert read_answers(tmp_path)[1].is_empty()


@given(st.lists(st.sampled_from("abc")))
def test_the_majority_is_the_only_most_frequent_vote(votes):
    most = [vote for vote in "abc" if votes and votes.count(vote) == max(map(votes.count, votes))]
    assert majority(votes) == (most[0] if len(most) == 1 else None)


def test_what_a_person_says_as_a_referee_stands_beside_what_they_said_as_an_annotator(tmp_path):
    refereed = ANSWER | {"referee": True, "submitted_at": "2026-11-21T10:00:00Z"}
    write(tmp_path, "a", ANSWER, refereed, refereed | {"value": "vague", "submitted_at": "2026-11-22T10:00:00Z"})
    write(
        tmp_path, "b", ANSWER | {"referee": False, "value": "wrong_language", "submitted_at": "2026-11-23T10:00:00Z"}
    )
    answers = read_answers(tmp_path)[0]
    assert answers.select("referee", "value").rows() == [(False, '"wrong_language"'), (True, '"vague"')]


def test_an_answer_tells_whether_a_suggestion_was_shown_and_the_last_word_counts_either_way(tmp_path):
    primed = ANSWER | {"suggested": True, "annotator_id": "5c1e", "submitted_at": "2026-11-21T10:00:00Z"}
    write(tmp_path, "a", ANSWER | {"annotator": "bo", "suggested": False}, ANSWER, primed | {"value": "vague"})
    assert read_answers(tmp_path)[0].select("annotator", "suggested", "value").rows() == [
        ("anna", True, '"vague"'),
        ("bo", False, '"good"'),
    ]


def test_who_did_how_much(tmp_path):
    write(tmp_path, "a", ANSWER, ANSWER | {"question": "comment"}, ANSWER | {"record_id": "r2", "referee": True})
    write(tmp_path, "b", ANSWER | {"annotator": "bo"})
    assert by_annotator(read_answers(tmp_path)[0]) == {
        "anna": {"answers": 3, "records": 2, "as_referee": 1},
        "bo": {"answers": 1, "records": 1, "as_referee": 0},
    }


HOSTILE = [
    "<script>alert(1)</script>",
    "\u202ermal\u202c",
    "a\x00b\x1b[31m\x7f",
    "x" * 100_000,
    "",
    "'; --\n|\u2028",
    "\ufeff🐔",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_name_or_a_comment_holds_passes_through_table_and_report_unchanged(tmp_path, text):
    write(
        tmp_path, "a", ANSWER | {"annotator": text}, ANSWER | {"annotator": text, "question": "comment", "value": text}
    )
    answers, rejected = read_answers(tmp_path)
    write_table(answers, tmp_path / "answers.parquet", Answer)
    write_json(by_annotator(answers), tmp_path / "report.json")
    again = read_table(tmp_path / "answers.parquet", Answer)
    assert (set(again["annotator"]), json.loads(again["value"][0]), rejected.height) == ({text}, text, 0)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))[text]["answers"] == 2


MARK = ANSWER | {"question": "relevant", "value": ["p1"]}


@pytest.mark.parametrize(
    ("earlier", "later", "people"),
    [
        ({"annotator_id": "u1"}, {"annotator_id": "u1", "annotator": "anna.rossi"}, ["anna.rossi"]),
        ({}, {"annotator_id": "u1"}, ["anna"]),  # a sheet, then a server
        ({"annotator_id": "u1"}, {"annotator_id": "u9"}, ["anna"]),  # a server that was set up anew
        ({"annotator_id": "u1"}, {"annotator_id": "u1", "annotator": "u1"}, ["anna"]),  # taken from the desk
        ({"annotator_id": "u1"}, {"annotator_id": "u2", "annotator": "bo"}, ["anna", "bo"]),
    ],
)
def test_a_person_is_one_whatever_the_name_becomes_and_is_called_by_the_newest(tmp_path, earlier, later, people):
    write(tmp_path, "a", MARK | earlier)
    write(tmp_path, "b", MARK | {"submitted_at": "2026-12-01T10:00:00Z"} | later)
    assert read_answers(tmp_path)[0]["annotator"].to_list() == people


def test_a_name_without_an_id_is_whose_it_was_and_a_name_that_was_given_on_is_the_new_ones(tmp_path):
    renamed = {"annotator_id": "u1", "annotator": "anna.rossi", "submitted_at": "2026-12-01T10:00:00Z"}
    write(tmp_path, "a", MARK, MARK | {"annotator_id": "u1"}, MARK | renamed)
    assert read_answers(tmp_path)[0]["annotator"].to_list() == ["anna.rossi"]
    write(tmp_path, "b", MARK | {"annotator_id": "u2", "submitted_at": "2026-12-02T10:00:00Z"})
    assert read_answers(tmp_path)[0]["annotator"].to_list() == ["anna", "anna.rossi"]


def test_answers_to_a_record_whose_query_is_spelled_another_way_now_bear_its_name_of_now(tmp_path):
    shown = {"record_id": "old", "query": "Chi macina?", "passage_id": "p1", "candidates": ["p3", "p2"]}
    others = [shown | {"record_id": "moved", "passage_id": "p9"}, shown | {"record_id": "fewer", "candidates": []}]
    write(tmp_path, "a.records", shown, *others)
    later = {"submitted_at": "2026-12-01T10:00:00Z"}
    write(tmp_path, "a", *(MARK | {"record_id": name} for name in ("old", "moved", "fewer")))
    write(tmp_path, "b", MARK | {"record_id": "now", "value": []} | later)
    records = pl.DataFrame([shown | {"record_id": "now", "query": "chi macina"}])
    found = under_names_of_now(read_answers(tmp_path)[0], records, read_shown_records(tmp_path))
    assert found.select("record_id", "value").rows() == [("fewer", '["p1"]'), ("moved", '["p1"]'), ("now", "[]")]
