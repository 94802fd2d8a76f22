import numpy as np
import polars as pl
import pytest
import torch
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from nestling.evaluation.metrics import score_queries, spearman
from nestling.evaluation.suites import POOL, make_suites
from nestling.retrieval.embeddings import Vectors, encode_texts, shrink
from nestling.retrieval.search import top_documents
from nestling.training.dev import NDCG, SPEARMAN, DevEvaluator, DevSettings
from tests.encoders import static_encoder, tiny_bert

TEXTS = {
    "p1": "il mulino apre alle nove",
    "p2": "la nonna cucina il ragù",
    "p3": "il porto chiude in inverno",
    "p4": "il coro prova di sera",
    "p5": "il mulino chiude di sera",
}
PASSAGES = pl.DataFrame({"passage_id": list(TEXTS), "document_id": list(TEXTS), "text": list(TEXTS.values())})
PAIRS = pl.DataFrame(
    {
        "sentence1": ["il mulino apre", "la nonna cucina", "il porto chiude", "il coro"],
        "sentence2": ["il mulino chiude", "il coro prova", "il porto", "la nonna"],
        "score": [0.7, 0.2, 0.9, 0.0],
    }
)
DIMS = [5, 2]


def rows(*asked):
    """A row a positive; what answers besides stands behind it, parted by blanks."""
    columns = [(origin, anchor, answers.split(), [*{"p5"} - {*answers.split()}]) for origin, anchor, answers in asked]
    named = pl.DataFrame(columns, schema=["origin", "anchor", "answer_ids", "negative_ids"], orient="row")
    return named.with_columns(positive_id=pl.col("answer_ids").list.first())


def evaluator(asked=(), pairs=PAIRS, size=10, dims=DIMS, precision="fp32", passages=PASSAGES):
    settings = DevSettings(dims, size, 1, precision)
    return DevEvaluator(rows(*asked) if asked else rows(("x", "y", "p1")).clear(), pairs, passages, settings)


def of_one_document(*names):
    """The passages, those of these names in one document."""
    mine = pl.col("passage_id").is_in(names)
    return PASSAGES.with_columns(document_id=pl.when(mine).then(pl.lit("whole")).otherwise("document_id"))


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


@pytest.mark.parametrize(("size", "searched"), [(1, 1), (3, 3), (99, 5)])
def test_queries_search_what_answers_them_and_a_sample_of_the_rest(size, searched):
    found = evaluator([("recorded", *RIGHT)], size=size)
    assert len(found.texts) == searched
    assert TEXTS["p1"] in found.texts
    assert found.texts == evaluator([("recorded", *RIGHT)], size=size).texts


def test_no_mined_negative_decides_what_is_searched():
    asked = rows(("recorded", *RIGHT))
    settings = DevSettings(DIMS, 3, 1, "fp32")
    each = [asked.with_columns(negative_ids=pl.lit([name])) for name in TEXTS]
    assert len({tuple(DevEvaluator(one, PAIRS, PASSAGES, settings).texts) for one in each}) == 1


@pytest.mark.parametrize("first", ["p1", "p3", "p5"])
def test_any_passage_of_a_named_document_answers_whichever_an_encoder_ranked_first(first, model):
    answers = " ".join([first, *({"p1", "p3", "p5"} - {first})])
    asked = [("recorded", "il mulino apre alle nove", answers)]
    assert evaluator(asked, passages=of_one_document("p1", "p3", "p5"))(model)[NDCG] == 1
    shuffled = of_one_document("p1", "p3", "p5").sample(fraction=1, shuffle=True, seed=3)
    assert evaluator(asked, passages=shuffled)(model)[NDCG] == 1


def test_no_more_is_searched_than_asked_for_and_every_origin_keeps_a_query():
    asked = [("recorded", "coro", "p4"), *(("extractive", f"q{number}", f"p{number}") for number in (1, 2, 3, 5))]
    found = evaluator(asked, size=2)
    assert len(found.texts) == 2
    assert (sorted(found.origins), found.left_out) == (["extractive", "recorded"], 3)
    several = evaluator([("recorded", "mulino", "p1 p5"), ("recorded", "coro", "p4")], size=1)
    assert (several.queries, several.texts) == (["coro"], [TEXTS["p4"]])  # the other has no room for all its answers
    long = evaluator([("recorded", "mulino", "p1")], size=1, passages=of_one_document("p1", "p5"))
    assert set(long.texts) == {TEXTS["p1"], TEXTS["p5"]}  # the one document that answers is longer


@pytest.mark.parametrize("size", [6, 99])
def test_it_agrees_with_the_evaluation_of_suites(size, model):
    draw = np.random.default_rng(3)
    words = sorted({word for text in TEXTS.values() for word in text.split()})
    texts = {f"p{number}": " ".join(draw.choice(words, 4)) for number in range(40)}
    names = pl.DataFrame({"passage_id": list(texts), "text": list(texts.values())})
    passages = names.with_columns(document_id=pl.concat_str(pl.lit("d"), pl.int_range(pl.len()) % 17))
    asked = [("recorded", " ".join(draw.choice(words, 3)), " ".join(draw.choice(list(texts), 3))) for _ in range(30)]
    mine = evaluator(asked, passages=passages, dims=[5], size=size)
    part = passages.filter(pl.col("text").is_in(mine.texts)).with_columns(
        suite=pl.lit("dev"), part=pl.int_range(pl.len())
    )
    holder = dict(passages.select("passage_id", "document_id").iter_rows())
    told = [
        ("dev", text, holder[name], 1) for _, text, named in asked if text in mine.queries for name in named.split()
    ]
    qrels = pl.DataFrame(told, schema=["suite", "query_id", "document_id", "relevance"], orient="row")
    queries = pl.DataFrame({"query_id": mine.queries, "text": mine.queries}).with_columns(suite=pl.lit("dev"))
    (suite,) = make_suites(part, queries, qrels)
    asked, searched = (
        Vectors([encode_texts(model, texts, role, "fp32", 32)], np.zeros(len(texts), int), np.arange(len(texts)))
        for texts, role in ((suite.queries, "query"), (suite.passages, "document"))
    )
    hits = top_documents(asked, searched, suite.owner, POOL)
    scores = score_queries(suite.run(hits), suite.qrels).filter(pl.col("metric") == "ndcg@10")
    assert 0.05 < scores["value"].mean() < 0.95
    assert mine(model)[NDCG] == pytest.approx(scores["value"].mean(), abs=1e-6)


def test_many_queries_are_scored_as_one(model):
    asked = [("recorded", f"{RIGHT[0]}{' ' * number}", RIGHT[1]) for number in range(600)]
    wrong = [("recorded", f"{WRONG[0]}{' ' * number}", WRONG[1]) for number in range(600)]
    one, other = (evaluator([("recorded", *two)])(model)[NDCG] for two in (RIGHT, WRONG))
    assert evaluator([*asked, *wrong])(model)[NDCG] == pytest.approx((one + other) / 2)


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
    twice = pl.concat([PASSAGES, PASSAGES.head(1).with_columns(passage_id=pl.lit("p6"), document_id=pl.lit("p6"))])
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
