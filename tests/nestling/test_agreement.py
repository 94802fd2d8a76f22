import krippendorff
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.evaluation.bootstrap import resamples
from nestling.review.agreement import alpha, passage_units

# Krippendorff (2011), section E: four observers, twelve units, missing answers
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)


def table(grid, units_a_record=1):
    """One row an answer of a grid [annotators][units]; units are dealt to records in their order."""
    rows = [
        (f"r{unit // units_a_record:04}", f"u{unit % units_a_record}", f"a{person}", value)
        for person, answers in enumerate(grid)
        for unit, value in enumerate(answers)
    ]
    return pl.DataFrame(rows, schema=["record_id", "unit_id", "annotator", "value"], orient="row")


def known(grid, level):
    return krippendorff.alpha(np.array(grid, dtype=float), level_of_measurement=level)


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example(level, published):
    found = alpha(table(OBSERVERS), level, seed=1)
    assert round(found.alpha, 3) == published
    assert (found.records, found.units, found.annotators) == (11, 11, 4)  # the last unit has one answer only
    assert found.low < found.alpha < found.high <= 1


# Krippendorff (2011), section A: two observers, binary; section B: two observers, five categories
MEG, OWEN = "0100000010", "1110010000"
BEN, GERRY = "aabbdcccedda", "babbbccceddd"


@pytest.mark.parametrize(("one", "other", "published"), [(MEG, OWEN, 0.095), (BEN, GERRY, 0.692)])
def test_the_published_examples_of_two_observers(one, other, published):
    found = alpha(table([list(one), list(other)]), "nominal", seed=1)
    assert (round(found.alpha, 3), found.units) == (published, len(one))


def test_any_number_of_distinct_grades_fits_in_memory():
    truth = np.random.default_rng(2).uniform(0, 5, 3000)
    found = alpha(table([truth.tolist(), (truth + 1e-6).tolist()]), "interval", seed=1, replicates=20)
    assert found.low > 0.999999


def test_a_resample_of_equal_grades_that_are_no_whole_numbers_has_no_alpha():
    found = alpha(table([[0.1, 3.3, 3.3, 3.3], [0.3, 3.3, 3.3, 3.3]]), "interval", seed=1)
    assert 0 < found.low <= found.alpha <= found.high < 1


def test_words_are_as_good_as_numbers_for_nominal_answers():
    words = table(OBSERVERS).with_columns(pl.format("quality {}", "value").alias("value"))
    assert alpha(words, "nominal", seed=1) == alpha(table(OBSERVERS), "nominal", seed=1)


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=6, max_size=6), min_size=2, max_size=4),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_one_resample_in_which_each_record_stands_once_is_the_whole(grid, level):
    found = alpha(table(grid, units_a_record=2), level, seed=1, replicates=20)
    counts = np.array([[column.count(value) for value in range(4)] for column in zip(*grid, strict=True)])
    paired = counts[counts.sum(axis=1) >= 2]
    if (paired.sum(axis=0) > 0).sum() < 2:
        assert found.alpha is None
    else:
        assert found.alpha == pytest.approx(known(np.array(grid, dtype=float), level))


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_the_interval_is_that_of_the_package_on_each_resample_of_whole_records(level):
    generator = np.random.default_rng(3)
    grid = np.clip(generator.integers(0, 6, 30) + generator.integers(-1, 2, (3, 30)), 0, 5)
    found = alpha(table(grid.tolist(), units_a_record=3), level, seed=7, replicates=40)
    by_hand = []
    for counts in np.concatenate(list(resamples(10, seed=7, replicates=40))):
        units = [3 * record + unit for record in np.repeat(np.arange(10), counts) for unit in range(3)]
        by_hand.append(known(grid[:, units], level))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])))


def test_a_record_of_ten_copies_is_no_more_evidence_than_one():
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 2, 60)
    grid = np.where(generator.random((2, 60)) < 0.15, 1 - truth, truth)
    once = alpha(table(grid.tolist()), "nominal", seed=1)
    copied = alpha(table(np.repeat(grid, 10, axis=1).tolist(), units_a_record=10), "nominal", seed=1)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.05)


def test_the_interval_covers_the_true_alpha_of_clustered_answers():
    generator = np.random.default_rng(11)
    hard = generator.random((200, 50)) < 0.3  # records: an annotator errs there 4 times in 10, else 1 in 20
    error = np.where(hard, 0.4, 0.05).repeat(4, axis=1)[:, None, :]
    truth = generator.integers(0, 2, (200, 1, 200))
    answers = np.where(generator.random((200, 2, 200)) < error, 1 - truth, truth)
    expected = 1 - (0.3 * 2 * 0.4 * 0.6 + 0.7 * 2 * 0.05 * 0.95) / 0.5
    found = [alpha(table(grid.tolist(), units_a_record=4), "nominal", 1, replicates=300) for grid in answers]
    assert 0.9 <= np.mean([each.low <= expected <= each.high for each in found]) <= 0.99


def test_same_answers_in_another_order_give_the_same_numbers():
    answers = table(OBSERVERS)
    assert alpha(answers.sample(fraction=1, shuffle=True, seed=4), "ordinal", 9) == alpha(answers, "ordinal", 9)


@pytest.mark.parametrize(
    "grid",
    [[], [[1, 2, 3]], [[1, None, 3], [None, 2, None]], [[2, 2, 2], [2, 2, 2]]],
    ids=["none", "one", "apart", "same"],
)
def test_without_pairs_or_without_variation_there_is_no_alpha(grid):
    schema = {"record_id": pl.String, "unit_id": pl.String, "annotator": pl.String, "value": pl.Int64}
    found = alpha(pl.DataFrame(table(grid).rows(), schema=schema, orient="row"), "interval", seed=1)
    assert (found.alpha, found.low, found.high) == (None, None, None)


def test_one_record_has_an_alpha_but_no_interval():
    found = alpha(table([[1, 2, 3, 3], [1, 2, 3, 1]], units_a_record=4), "nominal", seed=1)
    assert found.alpha == pytest.approx(known([[1, 2, 3, 3], [1, 2, 3, 1]], "nominal"))
    assert (found.low, found.high, found.records, found.units) == (None, None, 1, 4)


def test_full_agreement_is_one():
    found = alpha(table([[1, 2, 3, 1], [1, 2, 3, 1]]), "interval", seed=1)
    assert (found.alpha, found.low, found.high) == (1, 1, 1)


def test_marked_passages_become_a_yes_or_no_on_each_candidate():
    answers = pl.DataFrame(
        {
            "record_id": ["r", "r", "s", "t"],
            "annotator": ["ada", "bo", "ada", "ada"],
            "value": [["p", "q"], [], None, ["p"]],
        }
    )
    shown = pl.DataFrame({"record_id": ["r", "s"], "candidates": [["q", "n", "q"], ["p"]]})
    units = passage_units(answers, shown)
    assert units.rows() == [("r", "q", "ada", 1), ("r", "n", "ada", 0), ("r", "q", "bo", 0), ("r", "n", "bo", 0)]
    # values 1, 0, 0, 0 in two pairs: one of two pairs differs, by chance 1 in 2 would
    assert alpha(units, "nominal", seed=1).alpha == pytest.approx(0.0)


def test_a_second_answer_of_one_person_is_refused():
    with pytest.raises(ValueError, match="answers a unit twice"):
        alpha(pl.concat([table(OBSERVERS), table(OBSERVERS)[:1]]), "nominal", seed=1)


def test_words_have_no_distance():
    with pytest.raises(ValueError, match="interval agreement needs numbers"):
        alpha(table([["good", "vague"], ["good", "good"]]), "interval", seed=1)
