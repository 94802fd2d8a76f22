import json

import polars as pl

from nestling.desk.adjudicating import Agreed, pair_disputes, retrieval_disputes
from nestling.desk.interface import LETTERS
from nestling.desk.wording import Wording
from nestling.tables.review import Disagreement

WORDING = Wording.load("it")
RECORDS = pl.DataFrame(
    {
        "record_id": ["r1", "r2"],
        "query": ["chi?", "che?"],
        "passage_id": ["p1", "p1"],
        "candidates": [["p2"], ["gone"]],
    }
)
PASSAGES = pl.DataFrame({"passage_id": ["p1", "p2"], "text": ["uno", "due"], "language": "it"})


def dispute(record, question, passage, *values):
    votes = [{"annotator": f"person {n}", "value": json.dumps(value)} for n, value in enumerate(values)]
    return {"record_id": record, "question": question, "passage_id": passage, "votes": votes, "settled": False}


def disputes(*rows):
    return pl.DataFrame(rows, schema=pl.Schema(Disagreement.create_empty().schema), orient="row")


def tasks(found, relevant=(), quality=()):
    """Make a referee's tasks; relevant: (passage_id, whether it answers), quality: words, of the first record."""
    agreed = Agreed(
        pl.DataFrame([("chi?", *one) for one in relevant], ["query", "passage_id", "relevant"], orient="row")
        if relevant
        else pl.DataFrame(schema={"query": pl.String, "passage_id": pl.String, "relevant": pl.Boolean}),
        pl.DataFrame(
            [("chi?", "p1", word) for word in quality],
            {"query": pl.String, "passage_id": pl.String, "quality": pl.String},
            orient="row",
        ),
    )
    return retrieval_disputes(found, RECORDS, PASSAGES, agreed, WORDING)


def test_a_referee_sees_the_record_as_it_was_and_how_many_said_what():
    found = disputes(
        dispute("r1", "query_quality", None, "good", "vague", "good"),
        dispute("r1", "relevant", "p2", True, False, False),
    )
    (task,) = tasks(found)
    assert (task.record_id, task.query, dict(task.passages)) == ("r1", "chi?", {"p1": "uno", "p2": "due"})
    letter = LETTERS[[passage for passage, _ in task.passages].index("p2")]
    assert task.said == f"Buona: 2 · Vaga: 1\n{letter}: 1/3"
    assert "person" not in task.said
    assert task.suggestions == ()


def test_what_annotators_agree_on_is_pre_selected_and_what_they_dispute_is_not():
    (task,) = tasks(disputes(dispute("r1", "relevant", "p2", True, False)), [("p1", True), ("p2", None)], ["good"])
    assert {(one.question, str(one.value)) for one in task.suggestions} == {
        ("relevant", "['p1']"),
        ("query_quality", "good"),
    }
    (task,) = tasks(disputes(dispute("r1", "query_quality", None, "good", "vague")), [("p1", False)], [None])
    assert task.suggestions == ()


def test_a_record_of_which_a_passage_is_gone_cannot_be_shown():
    assert tasks(disputes(dispute("r2", "relevant", "gone", True, False))) == []


def test_grades_that_differ_go_to_the_referee_with_their_pair():
    pairs = pl.DataFrame(
        {"pair_id": ["s1", "s2"], "sentence1": ["a", "c"], "sentence2": ["b", "d"], "score": [0.1, 0.2]}
    )
    (task,) = pair_disputes(disputes(dispute("s2", "similarity", None, 4, 1)), pairs)
    assert (task.record_id, task.sentence1, task.sentence2, task.said) == ("s2", "c", "d", "1, 4")
