import json

import polars as pl
import pytest

from nestling.review.fitting import Present, gathered, no_longer_fit
from nestling.tables.io import empty
from nestling.tables.review import Answer

PRESENT = Present(
    queries=pl.DataFrame({"text": ["macina", "presta"], "passage_id": ["mulino", "libri"]}),
    passages=pl.DataFrame({"passage_id": ["mulino", "libri", "grano", "pane"]}),
    pairs=pl.DataFrame({"pair_id": ["pair"]}),
)
SHOWN = ["record_id", "query", "passage_id", "candidates"]
NOW = pl.DataFrame([("now", "macina", "mulino", ["grano", "pane"])], schema=SHOWN, orient="row")
EARLIER = pl.DataFrame(
    [
        ("old", "macina", "mulino", ["grano", "burned"]),
        ("query gone", "sparita", "mulino", ["grano"]),
        ("moved", "presta", "burned", ["libri", "ash"]),
        ("all gone", "presta", "burned", ["ash"]),
        ("respelled", "Macina?", "mulino", ["grano"]),
    ],
    schema=SHOWN,
    orient="row",
)


def said(*rows):
    """Answers (record_id, question, value)."""
    told = [(record, question, "a", False, False, json.dumps(value), "t", "a") for record, question, value in rows]
    return gathered(pl.DataFrame(told, schema=empty(Answer).schema, orient="row"), NOW, EARLIER, PRESENT)


@pytest.mark.parametrize(
    ("record", "question", "cause"),
    [
        ("now", "query_quality", None),
        ("old", "rewrite", None),
        ("respelled", "query_quality", None),  # the same words
        ("respelled", "relevant", None),
        ("query gone", "query_quality", "query_gone"),
        ("moved", "query_quality", "query_gone"),  # its words stand, with another passage
        ("moved", "relevant", None),  # what was said of libri holds
        ("all gone", "relevant", "passages_gone"),
        ("query gone", "relevant", "query_gone"),
        ("pair", "similarity", None),
        ("now", "similarity", "pair_gone"),
        ("never seen", "similarity", "pair_gone"),
        ("never seen", "relevant", "record_unknown"),
        ("never seen", "rewrite", "record_unknown"),
        ("pair", "query_quality", "record_unknown"),
        ("never seen", "comment", "record_unknown"),
        ("query gone", "comment", None),
        ("pair", "comment", None),
    ],
)
def test_an_answer_fits_or_there_is_a_cause(record, question, cause):
    found = said((record, question, [] if question == "relevant" else "1"))
    assert found.answers["cause"].to_list() == [cause]
    assert found.fitting.height == (cause is None)


def test_what_does_not_fit_is_counted_by_question_and_cause():
    found = said(
        ("now", "query_quality", "good"),
        ("never seen", "query_quality", "good"),
        ("query gone", "query_quality", "good"),
        ("query gone", "relevant", []),
        ("gone", "similarity", 3),
    )
    assert no_longer_fit(found) == {
        "answers": 4,
        **{"query_quality": 2, "relevant": 1, "rewrite": 0, "comment": 0, "similarity": 1},
        "causes": {"record_unknown": 1, "query_gone": 2, "passages_gone": 0, "pair_gone": 1},
        "passages_judged": 2,
    }


@pytest.mark.parametrize(
    ("record", "marks", "lost"),
    [
        ("now", ["mulino"], 0),
        ("old", ["grano"], 1),  # burned
        ("query gone", [], 2),
        ("moved", ["libri"], 2),  # burned and ash
        ("now", ["mulino", "never shown", "never shown"], 1),
        ("never seen", ["mulino"], 0),  # what was shown is unknown
    ],
)
def test_single_judgements_that_meet_nothing_are_counted(record, marks, lost):
    assert said((record, "relevant", marks)).passages_lost == lost


def test_a_record_of_now_stands_before_the_same_of_an_earlier_round():
    again = NOW.with_columns(candidates=pl.lit(["other"]))
    found = gathered(empty(Answer), NOW, pl.concat([EARLIER, again]), PRESENT).records
    assert found["record_id"].to_list() == ["now", "old", "query gone", "moved", "all gone", "respelled"]
    assert found["candidates"][0].to_list() == ["grano", "pane"]
