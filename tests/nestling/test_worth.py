import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from nestling.review.belief import scores, update
from nestling.review.worth import BAD_QUERY, MISSED_POSITIVE, Passages, Told, features, worth
from nestling.tables.io import empty
from nestling.tables.queries import Judged
from nestling.tables.retrieval import VERDICTS

PRIOR, TRUTH = np.array([-3.0, 1.0, 0.5]), np.array([-2.0, 0.0, 1.5])


def answers(number, seed=0):
    """What people who follow TRUTH say of `number` random things."""
    chance = np.random.default_rng(seed)
    seen = np.column_stack([np.ones(number), chance.normal(size=(number, 2))])
    return seen, (chance.random(number) < expit(scores(seen, TRUTH))).astype(float)


# --- belief


def test_without_an_answer_the_belief_is_the_prior():
    assert update(PRIOR, 1.0, *answers(0)).tolist() == PRIOR.tolist()


def test_the_more_answers_the_nearer_the_truth():
    apart = [np.abs(update(PRIOR, 1.0, *answers(number)) - TRUTH).max() for number in (0, 200, 20_000)]
    assert apart[0] > 2 * apart[1] > 4 * apart[2]
    assert apart[2] < 0.1


def test_a_belief_that_has_learnt_counts_right():
    weights = update(PRIOR, 1.0, *answers(2_000))
    seen, said = answers(20_000, seed=1)
    assert expit(scores(seen, weights)).sum() == pytest.approx(said.sum(), rel=0.1)
    assert expit(scores(seen, PRIOR)).sum() < 0.6 * said.sum()


def test_a_narrow_prior_gives_way_less():
    moved = [np.abs(update(PRIOR, spread, *answers(100)) - PRIOR).max() for spread in (0.1, 1.0, 10.0)]
    assert moved == sorted(moved)


def test_answers_that_a_line_parts_do_not_run_away():
    seen = np.column_stack([np.ones(100), np.r_[np.full(50, -1.0), np.full(50, 1.0)]])
    weights = update(np.zeros(2), 1.0, seen, np.r_[np.zeros(50), np.ones(50)])
    assert 1 < weights[1] < 10


def test_far_from_the_prior_the_steps_still_end_at_the_minimum():
    seen, said = np.array([[1.0, 40.0], [1.0, -40.0]]), np.array([0.0, 1.0])
    weights = update(np.array([0.0, 5.0]), 10.0, seen, said)
    slope = seen.T @ (expit(seen @ weights) - said) + (weights - [0.0, 5.0]) / 100
    assert np.abs(slope).max() < 1e-6


# --- worth


ANGLES = {"own": 0.0, "twin": 0.1, "near": 0.8, "far": 1.5}  # of passages on a circle
PASSAGES = Passages(pl.Series(list(ANGLES)), np.array([[np.cos(one), np.sin(one)] for one in ANGLES.values()]))
NOBODY = empty(Judged)


def told(*relevant, quality=()):
    """What people said: (query, passage_id, word)."""
    keys = {"query": pl.String, "passage_id": pl.String}
    return Told(
        pl.DataFrame(relevant, keys | {"relevant": pl.Boolean}, orient="row"),
        pl.DataFrame(quality, keys | {"quality": pl.String}, orient="row"),
    )


def seen(hits, judged=NOBODY, ranks=None, scale=1.0, shift=0.0):
    """Features of queries, {query: {passage_id: (score, mined)}}, whose own passage scores 0.9 at rank 1.

    A score is `shift` and `scale` times what is given, as another encoder's would be.
    """
    names = list(hits)
    records = pl.DataFrame(
        {
            "record_id": names,
            "query_id": names,
            "query": names,
            "passage_id": "own",
            "candidates": pl.Series([list(hits[name]) for name in names], dtype=pl.List(pl.String)),
            "mined": pl.Series([[m for _, m in hits[name].values()] for name in names], dtype=pl.List(pl.Boolean)),
            "rank": ranks or [1] * len(names),
            "score": shift + scale * 0.9,
        }
    )
    rows = [
        (name, passage, shift + scale * score, "negative" if mined else "margin")
        for name in names
        for passage, (score, mined) in hits[name].items()
    ]
    kinds = {"query_id": pl.String, "passage_id": pl.String, "score": pl.Float64, "verdict": pl.Enum(VERDICTS)}
    return features(records, pl.DataFrame(rows, kinds, orient="row"), PASSAGES, judged)


def by_name(known, said=None):
    found = worth(known, said or told())
    return {row["record_id"]: row for row in found.iter_rows(named=True)}


def test_before_any_answer_a_candidate_that_scores_high_is_the_likelier_to_answer():
    hits = {
        name: {"near": (score, True), "far": (0.1, True)} for name, score in zip("abc", (0.3, 0.6, 0.8), strict=True)
    }
    found = by_name(seen(hits))
    assert found["a"]["worth"] < found["b"]["worth"] < found["c"]["worth"]


def test_a_passage_like_the_querys_own_is_the_likelier_to_answer():
    found = by_name(seen({"a": {"twin": (0.5, True)}, "b": {"far": (0.5, True)}}))
    assert found["a"]["expected"] > found["b"]["expected"]


def test_a_false_negative_is_worth_more_than_a_positive_that_a_margin_kept_out():
    found = by_name(seen({"a": {"near": (0.5, True)}, "b": {"near": (0.5, False)}}))
    assert found["a"]["expected"] == found["b"]["expected"]
    assert found["a"]["worth"] > found["b"]["worth"]
    assert (found["a"]["false"], found["b"]["false"]) == (found["a"]["expected"], 0)


def test_the_worth_is_each_chance_times_what_it_gains():
    row = by_name(seen({"a": {"near": (0.5, True), "far": (0.2, False)}}))["a"]
    assert row["worth"] == pytest.approx(
        row["false"] + MISSED_POSITIVE * (row["expected"] - row["false"]) + BAD_QUERY * row["bad"]
    )


def test_an_encoder_whose_cosines_lie_elsewhere_makes_the_same_of_the_same_ranking():
    hits = {"a": {"near": (0.8, True), "far": (0.1, True)}, "b": {"twin": (0.4, False), "far": (0.2, True)}}
    narrow = worth(seen(hits, scale=0.1, shift=0.85), told())
    assert narrow["worth"].to_list() == pytest.approx(worth(seen(hits), told())["worth"].to_list())


def test_what_was_said_is_worth_nothing_more():
    hits = {"a": {"near": (0.8, True), "far": (0.1, True)}}
    before = by_name(seen(hits))["a"]
    after = by_name(seen(hits), told(("a", "near", False), ("a", "far", True), quality=[("a", "own", "good")]))["a"]
    assert before["worth"] > 0
    assert after == {"record_id": "a", "bad": 0.0, "expected": 0.0, "false": 0.0, "worth": 0.0}


def test_what_people_tie_on_is_still_worth_asking():
    hits = {"a": {"near": (0.8, True)}}
    assert by_name(seen(hits), told(("a", "near", None))) == by_name(seen(hits))


@pytest.mark.parametrize("kin", [True, False])
def test_answers_teach_what_to_look_for(kin):
    """What people find to answer is the passages near the query's own, or those far from it."""
    hits = {f"{passage}{n}": {passage: (0.5, True)} for n in range(20) for passage in ("twin", "far")}
    said = told(*((f"{name}{n}", name, (name == "twin") == kin) for n in range(19) for name in ("twin", "far")))
    before, after = by_name(seen(hits)), by_name(seen(hits), said)
    assert before["twin19"]["worth"] > before["far19"]["worth"]
    assert (after["twin19"]["worth"] > after["far19"]["worth"]) == kin


def test_a_query_is_likelier_bad_whose_passage_came_late_or_whose_judge_doubted():
    hits = {name: {"far": (0.2, True)} for name in "abc"}
    grades = {name: [4] for name in ("answerable", "specific", "fluent", "language")}
    judged = pl.DataFrame({"text": ["c"], "passage_id": ["own"], **grades, "judge_score": [0.2], "judge": ["m"]})
    found = by_name(seen(hits, judged=judged, ranks=[1, 30, 1]))
    assert found["a"]["bad"] < min(found["b"]["bad"], found["c"]["bad"])


def test_an_own_passage_that_does_not_answer_teaches_that_queries_are_bad():
    hits = {f"q{n}": {"far": (0.2, True)} for n in range(30)}
    bad, good = (told(*((f"q{n}", "own", word) for n in range(29))) for word in (False, True))
    assert by_name(seen(hits), bad)["q29"]["bad"] > 0.2 > by_name(seen(hits), good)["q29"]["bad"] > 0


def test_a_query_without_candidates_is_worth_the_chance_that_it_is_bad():
    row = by_name(seen({"a": {}, "b": {"far": (0.2, True)}}))["a"]
    assert (row["expected"], row["worth"]) == (0.0, BAD_QUERY * row["bad"])
    assert row["worth"] > 0
