import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, spearmanr

from nestling.evaluation.bootstrap import (
    holm,
    mean_interval,
    paired_correlation_difference,
    paired_difference,
    resamples,
)

CORRELATIONS = [("spearman", spearmanr), ("pearson", pearsonr)]
scores = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1))


def test_a_resample_draws_as_many_as_there_are():
    drawn = np.concatenate(list(resamples(7, seed=1, replicates=500)))
    assert drawn.shape == (500, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)


@pytest.mark.parametrize("cells", [1, 20, 77, 10_000])
def test_the_draws_do_not_depend_on_the_block(cells):
    blocks = list(resamples(7, seed=1, replicates=50, cells=cells))
    assert max(block.size for block in blocks) <= max(cells, 7)
    assert (np.concatenate(blocks) == np.concatenate(list(resamples(7, seed=1, replicates=50)))).all()


def test_the_interval_does_not_depend_on_the_block():
    tuned, base = np.random.default_rng(2).random((2, 301))
    whole = paired_difference(tuned, base, seed=5, replicates=400)
    assert whole == paired_difference(tuned, base, seed=5, replicates=400, cells=1)
    assert whole == paired_difference(tuned, base, seed=5, replicates=400, cells=301 * 7)
    assert whole != paired_difference(tuned, base, seed=6, replicates=400)


def test_two_queries_by_hand():
    # means 0, 0.5 and 1 with the chances 1/4, 1/2 and 1/4
    found = paired_difference(np.array([1.0, 0.5]), np.array([0.0, 0.5]), seed=1)
    assert (found.mean, found.low, found.high, found.queries) == (0.5, 0.0, 1.0, 2)
    assert found.p == pytest.approx(0.5, abs=0.03)  # a quarter of the resamples at zero, doubled


def test_a_constant_gain_is_certain():
    base = np.array([0.0, 0.25, 0.5])
    found = paired_difference(base + 0.25, base, seed=1, replicates=999)
    assert (found.mean, found.low, found.high, found.p) == (0.25, 0.25, 0.25, 0.002)


@settings(max_examples=30)
@given(scores)
def test_a_system_is_no_better_than_itself(values):
    found = paired_difference(values, values, seed=1, replicates=50)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


@settings(max_examples=50)
@given(scores, st.integers(0, 1000))
def test_swapping_the_systems_turns_the_sign(values, seed):
    other = values[::-1] ** 2
    there, back = (paired_difference(*pair, seed, 200) for pair in ((values, other), (other, values)))
    assert (-back.mean, -back.high, -back.low, back.p) == pytest.approx((there.mean, there.low, there.high, there.p))


def test_p_and_the_interval_tell_the_same_story():
    generator = np.random.default_rng(8)
    found = [paired_difference(*generator.normal((0.3, 0), 1, (25, 2)).T, seed=1, replicates=1000) for _ in range(200)]
    clear = [each for each in found if not 0.04 < each.p < 0.06]
    assert all((each.p < 0.05) == (each.low > 0 or each.high < 0) for each in clear)
    assert 20 < sum(each.p < 0.05 for each in clear) < 180


def test_pairing_takes_the_queries_own_difficulty_away():
    generator = np.random.default_rng(4)
    hard = generator.random(200)
    paired = paired_difference(hard + 0.01 + generator.normal(0, 0.01, 200), hard, seed=1, replicates=1000)
    alone = mean_interval(hard, seed=1, replicates=1000)
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 10


def test_the_intervals_cover_the_true_mean():
    generator = np.random.default_rng(12)
    samples = generator.beta(0.5, 0.5, (400, 2, 50))  # per-query scores pile up at 0 and 1
    gains = [paired_difference(*pair, seed=1, replicates=400) for pair in samples]
    means = [mean_interval(first, seed=1, replicates=400) for first, _ in samples]
    assert 0.91 <= np.mean([each.low <= 0 <= each.high for each in gains]) <= 0.98
    assert 0.91 <= np.mean([each.low <= 0.5 <= each.high for each in means]) <= 0.98


def test_one_mean():
    found = mean_interval(np.array([0.0, 1.0]), seed=1)
    assert (found.mean, found.low, found.high, found.queries) == (0.5, 0.0, 1.0, 2)


def resampled(tuned, base, gold, known, seed, replicates):
    """The difference of correlations in each resample that has one, the slow way."""
    drawn = np.concatenate(list(resamples(len(gold), seed, replicates)))
    rows = [np.repeat(np.arange(len(gold)), counts) for counts in drawn]
    varied = [row for row in rows if min(np.ptp(column[row]) for column in (tuned, base, gold)) > 0]
    return [known(tuned[row], gold[row]).statistic - known(base[row], gold[row]).statistic for row in varied]


@pytest.mark.parametrize(("coefficient", "known"), CORRELATIONS)
def test_each_resample_of_pairs_is_what_scipy_makes_of_it(coefficient, known):
    generator = np.random.default_rng(6)
    gold = generator.integers(0, 6, 40).astype(float)  # many ties
    tuned, base = np.round(gold / 5 + generator.normal(0, 0.4, (2, 40)), 1)
    found = paired_correlation_difference(tuned, base, gold, seed=3, replicates=60, coefficient=coefficient)
    by_hand = resampled(tuned, base, gold, known, seed=3, replicates=60)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])))
    assert (found.tuned, found.base) == pytest.approx((known(tuned, gold).statistic, known(base, gold).statistic))
    assert (found.difference, found.pairs) == (found.tuned - found.base, 40)


@pytest.mark.parametrize("coefficient", ["spearman", "pearson"])
def test_a_system_correlates_no_better_than_itself(coefficient):
    cosines, gold = np.random.default_rng(1).random((2, 30))
    found = paired_correlation_difference(cosines, cosines, gold, seed=1, replicates=50, coefficient=coefficient)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(("coefficient", "known"), CORRELATIONS)
def test_resamples_without_a_correlation_are_left_out(coefficient, known):
    gold = np.array([0.0, 0.3, 0.3, 0.3, 0.3, 0.3, 1.0])  # one resample in ten draws the middle alone
    tuned, base = np.random.default_rng(3).random((2, 7))
    found = paired_correlation_difference(tuned, base, gold, seed=1, replicates=300, coefficient=coefficient)
    by_hand = resampled(tuned, base, gold, known, seed=1, replicates=300)
    assert 200 < len(by_hand) < 290
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])))


def test_the_interval_covers_the_true_difference_of_correlations():
    generator = np.random.default_rng(20)
    covered = []
    for _ in range(200):
        gold = generator.normal(0, 1, 60)
        tuned, base = gold + generator.normal(0, 1, (2, 60))  # as good as each other
        found = paired_correlation_difference(tuned, base, np.round(gold), seed=1, replicates=300)
        covered.append(found.low <= 0 <= found.high)
    assert 0.9 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(
    ("tuned", "base", "message"),
    [
        ([], [], "at least one number"),
        ([0.1, 0.2], [0.1], "base has 1 numbers and tuned 2"),
        ([[0.1]], [[0.1]], r"shape \[1, 1\]"),
        ([0.1, np.nan], [0.1, 0.2], "tuned holds numbers that are not finite"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(tuned, base, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(np.array(tuned), np.array(base), seed=1)


def test_no_values_have_no_mean():
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval(np.array([]), seed=1)


@pytest.mark.parametrize(
    ("base", "gold", "message"),
    [
        ([0.1, 0.2], [1, 2, 3], "as many cosines as gold scores"),
        ([0.5, 0.5, 0.5], [1, 2, 3], "constant correlates with nothing"),
        ([0.1, 0.2, 0.3], [1, 1, 1], "constant correlates with nothing"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(base, gold, message):
    with pytest.raises(ValueError, match=message):
        paired_correlation_difference(np.array([0.1, 0.3, 0.2]), np.array(base), np.array(gold), seed=1)


def test_holm_steps_down_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm (1979) by hand
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_nothing_and_bonferroni(p):
    corrected = holm(p)
    assert all(one <= new <= min(1, len(p) * one) for one, new in zip(p, corrected, strict=True))
    assert [new for _, new in sorted(zip(p, corrected, strict=True))] == sorted(corrected)
