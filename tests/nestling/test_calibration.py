from collections.abc import Iterable
from itertools import product

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.review.calibration import Calibration, calibrate

GOOD, BAD, TIE = "good", "vague", None
JUDGED = {"text": pl.String, "passage_id": pl.String, "judge_score": pl.Float64}
QUALITY = {"query": pl.String, "passage_id": pl.String, "quality": pl.String}


def compared(*pairs: tuple[float, str | None], seed: int = 1, replicates: int = 200) -> Calibration:
    """Compare the judge's score of each query with people's word on it."""
    judged = [(f"q{place}", "p", score) for place, (score, _) in enumerate(pairs)]
    quality = [(f"q{place}", "p", word) for place, (_, word) in enumerate(pairs)]
    return calibrate(
        pl.DataFrame(judged, schema=JUDGED, orient="row"),
        pl.DataFrame(quality, schema=QUALITY, orient="row"),
        seed,
        replicates,
    )


def inside(low: float | None, point: float | None, high: float | None) -> bool:
    return low is not None and point is not None and high is not None and 0 <= low <= point <= high <= 1


def test_the_auc_is_the_share_of_good_and_bad_pairs_in_the_right_order() -> None:
    found = compared((0.9, GOOD), (0.8, GOOD), (0.6, GOOD), (0.7, BAD), (0.5, BAD))
    assert (found.pairs, found.good) == (5, 3)
    assert found.auc == round(5 / 6, 4)  # 0.6 stands below 0.7


@pytest.mark.parametrize(
    ("good", "bad", "auc"),
    [([0.8], [0.8], 0.5), ([0.8, 0.8], [0.8, 0.2], 0.75), ([1.0], [0.0], 1.0), ([0.0], [1.0], 0.0)],
)
def test_equal_scores_count_half(good: list[float], bad: list[float], auc: float) -> None:
    assert compared(*[(score, GOOD) for score in good], *[(score, BAD) for score in bad]).auc == auc


@pytest.mark.parametrize("word", ["vague", "not_answerable", "wrong_language"])
def test_whatever_is_not_good_is_bad(word: str) -> None:
    assert compared((0.9, GOOD), (0.7, word)).good == 1


@pytest.mark.parametrize("pairs", [[], [(0.9, GOOD)] * 3, [(0.9, BAD)] * 3, [(0.9, TIE)] * 3])
def test_people_of_one_mind_order_nothing(pairs: list[tuple[float, str | None]]) -> None:
    found = compared(*pairs)
    assert (found.auc, found.auc_low, found.auc_high) == (None, None, None)


def test_ties_among_people_are_left_out() -> None:
    found = compared((0.9, GOOD), (0.5, BAD), (0.1, TIE))
    assert (found.pairs, found.good, found.auc) == (2, 1, 1.0)
    assert sum(each["pairs"] for each in found.bins) == 2


def test_only_the_same_query_beside_the_same_passage_is_compared() -> None:
    judged = pl.DataFrame([("q", "p", 0.9), ("q", "r", 0.2), ("alone", "p", 0.1)], schema=JUDGED, orient="row")
    quality = pl.DataFrame([("q", "p", GOOD), ("q", "s", BAD), ("other", "p", BAD)], schema=QUALITY, orient="row")
    found = calibrate(judged, quality, 1, 10)
    assert (found.pairs, found.good) == (1, 1)


def test_bins_take_their_lower_end_and_the_last_its_upper_end_too() -> None:
    scores = (0.0, 0.4999, 0.5, 0.7, 0.8, 0.9, 1.0)
    found = compared(*[(score, GOOD) for score in scores])
    assert [(each["from"], each["to"], each["pairs"]) for each in found.bins] == [
        (0.0, 0.5, 2),
        (0.5, 0.7, 1),
        (0.7, 0.8, 1),
        (0.8, 0.9, 1),
        (0.9, 1.0, 2),
    ]


def test_the_share_of_good_has_clopper_and_pearsons_interval() -> None:
    ((all_good,), (none_good,), (some,)) = (
        compared(*[(0.95, GOOD)] * good, *[(0.95, BAD)] * bad).bins for good, bad in ((20, 0), (0, 20), (3, 17))
    )
    assert (all_good["low"], all_good["high"]) == (round(0.025 ** (1 / 20), 4), 1.0)
    assert (none_good["low"], none_good["high"]) == (0.0, round(1 - 0.025 ** (1 / 20), 4))
    assert (some["low"], some["high"]) == (0.0321, 0.3789)  # the textbook's for 3 of 20


scores = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
some_pairs = st.lists(st.tuples(scores, st.sampled_from([GOOD, BAD, TIE])), max_size=25)


@given(some_pairs)
def test_every_pair_is_in_one_bin_and_every_interval_holds_its_share(pairs: list[tuple[float, str | None]]) -> None:
    found = compared(*pairs, replicates=5)
    assert sum(each["pairs"] for each in found.bins) == found.pairs
    assert sum(each["good"] for each in found.bins) == found.good
    for each in found.bins:
        held = [word for score, word in pairs if word and each["from"] <= score <= each["to"]]
        assert each["pairs"] <= len(held)
        assert inside(each["low"], round(each["good"] / each["pairs"], 4), each["high"])


def by_counting(pairs: Iterable[tuple[float, str | None]]) -> float:
    """Return the AUC, one pair of pairs after the other."""
    good, bad = ([score for score, word in pairs if word == which] for which in (GOOD, BAD))
    won = [(one > other) + (one == other) / 2 for one, other in product(good, bad)]
    return sum(won) / len(won)


@given(some_pairs.filter(lambda pairs: {GOOD, BAD} <= {word for _, word in pairs}))
def test_the_auc_is_what_counting_gives_and_lies_in_its_interval(pairs: list[tuple[float, str | None]]) -> None:
    found = compared(*pairs, replicates=50)
    assert found.auc == pytest.approx(by_counting(pairs), abs=5.1e-5)
    words = [word for _, word in pairs]
    if min(words.count(GOOD), words.count(BAD)) < 2:
        assert (found.auc_low, found.auc_high) == (None, None)
    else:
        assert inside(found.auc_low, found.auc, found.auc_high)


MIXED = [(0.9, GOOD), (0.8, BAD), (0.75, GOOD), (0.7, BAD), (0.6, GOOD), (0.3, BAD)]


def test_the_same_seed_draws_the_same_interval_whatever_the_order_of_rows() -> None:
    rows = [(f"q{n}", "p", n * 7 % 23 / 23, GOOD if n % 3 else BAD) for n in range(40)]
    whole = pl.DataFrame(rows, schema=["query", "passage_id", "judge_score", "quality"], orient="row")
    found = [
        calibrate(order.rename({"query": "text"}), order.drop("judge_score"), 1, 200)
        for order in (whole, whole.reverse(), whole.sort("judge_score"))
    ]
    assert found[0] == found[1] == found[2]


def test_more_pairs_narrow_the_interval() -> None:
    few, many = compared(*MIXED), compared(*MIXED * 20)
    assert few.auc == many.auc
    assert (many.auc_high or 0) - (many.auc_low or 0) < ((few.auc_high or 0) - (few.auc_low or 0)) / 2
