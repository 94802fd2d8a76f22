import json

import polars as pl
import pytest

from nestling.review.disagreements import disagreements, open_and_settled
from nestling.tables.io import empty, write_table
from nestling.tables.review import Answer, Disagreement

RECORDS = pl.DataFrame(
    {
        "record_id": ["now", "old", "other"],
        "query": ["macina", "macina", "presta"],
        "passage_id": ["mulino", "mulino", "libri"],
        "candidates": [["grano", "pane"], ["pane", "forno"], ["grano"]],
    }
)
CORPUS = pl.DataFrame({"passage_id": ["mulino", "libri", "grano", "pane", "forno"]})


def said(question, *rows):
    """Answers (record_id, annotator, value), each later than the one before; who is named ref... is a referee."""
    told = [
        (record, question, who, who.startswith("ref"), False, json.dumps(value), f"t{time}", "a")
        for time, (record, who, value) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=empty(Answer).schema, orient="row")


def listed(answers, corpus=CORPUS):
    """What the table lists: record, passage, the values by person, settled."""
    found = disagreements(answers, RECORDS, corpus)
    return [
        (record, passage, {vote["annotator"]: json.loads(vote["value"]) for vote in votes}, settled)
        for record, _, passage, votes, settled in found.rows()
    ]


def test_people_who_use_different_words_differ_and_those_of_one_mind_do_not():
    votes = [("now", "a", "good"), ("now", "b", "vague"), ("other", "a", "good"), ("other", "b", "good")]
    assert listed(said("query_quality", *votes)) == [("now", None, {"a": "good", "b": "vague"}, False)]


def test_people_differ_on_each_passage_by_itself():
    marks = said("relevant", ("now", "a", ["mulino", "grano"]), ("now", "b", ["mulino"]), ("now", "c", ["grano"]))
    assert listed(marks) == [
        ("now", "grano", {"a": True, "b": False, "c": True}, False),
        ("now", "mulino", {"a": True, "b": True, "c": False}, False),
    ]


@pytest.mark.parametrize(("grades", "differ"), [((1, 2), 0), ((1, 3), 1), ((1, 2, 3), 1), ((4.5, 3), 0), ((5,), 0)])
def test_grades_differ_by_two_or_more(grades, differ):
    people = [("pair", name, grade) for name, grade in zip("abc", grades, strict=False)]
    assert len(listed(said("similarity", *people))) == differ


@pytest.mark.parametrize(
    ("question", "one", "other", "word"),
    [("query_quality", "good", "vague", "vague"), ("relevant", ["pane"], [], ["pane"]), ("similarity", 1, 5, 3)],
)
def test_a_referees_word_settles_and_is_no_vote(question, one, other, word):
    found = listed(said(question, ("now", "a", one), ("now", "b", other), ("now", "ref", word)))
    ((_, _, votes, settled),) = found
    assert (set(votes), settled) == ({"a", "b"}, True)


@pytest.mark.parametrize(
    ("question", "one", "other", "settled"),
    [
        ("query_quality", "good", "vague", False),
        ("query_quality", "not_answerable", "vague", True),  # bad in either word
        ("relevant", ["pane"], [], False),
        ("similarity", 1, 5, True),  # their mean counts
    ],
)
def test_referees_who_tie_settle_nothing(question, one, other, settled):
    votes = [("now", "a", one), ("now", "b", other), ("now", "ref 1", one), ("now", "ref 2", other)]
    assert [found[-1] for found in listed(said(question, *votes))] == [settled]


def test_one_person_and_a_referee_do_not_differ():
    assert listed(said("query_quality", ("now", "a", "good"), ("now", "ref", "vague"))) == []


def test_people_who_saw_the_same_in_two_records_differ_under_the_name_of_the_first():
    marks = said("relevant", ("old", "a", ["pane", "forno"]), ("now", "b", []), ("old", "c", ["pane"]))
    assert [(record, passage) for record, passage, _, _ in listed(marks)] == [("now", "pane"), ("old", "forno")]


def test_a_person_who_changed_their_mind_counts_once():
    assert listed(said("query_quality", ("old", "a", "vague"), ("now", "a", "good"), ("now", "b", "good"))) == []


def test_a_passage_that_is_gone_is_nothing_to_settle():
    marks = said("relevant", ("old", "a", ["forno"]), ("old", "b", []))
    assert len(listed(marks)) == 1
    assert listed(marks, CORPUS.filter(pl.col("passage_id") != "forno")) == []


def test_rewrites_and_comments_are_nobodys_dispute():
    assert (
        listed(pl.concat([said(name, ("now", "a", "x"), ("now", "b", "y")) for name in ("rewrite", "comment")])) == []
    )


def test_open_and_settled_are_counted_by_question():
    votes = said("query_quality", ("now", "a", "good"), ("now", "b", "vague"), ("now", "ref", "good"))
    marks = said("relevant", ("now", "a", ["grano", "pane"]), ("now", "b", []))
    found = disagreements(pl.concat([votes, marks]), RECORDS, CORPUS)
    assert open_and_settled(found) == {
        "query_quality": {"open": 0, "settled": 1},
        "relevant": {"open": 2, "settled": 0},
        "similarity": {"open": 0, "settled": 0},
    }


def test_the_table_is_the_same_in_any_order_of_answers_and_holds_any_name(tmp_path):
    votes = said("query_quality", ("now", "<b>\u202e\x00", "good"), ("now", "x" * 100_000, "vague"))
    for name, answers in (("one", votes), ("two", votes.reverse())):
        write_table(disagreements(answers, RECORDS, CORPUS), tmp_path / name, Disagreement)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
