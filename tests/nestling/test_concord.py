import json

import polars as pl

from nestling.review.concord import agreement
from nestling.tables.io import empty, write_json
from nestling.tables.review import Answer

NEAR, FAR = "vicino", "lontano"
RECORDS = pl.DataFrame({"record_id": ["r", "s"], "passage_id": ["mulino", "libri"]}).with_columns(
    query="record_id", candidates=pl.lit([NEAR, FAR])
)


def said(question, *rows):
    """Answers (record_id, annotator, value); ref is a referee."""
    told = [(record, question, who, who == "ref", False, json.dumps(value), "t", "a") for record, who, value in rows]
    return pl.DataFrame(told, schema=empty(Answer).schema, orient="row")


def measured(*answers):
    return agreement(pl.concat(answers), RECORDS, seed=1, replicates=20)


def test_agreement_on_passages_is_measured_on_the_candidates_alone():
    one = [(record, "a", [own, NEAR]) for record, own in (("r", "mulino"), ("s", "libri"))]
    other = [(record, "b", [own, FAR]) for record, own in (("r", "mulino"), ("s", "libri"))]
    found = measured(said("relevant", *one, *other))["relevant"]
    assert found["units"] == 4  # the queries' own passages, which both marked in both records, are not counted
    assert found["alpha"] < 0  # on the candidates they never agree
    assert [(each["annotators"], each["observed"], each["kappa"]) for each in found["pairs"]] == [(["a", "b"], 0, -1)]


def test_referees_see_disputed_records_alone_and_are_no_part_of_agreement():
    votes = [("r", "a", "good"), ("r", "b", "vague"), ("s", "a", "good"), ("s", "b", "good")]
    without = measured(said("query_quality", *votes))
    refereed = said("query_quality", *votes, ("r", "ref", "good"), ("s", "ref", "good"))
    assert measured(refereed) == without
    assert [each["annotator"] for each in without["query_quality"]["with_the_rest"]] == ["a", "b"]


def test_who_was_shown_a_suggestion_is_no_part_of_agreement():
    votes = [("r", "a", "good"), ("r", "b", "vague"), ("s", "a", "good"), ("s", "b", "good")]
    primed = said("query_quality", ("r", "c", "good"), ("s", "c", "good")).with_columns(suggested=True)
    assert measured(said("query_quality", *votes), primed) == measured(said("query_quality", *votes))
    blind = primed.with_columns(suggested=False)
    assert measured(said("query_quality", *votes), blind) != measured(said("query_quality", *votes))


def test_grades_are_compared_by_their_distance():
    near = [("p", "a", 1), ("p", "b", 2), ("q", "a", 4), ("q", "b", 5)]
    found = measured(said("similarity", *near))["similarity"]
    assert found["pairs"][0]["observed"] == 0
    assert found["pairs"][0]["kappa"] > 0.7 < found["alpha"] + 0.1


def test_without_answers_every_question_is_there_and_the_report_is_valid(tmp_path):
    found = measured(empty(Answer))
    write_json(found, tmp_path / "report.json")
    assert [(name, each["alpha"], each["pairs"], each["with_the_rest"]) for name, each in found.items()] == [
        (name, None, [], []) for name in ("query_quality", "relevant", "similarity")
    ]
