import json

import polars as pl
import pytest

from nestling.corpus.ids import content_id
from nestling.review.apply import (
    apply_quality,
    apply_relevance,
    apply_similarity,
    judged_passages,
    quality,
    relevance,
    rewrites,
)
from nestling.tables.io import empty
from nestling.tables.review import Answer

QUERIES = pl.DataFrame(
    {"query_id": ["q1", "q2", "q3"], "text": ["macina", "presta", "apre"], "passage_id": ["mulino", "libri", "baita"]}
)
RECORDS = pl.DataFrame(
    {
        "record_id": ["r1", "r2", "r3", "old"],
        "query": ["macina", "presta", "apre", "macina"],
        "passage_id": ["mulino", "libri", "baita", "mulino"],
        "candidates": [["grano", "pane"], ["grano"], [], ["forno", "pane"]],
    }
)
JUDGED = {"query": pl.String, "passage_id": pl.String, "relevant": pl.Boolean, "confirmed": pl.Boolean}
NOBODY = pl.DataFrame(schema={"passage_id": pl.String})


def said(question, *rows, referees=("referee",)):
    """Answers (record_id, annotator, value), each later than the one before; some people are referees."""
    told = [
        (record, question, who, who in referees, False, json.dumps(value), f"t{time}", "a")
        for time, (record, who, value) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema=empty(Answer).schema, orient="row")


def judged(*rows, confirmed=True):
    return pl.DataFrame([(*row, confirmed) for row in rows], schema=JUDGED, orient="row")


def words(answers):
    """What people call queries: (query, passage_id, quality)."""
    return quality(answers, RECORDS).drop("confirmed").rows()


def applied(*qualities, rewrite=()):
    """What apply_quality makes of (record_id, annotator, value)."""
    answers = pl.concat([said("query_quality", *qualities), said("rewrite", *rewrite)])
    return apply_quality(QUERIES, quality(answers, RECORDS), rewrites(answers, RECORDS))


def test_a_bad_query_goes_out_with_its_reason():
    kept, out = applied(("r1", "anna", "vague"), ("r2", "anna", "good"), ("r3", "anna", "wrong_language"))
    assert kept["query_id"].to_list() == ["q2"]
    assert out.select("query_id", "reason").rows() == [("q1", "quality"), ("q3", "quality")]


def test_the_majority_decides_and_a_tie_changes_nothing():
    votes = [("r1", who, value) for who, value in [("a", "vague"), ("b", "vague"), ("c", "good")]]
    ties = [("r2", "a", "vague"), ("r2", "b", "good")]
    kept, out = applied(*votes, *ties)
    assert (kept["query_id"].to_list(), out["query_id"].to_list()) == (["q2", "q3"], ["q1"])
    assert words(said("query_quality", *ties)) == [("presta", "libri", None)]


def test_a_rewrite_saves_a_bad_query_and_gives_it_a_new_id():
    kept, out = applied(("r1", "anna", "vague"), rewrite=[("r1", "anna", " Chi  macina\nil grano? ")])
    saved = kept.filter(pl.col("old_id") == "q1").row(0, named=True)
    assert (saved["text"], saved["rewritten_from"]) == ("Chi macina il grano?", "macina")
    assert saved["query_id"] == content_id("Chi macina il grano?", "mulino")
    assert out.is_empty()


@pytest.mark.parametrize("wording", ["", "  ", "macina"])
def test_the_same_words_or_none_are_no_rewrite(wording):
    kept, out = applied(("r1", "anna", "vague"), rewrite=[("r1", "anna", wording)])
    assert kept["rewritten_from"].to_list() == [None, None]
    assert out["query_id"].to_list() == ["q1"]


def test_wordings_that_differ_in_blanks_alone_agree():
    votes = said("rewrite", ("r1", "a", "chi macina?"), ("r1", "b", "chi  macina? "), ("r1", "c", "macina chi"))
    assert rewrites(votes, RECORDS).rows() == [("macina", "mulino", "chi macina?")]


def test_a_rewrite_into_a_query_that_its_passage_has_is_a_counted_duplicate():
    twin = pl.DataFrame({"query_id": ["q9"], "text": ["chi macina?"], "passage_id": ["mulino"]})
    reworded = rewrites(said("rewrite", ("r1", "anna", "chi macina?")), RECORDS)
    kept, out = apply_quality(pl.concat([QUERIES, twin]), quality(said("query_quality"), RECORDS), reworded)
    assert kept["query_id"].to_list() == ["q2", "q3", "q9"]
    assert out.rows() == [("q1", "chi macina?", "mulino", "duplicate")]


def test_a_persons_later_word_counts_though_it_stands_in_another_record():
    changed = said("query_quality", ("r1", "anna", "vague"), ("old", "anna", "good"))
    back = said("query_quality", ("old", "anna", "good"), ("r1", "anna", "vague"))
    assert words(changed) == [("macina", "mulino", "good")]
    assert words(back) == [("macina", "mulino", "vague")]


def test_two_people_in_two_records_of_one_query_are_two_votes():
    votes = said("query_quality", ("r1", "anna", "vague"), ("old", "bo", "good"))
    assert words(votes) == [("macina", "mulino", None)]


def test_every_passage_shown_and_not_marked_is_a_no():
    marks = said("relevant", ("r1", "anna", ["mulino", "grano", "never shown"]))
    assert relevance(marks, RECORDS).rows() == [("r1", "grano", True), ("r1", "mulino", True), ("r1", "pane", False)]


def test_marks_of_several_rounds_add_up_passage_by_passage():
    marks = said("relevant", ("old", "anna", ["pane", "forno"]), ("old", "bo", ["forno"]), ("r1", "anna", ["mulino"]))
    found = {passage: answers for _, passage, answers, _ in judged_passages(marks, RECORDS).rows()}
    assert found == {"forno": True, "grano": False, "mulino": None, "pane": False}


def test_answers_to_unknown_records_are_left_aside():
    assert judged_passages(said("relevant", ("gone", "anna", ["mulino"])), RECORDS).is_empty()
    assert quality(said("query_quality", ("gone", "anna", "vague")), RECORDS).is_empty()


ASKED = QUERIES.with_columns(old_id="query_id", rewritten_from=pl.lit(None, dtype=pl.String), split=pl.lit("train"))
NEGATIVES = pl.DataFrame(
    {
        "query_id": ["q1", "q1", "q2"],
        "rank": [3, 5, 2],
        "passage_id": ["grano", "pane", "grano"],
        "score": [0.5, 0.4, 0.3],
        "verdict": "negative",
    }
)


def relevance_applied(verdicts, queries=ASKED, hits=NEGATIVES, held_out=NOBODY):
    return apply_relevance(queries, hits, verdicts, held_out)


def test_a_false_negative_becomes_a_positive():
    verdicts = judged(("macina", "grano", True), ("macina", "pane", False))
    positives, negatives = relevance_applied(verdicts)
    assert ("q1", "grano", "judged") in positives.rows()
    assert positives.filter(pl.col("source") == "own").height == 3
    assert negatives.select("query_id", "passage_id").rows() == [("q1", "pane"), ("q2", "grano")]


def test_what_people_tie_on_is_neither_positive_nor_negative():
    positives, negatives = relevance_applied(judged(("macina", "grano", None)))
    assert positives.height == 3
    assert negatives.select("query_id", "passage_id").rows() == [("q1", "pane"), ("q2", "grano")]


def test_a_passage_that_does_not_answer_its_own_query_is_no_positive():
    verdicts = judged(("macina", "mulino", False), ("presta", "libri", None))
    positives, _ = relevance_applied(verdicts)
    assert positives["query_id"].to_list() == ["q2", "q3"]  # a tie changes nothing


def test_a_reworded_query_keeps_the_judgements_and_negatives_of_the_old_wording():
    new = ASKED.with_columns(
        query_id=pl.when(pl.col("query_id") == "q1").then(pl.lit("new")).otherwise("query_id"),
        rewritten_from=pl.when(pl.col("query_id") == "q1").then("text"),
        text=pl.when(pl.col("query_id") == "q1").then(pl.lit("chi macina?")).otherwise("text"),
    )
    positives, negatives = relevance_applied(judged(("macina", "grano", True)), queries=new)
    assert ("new", "grano", "judged") in positives.rows()
    assert negatives.select("query_id", "passage_id").rows() == [("new", "pane"), ("q2", "grano")]


def test_grades_from_0_to_5_are_averaged_and_brought_to_1():
    pairs = pl.DataFrame({"pair_id": ["p1", "p2"], "score": [0.1, 0.2]})
    graded, changed = apply_similarity(pairs, said("similarity", ("p1", "a", 4), ("p1", "b", 5), ("gone", "a", 0)))
    assert (graded["score"].to_list(), changed) == ([pytest.approx(0.9), 0.2], 1)


def test_a_referees_word_settles_what_others_tie_on_or_outvote():
    votes = [("r1", "a", "vague"), ("r1", "referee", "good"), ("r1", "b", "vague"), ("r2", "a", "vague")]
    assert words(said("query_quality", *votes)) == [
        ("macina", "mulino", "good"),
        ("presta", "libri", "vague"),
    ]


def test_several_referees_settle_by_majority_or_tie():
    votes = [("r1", "a", "good"), ("r1", "x", "vague"), ("r1", "y", "vague"), ("r1", "z", "good"), ("r2", "a", "good")]
    ties = [("r2", "x", "good"), ("r2", "y", "vague")]
    found = words(said("query_quality", *votes, *ties, referees=("x", "y", "z")))
    assert found == [("macina", "mulino", "vague"), ("presta", "libri", None)]


def test_a_referee_settles_the_passages_shown_and_no_other():
    marks = said("relevant", ("old", "a", ["forno", "pane"]), ("old", "b", ["forno"]), ("r1", "referee", ["pane"]))
    found = {passage: answers for _, passage, answers, _ in judged_passages(marks, RECORDS).rows()}
    assert found == {"forno": True, "grano": False, "mulino": False, "pane": True}
    assert relevance(marks, RECORDS).filter(record_id="old", passage_id="pane")["relevant"].to_list() == [None]


def test_who_annotates_and_referees_a_record_has_two_voices_of_which_the_referees_counts():
    marks = pl.concat([said("relevant", ("r1", "a", ["grano"])), said("relevant", ("r1", "a", []), referees=("a",))])
    assert relevance(marks, RECORDS)["relevant"].to_list() == [False, False, False]
    assert relevance(marks.reverse(), RECORDS).equals(relevance(marks, RECORDS))


@pytest.mark.parametrize(
    ("votes", "word"),
    [
        (("vague", "not_answerable", "good"), "not_answerable"),  # two of three say bad
        (("vague", "not_answerable"), "not_answerable"),
        (("wrong_language", "vague", "wrong_language", "good"), "wrong_language"),
        (("vague", "not_answerable", "good", "good"), None),
        (("vague", "not_answerable", "good", "good", "good"), "good"),
    ],
)
def test_good_stands_against_bad_before_one_bad_word_against_another(votes, word):
    told = said("query_quality", *(("r1", f"p{place}", vote) for place, vote in enumerate(votes)))
    assert quality(told, RECORDS)["quality"].to_list() == [word]


def reworded(qualities, *proposals):
    """The wording of r1's query after qualities by person and proposals (person, wording)."""
    judged = said("query_quality", *(("r1", who, value) for who, value in qualities.items()))
    worded = said("rewrite", *(("r1", who, wording) for who, wording in proposals))
    return [row["rewrite"] for row in rewrites(pl.concat([judged, worded]), RECORDS).iter_rows(named=True)]


@pytest.mark.parametrize(
    ("qualities", "rewriters", "applied"),
    [
        ({"a": "good"}, "a", True),  # the only judge
        ({"a": "good", "b": "good"}, "a", True),
        ({"a": "vague", "b": "good"}, "a", True),
        ({"a": "vague", "b": "good", "c": "good"}, "a", False),
        ({"a": "vague", "b": "good", "c": "good"}, "ab", True),
        ({"a": "vague", "b": "not_answerable", "c": "good"}, "a", True),  # bad by majority
        ({"a": "good", "b": "good"}, "xy", False),  # who have not judged the query
        ({}, "x", True),  # whom nobody contradicts
    ],
)
def test_a_rewrite_needs_a_bad_query_or_half_of_its_judges(qualities, rewriters, applied):
    assert reworded(qualities, *((who, "chi macina?") for who in rewriters)) == (["chi macina?"] if applied else [])


@pytest.mark.parametrize(
    ("verdict", "proposals", "wordings"),
    [
        ("good", ["a"], []),
        ("wrong_language", ["a", "b"], []),
        ("wrong_language", ["a", "referee"], ["by referee"]),
        ("good", ["a", "referee"], ["by referee"]),
    ],
)
def test_where_a_referee_judged_the_query_no_annotators_wording_counts(verdict, proposals, wordings):
    qualities = {"a": "vague", "b": "vague", "referee": verdict}
    assert reworded(qualities, *((who, f"by {who}") for who in proposals)) == wordings


def test_a_query_that_a_referee_calls_bad_and_does_not_reword_goes_out():
    votes = [("r1", "a", "vague"), ("r1", "referee", "wrong_language")]
    assert applied(*votes, rewrite=[("r1", "a", "chi macina?")])[1]["query_id"].to_list() == ["q1"]


def test_two_wordings_of_a_bad_query_tie_and_one_that_changes_nothing_is_none():
    bad = {"a": "vague", "b": "vague"}
    assert reworded(bad, ("a", "chi macina?"), ("b", "macina chi?")) == [None]
    assert reworded(bad, ("a", "chi macina?"), ("b", " macina ")) == ["chi macina?"]


def hits(*rows):
    """Hits of the miner: (query_id, rank, passage_id, verdict)."""
    named = pl.DataFrame(rows, schema=["query_id", "rank", "passage_id", "verdict"], orient="row")
    return named.with_columns(score=pl.lit(0.5))


@pytest.mark.parametrize(
    "verdict", ["margin", "not_drawn", "above_window", "same_document", "near_duplicate", "negative"]
)
def test_a_hit_that_people_refuse_is_a_certified_negative_whatever_the_miner_said(verdict):
    found = hits(("q1", 1, "grano", verdict), ("q1", 2, "pane", "negative"))
    _, negatives = relevance_applied(judged(("macina", "grano", False)), hits=found)
    assert negatives.select("passage_id", "certified").rows() == [("grano", True), ("pane", False)]


def test_the_own_passage_that_people_refuse_is_certified_where_another_answers():
    found = hits(("q1", 1, "mulino", "positive"), ("q1", 2, "grano", "negative"))
    positives, negatives = relevance_applied(
        judged(("macina", "mulino", False), ("macina", "grano", True)), hits=found
    )
    assert positives.filter(query_id="q1")["passage_id"].to_list() == ["grano"]
    assert negatives.select("passage_id", "certified").rows() == [("mulino", True)]


@pytest.mark.parametrize(("split", "certified"), [("train", []), ("dev", ["grano"])])
def test_a_held_out_passage_is_never_a_negative_of_a_training_query(split, certified):
    queries, out = ASKED.with_columns(split=pl.lit(split)), pl.DataFrame({"passage_id": ["grano"]})
    found = hits(("q1", 1, "grano", "held_out"))
    _, negatives = relevance_applied(judged(("macina", "grano", False)), queries, found, out)
    assert negatives["passage_id"].to_list() == certified


@pytest.mark.parametrize("verdict", ["margin", "held_out", "not_drawn", "positive"])
def test_what_nobody_judged_or_people_tie_on_is_as_the_miner_left_it(verdict):
    found = hits(("q1", 1, "grano", verdict), ("q1", 2, "pane", verdict))
    assert relevance_applied(judged(("macina", "grano", None)), hits=found)[1].is_empty()


def primed(*rows):
    return said("relevant", *rows).with_columns(suggested=True)


def unmarked(*rows):
    return said("relevant", *rows)


def test_what_one_person_says_beside_a_suggestion_changes_no_label():
    marks = judged_passages(primed(("r1", "anna", ["grano"])), RECORDS)
    positives, negatives = relevance_applied(marks)
    assert positives.rows() == [("q1", "mulino", "own"), ("q2", "libri", "own"), ("q3", "baita", "own")]
    # the passage that was clicked on is no negative either; the one that was not is one as before, not certified
    assert negatives.select("query_id", "passage_id", "certified").rows() == [
        ("q1", "pane", False),
        ("q2", "grano", False),
    ]
    bad = said("query_quality", ("r1", "anna", "vague")).with_columns(suggested=True)
    kept, out = apply_quality(QUERIES, quality(bad, RECORDS), rewrites(bad, RECORDS))
    assert (kept.height, out.height) == (3, 0)


@pytest.mark.parametrize(
    "second",
    [primed(("r1", "bo", ["grano"])), unmarked(("r1", "bo", ["grano"])), unmarked(("r1", "referee", ["grano"]))],
)
def test_a_second_person_confirms_it(second):
    marks = judged_passages(pl.concat([primed(("r1", "anna", ["grano"])), second]), RECORDS)
    positives, negatives = relevance_applied(marks)
    assert ("q1", "grano", "judged") in positives.rows()
    assert negatives.filter("certified")["passage_id"].to_list() == ["pane"]


def test_two_people_who_call_a_query_bad_by_other_words_confirm_each_other():
    told = said("query_quality", ("r1", "a", "vague"), ("r1", "b", "not_answerable")).with_columns(suggested=True)
    assert quality(told, RECORDS)["confirmed"].to_list() == [True]


def test_a_referees_rewrite_and_grade_count_alone():
    wordings = said(
        "rewrite", ("r1", "a", "chi macina?"), ("r1", "b", "chi macina?"), ("r1", "referee", "il mugnaio?")
    )
    assert rewrites(wordings, RECORDS)["rewrite"].to_list() == ["il mugnaio?"]
    pairs = pl.DataFrame({"pair_id": ["p1"], "score": [0.1]})
    grades = said("similarity", ("p1", "a", 0), ("p1", "b", 5), ("p1", "referee", 4))
    assert apply_similarity(pairs, grades)[0]["score"].to_list() == [pytest.approx(0.8)]
