"""Our metrics are those of trec_eval, as ir_measures gives them; tied documents count at their expected value."""

from itertools import permutations, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nestling.evaluation.metrics import METRICS, TIED, score_queries
from tests.oracle import ORACLE, means

IDS = [f"d{place:03}" for place in range(130)]
grades = st.dictionaries(st.sampled_from([*IDS[:20], "never found"]), st.integers(0, 3), min_size=1).filter(
    lambda judged: any(judged.values())
)


def ours(run, qrels):
    scores = score_queries(run, qrels)
    return {name: scores.filter(metric=name)["value"].mean() for name in METRICS}


def orders(found):
    """Yield every ranking that the scores allow, each as a run of one query without ties."""
    levels = sorted(set(found.values()), reverse=True)
    tied = [[name for name, score in found.items() if score == level] for level in levels]
    for parts in product(*(permutations(names) for names in tied)):
        ranked = [name for part in parts for name in part]
        yield {name: float(len(ranked) - place) for place, name in enumerate(ranked)}


def test_every_metric_has_its_oracle():
    assert tuple(ORACLE) == METRICS


@settings(max_examples=25)
@given(st.permutations(IDS), st.integers(0, 130), grades)
def test_without_ties_every_metric_is_that_of_trec_eval(ranked, found, judged):
    run = {"q": {name: 1 - place / 200 for place, name in enumerate(ranked[:found])}}
    assert ours(run, {"q": judged}) == pytest.approx(means({"q": judged}, run), abs=1e-9)


def test_many_answers_and_many_queries_too():
    generator_of_grades = [{name: (7 * place + query) % 4 for place, name in enumerate(IDS)} for query in range(5)]
    qrels = {f"q{number}": judged for number, judged in enumerate(generator_of_grades)}
    run = {
        query: {name: float((31 * place + 17 * number) % 131) for place, name in enumerate(IDS)}
        for number, query in enumerate(qrels)
    }
    run["q4"] = {}  # found nothing: 0
    assert ours(run, qrels) == pytest.approx(means(qrels, run), abs=1e-9)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(IDS[:7]), st.sampled_from([0.5, 0.25, 0.125]), min_size=1), grades)
def test_ties_count_at_the_mean_over_all_their_orders(found, judged):
    runs = dict(enumerate(orders(found)))
    assume(len(runs) <= 5040)
    every = {f"o{number}": run for number, run in runs.items()}
    expected = means(dict.fromkeys(every, judged), every)
    assert ours({"q": found}, {"q": judged}) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20)
@given(
    st.integers(0, 12),
    st.integers(2, 4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from(["ndcg@10", "mrr@10", "map@100", "accuracy@10", "recall@100", "judged@10"]),
)
def test_so_they_do_across_the_tenth_and_the_hundredth_place(above, size, relevant, metric):
    """A tie that begins a little above the cut, of which only a part is looked at."""
    cut = int(metric.split("@")[1])
    first = [f"a{place}" for place in range(max(0, cut - above))]
    tie = [f"t{place}" for place in range(size)]
    judged = {name: 1 for name, answers in zip(tie, relevant, strict=False) if answers} | {"a0": 0}
    assume(any(judged.values()))
    found = {**{name: 200.0 - place for place, name in enumerate(first)}, **dict.fromkeys(tie, 0.5)}
    every = {f"o{number}": run for number, run in enumerate(orders(found))}
    expected = means(dict.fromkeys(every, judged), every)[metric]
    assert ours({"q": found}, {"q": judged})[metric] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(IDS[:20]), st.integers(1, 4), min_size=1), grades, st.permutations(IDS))
def test_no_name_is_favoured(found, judged, names):
    other = dict(zip(IDS, names, strict=True))
    renamed = {other.get(name, name): grade for name, grade in judged.items()}
    again = ours({"q": {other[name]: score for name, score in found.items()}}, {"q": renamed})
    assert again == pytest.approx(ours({"q": found}, {"q": judged}), abs=1e-12)


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(IDS[:20]), st.integers(1, 6), min_size=1), grades)
def test_where_no_tie_matters_trec_evals_order_gives_the_same_ndcg(found, judged):
    scores = score_queries({"q": found}, {"q": judged})
    value, tied = (scores.filter(metric=name)["value"][0] for name in ("ndcg@10", TIED))
    if not tied:
        assert value == pytest.approx(means({"q": judged}, {"q": {**found}})["ndcg@10"], abs=1e-9)
