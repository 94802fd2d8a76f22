from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from nestling.evaluation.metrics import METRICS, TIED, levelled, pearson, says_nothing, score_queries, spearman

IDS = [f"p{place}" for place in range(15)]


def ranked(ranking):
    """The scores of a ranking without ties."""
    return {passage: 1 / place for place, passage in enumerate(ranking, start=1)}


def scores_of(ranking, grades):
    found = dict(score_queries({"q": ranked(ranking)}, {"q": grades}).select("metric", "value").rows())
    assert found.pop(TIED) == 0
    return found


def test_two_answers_at_the_second_and_the_fourth_place():
    found = scores_of(["a", "b", "c", "d"], {"b": 1, "d": 1, "x": 0})
    ideal = 1 + 1 / log2(3)
    assert found == {
        "ndcg@10": pytest.approx((1 / log2(3) + 1 / log2(5)) / ideal),
        "mrr@10": 1 / 2,
        "map@100": pytest.approx((1 / 2 + 2 / 4) / 2),
        "accuracy@1": 0,
        "accuracy@10": 1,
        "recall@100": 1,
        "judged@10": 2 / 4,
    }


def test_graded_relevance_is_a_linear_gain():
    found = scores_of(["a", "b", "c"], {"a": 1, "b": 3, "c": -1})
    assert found["ndcg@10"] == pytest.approx((1 + 3 / log2(3)) / (3 + 1 / log2(3)))
    assert found["map@100"] == 1  # a grade of 1 is as relevant as 3 elsewhere


def test_what_stands_too_deep_does_not_count():
    fillers = [f"n{place}" for place in range(200)]
    late = scores_of([*fillers[:10], "a", *fillers[10:]], {"a": 1})
    assert [late[name] for name in METRICS] == [0, 0, pytest.approx(1 / 11), 0, 0, 1, 0]
    assert set(scores_of([*fillers[:100], "a"], {"a": 1}).values()) == {0}


def test_more_answers_than_the_depth_can_hold_are_missed_as_trec_eval_has_it():
    found = scores_of([f"a{place}" for place in range(100)], {f"a{place}": 1 for place in range(150)})
    assert found["ndcg@10"] == 1
    assert found["map@100"] == found["recall@100"] == pytest.approx(100 / 150)


def test_each_query_with_an_answer_is_scored_in_order_and_no_other():
    qrels = {"q2": {"a": 1}, "q1": {"a": 1}, "nothing": {}, "irrelevant": {"a": 0}}
    found = score_queries({"q2": {"a": 0.5}, "unknown": {"a": 0.5}}, qrels)
    assert found["query_id"].to_list() == ["q1"] * 8 + ["q2"] * 8
    assert found["metric"].to_list() == [*METRICS, TIED, *METRICS, TIED]
    assert found["value"].to_list() == [0.0] * 8 + [1.0] * 7 + [0.0]  # q1 found nothing


def test_no_query_is_an_empty_table():
    assert score_queries({}, {}).schema == score_queries({"q": {"a": 1.0}}, {"q": {"a": 1}}).schema


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_none_is_refused(score):
    with pytest.raises(ValueError, match="scores of query 'q' are not all finite"):
        score_queries({"q": {"a": 1.0, "b": score}}, {"q": {"a": 1}})


def test_two_equals_share_the_places_that_they_take():
    values = [
        score_queries({"q": {"a": 0.5, "b": 0.5, "c": 0.1}}, {"q": {answer: 1}}).filter(metric=metric)["value"][0]
        for answer in "ab"
        for metric in ("ndcg@10", "mrr@10", "accuracy@1", TIED)
    ]
    assert values == pytest.approx([(1 + 1 / log2(3)) / 2, 0.75, 0.5, 1] * 2)


def test_scores_nearer_than_rounding_are_equal_and_others_stay_as_they_are():
    scores = np.array([0.9, 0.9 - 5e-7, 0.9 - 9e-7, 0.8, 0.8 - 2e-6], dtype=np.float32)
    assert levelled(scores).tolist() == [scores[0]] * 3 + scores[3:].tolist()
    sums = np.array([50, 50 - 2e-5, 49.9, 0.5], dtype=np.float32)  # of BM25: float32 has fewer decimals up there
    assert levelled(sums).tolist() == [50, 50, *sums[2:].tolist()]
    assert levelled(scores[:0]).tolist() == []


def test_in_few_documents_a_deep_cut_says_nothing():
    assert [name for name in METRICS if says_nothing(name, 100)] == ["recall@100"]
    assert [name for name in METRICS if says_nothing(name, 10)] == ["accuracy@10", "recall@100"]
    assert [name for name in METRICS if says_nothing(name, 101)] == []


rankings = st.permutations(IDS)
qrels = st.dictionaries(st.sampled_from([*IDS, "never found"]), st.integers(0, 3), min_size=1).filter(
    lambda grades: any(grades.values())
)


@settings(max_examples=200)
@given(rankings, qrels)
def test_every_score_lies_between_nought_and_one(ranking, grades):
    assert all(0 <= value <= 1 for value in scores_of(ranking, grades).values())


@settings(max_examples=100)
@given(rankings, qrels)
def test_the_best_order_scores_exactly_one(ranking, grades):
    best = sorted({*ranking, *grades}, key=lambda passage: -grades.get(passage, 0))
    assert {value for name, value in scores_of(best, grades).items() if name != "judged@10"} == {1.0}


@settings(max_examples=200)
@given(rankings, qrels, st.integers(1, len(IDS) - 1))
def test_an_answer_that_moves_up_past_a_worse_one_lowers_nothing(ranking, grades, place):
    above, here = ranking[place - 1], ranking[place]
    if grades.get(here, 0) > grades.get(above, 0):
        moved = [*ranking[: place - 1], here, above, *ranking[place + 1 :]]
        before, after = scores_of(ranking, grades), scores_of(moved, grades)
        assert all(after[name] >= before[name] - 1e-12 for name in METRICS if name != "judged@10")
        assert place >= 10 or after["ndcg@10"] > before["ndcg@10"]


@pytest.fixture(scope="module")
def model():
    """A real encoder of 160 words, each a text of its own with a random vector."""
    vocabulary = {f"w{place}": place for place in range(160)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    vectors = np.random.default_rng(0).normal(size=(160, 6)).astype(np.float32)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu")


def cosines(model, left, right):
    left, right = (model.encode(texts, normalize_embeddings=True) for texts in (left, right))
    return left @ right.T


def test_the_metrics_are_those_of_sentence_transformers(model):
    generator = np.random.default_rng(1)
    queries = {f"q{place}": f"w{place}" for place in range(20)}
    corpus = {f"p{place:03}": f"w{place}" for place in range(20, 160)}
    sizes = [*generator.integers(1, 8, 18), 90, 100]
    answers = {
        query: set(generator.choice(list(corpus), size, replace=False).tolist())
        for query, size in zip(queries, sizes, strict=True)
    }
    evaluator = InformationRetrievalEvaluator(
        queries, corpus, answers, accuracy_at_k=[1, 10], precision_recall_at_k=[100], show_progress_bar=False
    )
    theirs = evaluator(model)
    order = np.argsort(-cosines(model, list(queries.values()), list(corpus.values())), axis=1)
    run = {query: ranked(np.array(list(corpus))[row]) for query, row in zip(queries, order, strict=True)}
    scores = score_queries(run, {query: dict.fromkeys(found, 1) for query, found in answers.items()})
    ours = {name: scores.filter(scores["metric"] == name)["value"].mean() for name in METRICS if name != "judged@10"}
    assert ours == pytest.approx({name: float(theirs[f"cosine_{name}"]) for name in ours}, abs=1e-6)
    assert 0 < ours["ndcg@10"] < 1


def test_the_correlations_are_those_of_sentence_transformers(model):
    generator = np.random.default_rng(2)
    left, right = ([f"w{place}" for place in generator.integers(0, 160, 80)] for _ in range(2))
    gold = generator.integers(0, 6, 80) / 5
    theirs = EmbeddingSimilarityEvaluator(left, right, gold.tolist())(model)
    ours = np.diagonal(cosines(model, left, right))
    assert spearman(ours, gold) == pytest.approx(float(theirs["spearman_cosine"]), abs=1e-6)
    assert pearson(ours, gold) == pytest.approx(float(theirs["pearson_cosine"]), abs=1e-6)


def test_spearman_sees_the_order_alone():
    gold = np.array([0.0, 1.0, 2.0, 5.0])
    assert spearman(np.exp(gold), gold) == pytest.approx(1)
    assert pearson(np.exp(gold), gold) < 0.95
    assert spearman(-gold, gold) == pytest.approx(-1)


@pytest.mark.parametrize("correlation", [spearman, pearson])
@pytest.mark.parametrize(
    ("cosines", "gold", "message"),
    [
        ([0.5, 0.5, 0.5], [1, 2, 3], "all 3 cosines are 0.5: a constant correlates with nothing"),
        ([0.1, 0.2], [4, 4], "all 2 gold scores are 4"),
        ([0.1], [4], "two at least"),
        ([0.1, 0.2, 0.3], [4, 3], "as many cosines as gold scores"),
        ([0.1, np.nan], [4, 3], "cosines hold numbers that are not finite"),
    ],
)
def test_what_has_no_correlation_is_refused(correlation, cosines, gold, message):
    with pytest.raises(ValueError, match=message):
        correlation(np.array(cosines), np.array(gold))
