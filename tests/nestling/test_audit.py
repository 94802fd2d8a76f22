from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.review.audit import Judged, false_negative_rate, rates_by

MANY = 10**12  # queries: so many that the audit is no part of them
SCHEMA = {"record_id": pl.String, "stratum": pl.String, "rank": pl.Int64, "relevant": pl.Boolean}


def certain(rows):
    """Judged negatives of which people's word is the truth."""
    return Judged(rows, rows["relevant"].to_numpy()[None, None].astype(bool))


def judged(**strata):
    """Judged negatives, by how many each query has: stratum=[(negatives, false negatives), ...]."""
    rows = [
        (f"{name}{place}", name, rank, rank <= false)
        for name, queries in strata.items()
        for place, (negatives, false) in enumerate(queries)
        for rank in range(1, negatives + 1)
    ]
    return certain(pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("record_id", "rank"))


def test_strata_count_by_their_population_not_by_their_sample():
    found = false_negative_rate(judged(near=[(4, 1), (4, 0)], far=[(2, 1), (2, 0)]), {"near": 100, "far": 300})
    assert found.rate == pytest.approx((50 * 1 + 150 * 1) / (50 * 8 + 150 * 4))
    assert (found.judged_queries, found.judged_negatives, found.false_negatives) == (4, 12, 2)
    assert [(each.stratum, each.population, each.judged_negatives) for each in found.strata] == [
        ("far", 300, 4),
        ("near", 100, 8),
    ]


def test_no_false_negative_among_single_negatives_is_the_textbook_bound():
    found = false_negative_rate(judged(s=[(1, 0)] * 20), {"s": MANY})
    assert (found.rate, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 20))  # Clopper and Pearson: 0 of 20, 16.8%


def test_single_negatives_are_worth_their_number_less_one():
    found = false_negative_rate(judged(s=[(1, 1)] * 3 + [(1, 0)] * 17), {"s": MANY})
    assert found.effective_negatives == pytest.approx(19)  # the variance divides by n - 1
    # 2.85 of 19: beyond Jeffreys' ends for 2 of 19, within Clopper and Pearson's for 3
    assert 0.0223 < found.low < 0.0473
    assert 0.2960 < found.high < 0.3958


def test_negatives_of_one_query_are_worth_less_than_as_many_queries():
    # design effect 1 + (5 - 1) / 2 = 3 before anything is seen; t at 149 and 29 degrees of freedom
    found = false_negative_rate(judged(s=[(5, 0)] * 30), {"s": MANY})
    assert found.effective_negatives == pytest.approx(150 / 3 * (1.97601 / 2.04523) ** 2, rel=1e-4)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / found.effective_negatives))


def test_all_in_a_few_queries_is_less_certain_than_one_each():
    spread = false_negative_rate(judged(s=[(5, 1)] * 10 + [(5, 0)] * 30), {"s": MANY})
    heaped = false_negative_rate(judged(s=[(5, 5)] * 2 + [(5, 0)] * 38), {"s": MANY})
    assert spread.rate == heaped.rate == pytest.approx(0.05)
    assert heaped.low < spread.low < spread.high < heaped.high


def test_strata_of_one_judged_query_still_vary():
    lone = {f"s{place}": [(5, 5 * (place % 2))] for place in range(20)}
    found = false_negative_rate(judged(**lone), dict.fromkeys(lone, MANY))
    assert found.rate == 0.5
    assert found.effective_negatives < 30  # twenty queries, each of one mind, not a hundred judgements


def test_false_negatives_in_a_light_stratum_say_little_of_the_heavy_one():
    heavy = [(5, 0)] * 8
    both = false_negative_rate(judged(heavy=heavy, light=[(5, 1)] * 40), {"heavy": 10_000, "light": 50})
    alone = false_negative_rate(judged(heavy=heavy), {"heavy": 10_000})
    assert both.effective_negatives == pytest.approx(alone.effective_negatives, rel=0.1)


def test_all_judged_is_known_exactly():
    found = false_negative_rate(judged(s=[(5, 1), (5, 0)], t=[(3, 2)]), {"s": 2, "t": 1})
    assert (found.rate, found.low, found.high) == (pytest.approx(3 / 13), found.rate, found.rate)
    assert found.effective_negatives is None


def test_half_judged_and_none_found_leaves_room_for_what_chance_may_have_hidden():
    found = false_negative_rate(judged(s=[(1, 0)] * 50), {"s": 100})
    hidden = max(k for k in range(51) if comb(100 - k, 50) / comb(100, 50) > 0.025)
    assert hidden / 100 <= found.high < false_negative_rate(judged(s=[(1, 0)] * 50), {"s": MANY}).high


def test_a_stratum_without_answers_is_named():
    found = false_negative_rate(judged(near=[(4, 1), (4, 0)]), {"near": 10, "far": 90, "empty": 0})
    assert found.rate == pytest.approx(1 / 8)
    assert found.strata_without_answers == ("far",)


def test_nothing_judged_has_no_rate():
    found = false_negative_rate(judged(), {"near": 10})
    assert (found.rate, found.low, found.high, found.judged_negatives) == (None, None, None, 0)


def test_one_query_says_almost_nothing():
    found = false_negative_rate(judged(s=[(6, 1)]), {"s": 500})
    assert found.rate == pytest.approx(1 / 6)
    assert found.low < 0.01
    assert found.high > 0.9


@pytest.mark.parametrize(
    ("sample", "population", "message"),
    [
        (judged(s=[(3, 1)]), {"t": 5}, r"\['s'\] of judged queries have no population"),
        (judged(s=[(3, 1)] * 6), {"s": 5}, "more queries are judged than there are"),
        (certain(judged(s=[(3, 1)]).rows.with_columns(stratum=pl.Series(["s", "s", "t"]))), {}, "in two strata"),
    ],
)
def test_what_cannot_be_is_refused(sample, population, message):
    with pytest.raises(ValueError, match=message):
        false_negative_rate(sample, population)


@pytest.mark.parametrize(("queries", "negatives"), [(30, 5), (100, 7), (200, 10), (60, 20)])
def test_one_more_query_with_a_false_negative_never_lowers_rate_or_bounds(queries, negatives):
    found = [
        false_negative_rate(judged(s=[(negatives, 1)] * bad + [(negatives, 0)] * (queries - bad)), {"s": 5000})
        for bad in range(queries + 1)
    ]
    for name in ("rate", "low", "high"):
        assert (np.diff([getattr(each, name) for each in found]) >= 0).all()


def test_more_judged_queries_narrow_the_interval():
    found = [false_negative_rate(judged(s=[(5, 1), *[(5, 0)] * 9] * times), {"s": MANY}) for times in (1, 2, 4, 8)]
    assert (np.diff([each.high - each.low for each in found]) < 0).all()


counts = st.integers(1, 8).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size)))


@settings(max_examples=150)
@given(st.lists(counts, min_size=1, max_size=6), st.lists(counts, min_size=1, max_size=3), st.integers(0, 40))
def test_the_interval_holds_the_rate_and_lies_between_nought_and_one(near, far, others):
    found = false_negative_rate(judged(near=near, far=far), {"near": len(near) + others, "far": len(far)})
    if found.rate is not None:
        assert 0 <= found.low <= found.rate <= found.high <= 1


def drawn(generator, sizes, taken, rate, correlation):
    """A made-up population of queries, its true rate, and an audit of it."""
    truth, mined, sample = 0, 0, {}
    for stratum, (size, audit) in enumerate(zip(sizes, taken, strict=True)):
        negatives = generator.integers(3, 9, size)
        spread = 1 / correlation - 1
        chance = generator.beta(rate * spread, (1 - rate) * spread, size) if rate else np.zeros(size)
        false = generator.binomial(negatives, chance)
        truth, mined = truth + false.sum(), mined + negatives.sum()
        chosen = generator.choice(size, audit, replace=False)
        sample[str(stratum)] = list(zip(negatives[chosen].tolist(), false[chosen].tolist(), strict=True))
    return truth / mined, judged(**sample)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("sizes", "taken"), [((600, 300, 100), (10, 10, 10)), ((80, 40), (20, 20)), ((1000, 50), (8, 40))]
)
def test_small_clustered_audits_cover_the_true_rate(sizes, taken, rate):
    generator = np.random.default_rng(17)
    population = {str(stratum): size for stratum, size in enumerate(sizes)}
    covered = []
    for _ in range(200):
        truth, sample = drawn(generator, sizes, taken, rate, correlation=0.4)
        found = false_negative_rate(sample, population)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93


def ranked(**strata):
    """A table of judged negatives: stratum=["ny", ...], a query each, whether its negatives answer in rank order."""
    rows = [
        (f"{name}{place}", name, rank, said == "y")
        for name, queries in strata.items()
        for place, query in enumerate(queries)
        for rank, said in enumerate(query, start=1)
        if said != " "
    ]
    return certain(pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("record_id", "rank"))


def test_a_part_counts_by_the_weight_of_the_queries_that_have_it():
    found = dict(rates_by(ranked(near=["yn", "n"], far=["ny", "nn"]), "rank", {"near": 100, "far": 300}))
    assert found[1].rate == pytest.approx(50 * 1 / (50 * 2 + 150 * 2))
    assert found[2].rate == pytest.approx(150 * 1 / (50 * 1 + 150 * 2))  # of near one query in two has a second
    assert [(each.judged_queries, each.judged_negatives, each.false_negatives) for each in found.values()] == [
        (4, 4, 1),
        (3, 3, 1),
    ]


def test_the_parts_are_the_whole_when_there_is_one():
    negatives = certain(ranked(near=["yn", "nn", "nnn"], far=["n", "ny"]).rows.with_columns(all=pl.lit("all")))
    population = {"near": 100, "far": 300}
    whole = false_negative_rate(negatives, population)
    assert list(rates_by(negatives, "all", population)) == [("all", whole)]


def test_a_stratum_taken_as_a_part_is_estimated_from_itself_alone():
    negatives = ranked(near=["yn", "nn", "nnn"], far=["n", "ny"])
    found = dict(rates_by(negatives, "stratum", {"near": 100, "far": 300}))
    near = certain(negatives.rows.filter(stratum="near"))
    assert found["near"] == false_negative_rate(near, {"near": 100})


def test_a_part_of_which_everything_was_judged_is_known_exactly():
    found = dict(rates_by(ranked(near=["yn", "n"], far=["y"] * 4), "rank", {"near": 2, "far": 300}))
    assert (found[2].low, found[2].rate, found[2].high) == (0, 0, 0)  # second negatives stand in near alone
    assert found[1].low < found[1].rate < found[1].high


def test_negatives_of_no_part_are_in_none():
    rows = ranked(near=["yn", "ny"]).rows.with_columns(rank=pl.when(pl.col("rank") == 2).then(2))
    negatives = certain(rows)
    assert [(part, rate.judged_negatives) for part, rate in rates_by(negatives, "rank", {"near": 9})] == [(2, 2)]


def test_a_rare_part_is_measured_on_the_queries_that_have_it():
    many, few = ranked(s=["nn"] * 5 + ["n"] * 95), ranked(s=["nn"] * 5)
    rare = dict(rates_by(many, "rank", {"s": MANY}))[2]
    alone = dict(rates_by(few, "rank", {"s": MANY}))[2]
    assert rare.high == pytest.approx(alone.high)


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_rates_of_parts_cover_the_truth(rate):
    generator = np.random.default_rng(23)
    sizes, taken = {"near": 600, "far": 300}, {"near": 20, "far": 20}
    covered = []
    for _ in range(150):
        false = {name: generator.random((size, 2)) < np.array([rate / 2, rate]) for name, size in sizes.items()}
        second = {name: generator.random(size) < 0.4 for name, size in sizes.items()}  # has a negative of rank 2
        truth = sum((false[name][:, 1] & second[name]).sum() for name in sizes) / sum(map(sum, second.values()))
        sample = {
            name: ["ny"[int(one)] + ("ny"[int(two)] if has else "") for (one, two), has in drawn]
            for name in sizes
            for drawn in [list(zip(false[name], second[name], strict=True))[: taken[name]]]
        }
        found = dict(rates_by(ranked(**sample), "rank", sizes))[2]
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93
