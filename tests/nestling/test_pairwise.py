import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from nestling.evaluation.bootstrap import resamples
from nestling.review.pairwise import of_pairs, with_the_rest
from nestling.tables.io import write_json

SCHEMA = ["record_id", "unit_id", "annotator", "value"]
# Cohen (1960): two judges, three categories, 200 cases; he reports kappa .492
COHEN = ((88, 14, 18), (10, 40, 10), (2, 6, 12))
# Hout, Duncan and Sobel (1987): 91 couples; Friendly, "Visualizing Categorical Data" (2000), gives .129 for words and
# .332 for squared distances (Fleiss and Cohen's weights)
COUPLES = ((7, 7, 2, 3), (2, 8, 3, 7), (1, 5, 4, 9), (2, 8, 9, 14))


def table(grid, units_a_record=1):
    """One row an answer of a grid [annotators][units]; units are dealt to records in their order."""
    rows = [
        (f"r{unit // units_a_record:04}", f"u{unit % units_a_record}", f"a{person}", value)
        for person, answers in enumerate(grid)
        for unit, value in enumerate(answers)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def crossed(counts):
    """The answers of two people whose crossing has these counts."""
    both = [
        (row, column) for row, line in enumerate(counts) for column, times in enumerate(line) for _ in range(times)
    ]
    return table(list(zip(*both, strict=True)))


@pytest.mark.parametrize(
    ("counts", "level", "observed", "published"),
    [(COHEN, "nominal", 0.70, 0.492), (COUPLES, "nominal", 33 / 91, 0.129), (COUPLES, "interval", 33 / 91, 0.332)],
)
def test_the_published_kappas(counts, level, observed, published):
    (found,) = of_pairs(crossed(counts), level, seed=1, replicates=200)
    assert (round(found["kappa"], 3), found["units"]) == (published, sum(map(sum, counts)))
    assert found["observed"] == pytest.approx(observed)
    assert found["kappa_low"] < found["kappa"] < found["kappa_high"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=15))
def test_kappa_is_that_of_scikit_learn(pairs):
    mine, theirs = zip(*pairs, strict=True)
    varied = len({*mine, *theirs}) > 1
    for level, weights in (("nominal", None), ("interval", "quadratic")):
        (found,) = of_pairs(table([mine, theirs]), level, seed=1, replicates=5)
        known = cohen_kappa_score(mine, theirs, weights=weights, labels=range(5)) if varied else None
        assert found["kappa"] == (known if known is None else pytest.approx(known))


@pytest.mark.parametrize(("level", "weights"), [("nominal", None), ("interval", "quadratic")])
def test_the_interval_is_that_of_whole_records_drawn_again(level, weights):
    generator = np.random.default_rng(3)
    grid = np.clip(generator.integers(0, 6, 30) + generator.integers(-1, 2, (2, 30)), 0, 5)
    (found,) = of_pairs(table(grid.tolist(), units_a_record=3), level, seed=7, replicates=40)
    kappas, shares = [], []
    for counts in np.concatenate(list(resamples(10, seed=7, replicates=40))):
        units = [3 * record + unit for record in np.repeat(np.arange(10), counts) for unit in range(3)]
        mine, theirs = grid[:, units]
        kappas.append(cohen_kappa_score(mine, theirs, weights=weights, labels=range(6)))
        shares.append((mine == theirs).mean())
    ends = [found[name] for name in ("kappa_low", "kappa_high", "observed_low", "observed_high")]
    assert ends == pytest.approx([*np.percentile(kappas, [2.5, 97.5]), *np.percentile(shares, [2.5, 97.5])])


def test_every_two_people_are_compared_on_what_both_answered():
    found = of_pairs(table([["x", "y", None, "x"], ["x", "x", "x", None], [None, None, "y", "x"]]), "nominal", 1, 50)
    assert [(each["annotators"], each["units"], each["observed"]) for each in found] == [
        (["a0", "a1"], 2, 0.5),
        (["a0", "a2"], 1, 1.0),
        (["a1", "a2"], 1, 0.0),
    ]


def test_somebody_who_always_grades_higher_is_not_in_full_agreement():
    (found,) = of_pairs(table([[0, 1, 2, 3], [1, 2, 3, 4]]), "interval", 1, 50)
    assert found["observed"] == 0
    assert found["kappa"] == pytest.approx(1 - 1 / 3.5)  # each grade is 1 apart, two at random 3.5 (squared)


def test_grades_half_a_step_apart_agree():
    (found,) = of_pairs(table([[1, 1, 1], [1.5, 1.6, 1]]), "interval", 1, 50)
    assert found["observed"] == pytest.approx(2 / 3)


def test_the_rest_is_their_majority_and_their_ties_are_left_out():
    grid = [["x", "x", "y", "x"], ["x", "y", "x", "y"], ["x", "y", "y", "x"], ["y", "y", "y", None]]
    found = with_the_rest(table(grid), "nominal", 1, 50)
    # the rest of a0 say x y y and tie; of a1 x y y x; of a2 x y y and tie; of a3 x y y
    assert [(each["annotator"], each["units"], each["observed"]) for each in found] == [
        ("a0", 3, pytest.approx(2 / 3)),
        ("a1", 4, pytest.approx(2 / 4)),
        ("a2", 3, 1.0),
        ("a3", 3, pytest.approx(2 / 3)),
    ]


def test_the_rest_of_grades_is_their_mean():
    found = with_the_rest(table([[0, 2, 5], [1, 2, 4], [0, 3, 3]]), "interval", 1, 50)
    means = [0.5, 2.5, 3.5]
    assert found[0]["observed"] == pytest.approx(2 / 3)  # 5 is 1.5 from 3.5
    mine = np.array([0, 2, 5])
    by_chance = np.mean([(grade - mean) ** 2 for grade in mine for mean in means])
    assert found[0]["kappa"] == pytest.approx(1 - np.mean((mine - means) ** 2) / by_chance)


def test_with_two_people_the_rest_is_the_other():
    (pair,) = of_pairs(crossed(COHEN), "nominal", 1, 50)
    for each in with_the_rest(crossed(COHEN), "nominal", 1, 50):
        assert {name: each[name] for name in pair if name != "annotators"} == pytest.approx(
            {name: pair[name] for name in pair if name != "annotators"}
        )


def test_of_many_people_the_one_who_guesses_stands_out():
    generator = np.random.default_rng(6)
    truth = generator.integers(0, 2, 200)
    careful = np.where(generator.random((4, 200)) < 0.1, 1 - truth, truth)
    found = with_the_rest(table([*careful.tolist(), generator.integers(0, 2, 200).tolist()]), "nominal", 1, 200)
    assert min(each["kappa_low"] for each in found[:4]) > 0.5
    assert found[4]["kappa_low"] < 0 < found[4]["kappa_high"] < 0.3


@pytest.mark.parametrize("level", ["nominal", "interval"])
@pytest.mark.parametrize(
    "grid", [[], [[1, 2]], [[1, None], [None, 2]], [[2, 2], [2, 2]], [[1], [2]], [[3.3], [3.3]]], ids=str
)
def test_where_there_is_too_little_there_is_no_kappa_or_no_interval_and_valid_json(tmp_path, grid, level):
    schema = dict(zip(SCHEMA, (pl.String, pl.String, pl.String, pl.Float64), strict=True))
    answers = pl.DataFrame(table(grid).rows(), schema=schema, orient="row")
    found = of_pairs(answers, level, 1, 50) + with_the_rest(answers, level, 1, 50)
    write_json(found, tmp_path / "report.json")  # refuses NaN
    for each in found:
        assert each["kappa_low"] is None
        assert (each["observed_low"] is None) == (each["records"] < 2)


def test_same_answers_in_another_order_give_the_same_numbers():
    answers = crossed(COUPLES)
    mixed = answers.sample(fraction=1, shuffle=True, seed=4)
    for compare in (of_pairs, with_the_rest):
        assert compare(mixed, "interval", 9, 50) == compare(answers, "interval", 9, 50)
