import numpy as np
import polars as pl
import pytest
import torch
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from nestling.evaluation.metrics import spearman
from nestling.retrieval.embeddings import shrink
from nestling.training.dev import NDCG, SPEARMAN, DevEvaluator, DevSettings
from tests.encoders import static_encoder, tiny_bert

TEXTS = {
    "p1": "il mulino apre alle nove",
    "p2": "la nonna cucina il ragù",
    "p3": "il porto chiude in inverno",
    "p4": "il coro prova di sera",
    "p5": "il mulino chiude di sera",
}
PASSAGES = pl.DataFrame({"passage_id": list(TEXTS), "text": list(TEXTS.values())})
PAIRS = pl.DataFrame(
    {
        "sentence1": ["il mulino apre", "la nonna cucina", "il porto chiude", "il coro"],
        "sentence2": ["il mulino chiude", "il coro prova", "il porto", "la nonna"],
        "score": [0.7, 0.2, 0.9, 0.0],
    }
)
DIMS = [5, 2]


def rows(*asked):
    columns = [(origin, anchor, positive, ["p5"]) for origin, anchor, positive in asked]
    return pl.DataFrame(columns, schema=["origin", "anchor", "positive_id", "negative_ids"], orient="row")


def evaluator(asked=(), pairs=PAIRS, size=10, dims=DIMS, precision="fp32"):
    settings = DevSettings(dims, size, 1, precision)
    return DevEvaluator(rows(*asked) if asked else rows(("x", "y", "p1")).clear(), pairs, PASSAGES, settings)


@pytest.fixture(scope="module")
def model():
    return static_encoder(list(TEXTS.values()), 5)


RIGHT, WRONG = ("il mulino apre alle nove", "p1"), ("la nonna cucina il ragù", "p3")


def test_each_origin_counts_the_same(model):
    asked = [("recorded", *WRONG), *(("extractive", f"{RIGHT[0]}{' ' * n}", RIGHT[1]) for n in range(9))]
    right, wrong = (evaluator([("recorded", *one)])(model)[NDCG] for one in (RIGHT, WRONG))
    assert right == 1
    assert wrong < 0.7
    assert evaluator(asked)(model)[NDCG] == pytest.approx((right + wrong) / 2)


def test_it_agrees_with_sentence_transformers_at_each_dimension(model):
    asked = [
        ("recorded", "mulino di sera", "p5"),
        ("recorded", "mulino di sera", "p1"),
        ("recorded", "coro nonna", "p4"),
    ]
    found = evaluator(asked)(model)
    queries = {"1": "mulino di sera", "2": "coro nonna"}
    answers = {"1": {"p5", "p1"}, "2": {"p4"}}
    each = [InformationRetrievalEvaluator(queries, TEXTS, answers, truncate_dim=dim, name="x")(model) for dim in DIMS]
    assert found[NDCG] == pytest.approx(sum(one["x_cosine_ndcg@10"] for one in each) / 2, abs=1e-6)
    columns = [PAIRS[name].to_list() for name in ("sentence1", "sentence2", "score")]
    each = [EmbeddingSimilarityEvaluator(*columns, truncate_dim=dim, name="x")(model) for dim in DIMS]
    assert found[SPEARMAN] == pytest.approx(sum(one["x_spearman_cosine"] for one in each) / 2, abs=1e-6)


@pytest.mark.parametrize(("size", "searched"), [(1, 2), (3, 3), (99, 5)])
def test_queries_search_their_own_passages_and_a_sample_of_the_rest(size, searched):
    found = evaluator([("recorded", *RIGHT)], size=size)
    assert len(found.texts) == searched
    assert {TEXTS["p1"], TEXTS["p5"]} <= set(found.texts)  # its positive and its negative
    assert found.texts == evaluator([("recorded", *RIGHT)], size=size).texts


@pytest.mark.parametrize("scores", [[0.5, 0.5, 0.5, 0.5], [0.1, 0.9], []])
def test_pairs_that_nothing_can_correlate_with_are_not_measured(scores, model):
    found = evaluator(pairs=PAIRS.head(len(scores)).with_columns(score=pl.Series(scores, dtype=pl.Float64)))
    assert not found.measures
    assert found(model) == {}


def test_a_model_that_finds_all_pairs_alike_correlates_with_nothing(model):
    unknown = pl.DataFrame({"sentence1": ["xx"] * 3, "sentence2": ["yy"] * 3, "score": [0.1, 0.5, 0.9]})
    assert evaluator(pairs=unknown)(model) == {SPEARMAN: 0}


@pytest.mark.parametrize("answer", ["p1", "p5"])
def test_a_query_that_the_model_knows_nothing_of_scores_nothing_whatever_stands_first(answer, model):
    assert evaluator([("recorded", "xqzwv", answer)])(model)[NDCG] == 0


@pytest.mark.parametrize("answer", ["p1", "p6"])
def test_equal_texts_share_their_places(answer, model):
    twice = pl.concat([PASSAGES, pl.DataFrame({"passage_id": ["p6"], "text": [TEXTS["p1"]]})])
    settings = DevSettings([5], 10, 1, "fp32")
    found = DevEvaluator(rows(("recorded", TEXTS["p1"], answer)), PAIRS, twice, settings)
    assert found(model)[NDCG] == pytest.approx((1 + 1 / np.log2(3)) / 2)


@pytest.mark.parametrize(("asked", "primary"), [([("recorded", *RIGHT)], NDCG), ([], SPEARMAN)])
def test_the_best_checkpoint_is_chosen_by_queries_and_without_them_by_pairs(asked, primary, model):
    found = evaluator(asked)
    assert found.measures
    assert found.primary_metric == primary
    assert primary in found(model)


def test_pairs_are_measured_with_the_prompt_of_queries():
    model = tiny_bert()
    model.prompts = {"query": "domanda: ", "document": "testo: "}
    left, right = (model.encode_query(PAIRS[side].to_list()) for side in ("sentence1", "sentence2"))
    expected = spearman((shrink(left, 16) * shrink(right, 16)).sum(1), PAIRS["score"].to_numpy())
    assert evaluator(dims=[16])(model)[SPEARMAN] == pytest.approx(expected)


def test_the_arithmetic_is_that_of_training():
    model = tiny_bert()
    wide = evaluator([("recorded", *RIGHT)], dims=[16], precision="bf16")
    seen = []
    model[0].auto_model.encoder.layer[0].attention.self.query.register_forward_hook(
        lambda _, __, found: seen.append(found.dtype)
    )
    wide(model)
    assert set(seen) == {torch.bfloat16}
