import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.encoders import StaticParams, make_encoder, save_encoder
from nestling.tables.corpus import NearDuplicate
from nestling.tables.io import empty
from stages.mine import (
    HITS,
    Known,
    MineParams,
    ceiling,
    judge,
    mean_scores,
    near_positives,
    report,
    search,
    with_positives,
)

ENCODE = EncodeParams(device="cpu", precision="fp32", batch_size=8)
PARAMS = MineParams(
    seed=1,
    current="models/base",
    encode=ENCODE,
    depth=10,
    num_negatives=2,
    absolute_margin=0.0,
    relative_margin=0.05,
    exclude_same_document=True,
    near_duplicate=0.5,
    skip=0,
    window=10,
    sampling="hardest",
)
NOTHING = pl.DataFrame(schema={"query_id": pl.String, "passage_id": pl.String})
UNLIKE = empty(NearDuplicate)
ONE = pl.DataFrame(
    {
        "query_id": ["q"],
        "query_split": ["train"],
        "positive_score": [0.8],
        "mean_score": [0.0],
    },
    schema_overrides={"positive_score": pl.Float32, "mean_score": pl.Float32},
)
POSITIVE = pl.DataFrame({"query_id": ["q"], "positive_id": ["p"], "positive_document": ["d"]})
UNANSWERABLE = pl.DataFrame(schema={"query_id": pl.String, "passage_id": pl.String})


def but(**changes):
    return PARAMS.model_copy(update=changes)


def hits(*found, query="q", split="train"):
    """Hits in rank order: (passage_id, score) or (passage_id, score, document_id)."""
    rows = [(query, rank, one[0], one[1], one[2] if len(one) > 2 else one[0]) for rank, one in enumerate(found, 1)]
    return pl.DataFrame(rows, schema=HITS | {"document_id": pl.String}, orient="row").with_columns(split=pl.lit(split))


def verdicts(found, params=PARAMS, answerable=UNANSWERABLE, near=NOTHING, queries=ONE, positives=POSITIVE):
    judged = judge(found, queries, Known(positives, answerable, near), params).sort("query_id", "rank")
    return dict(judged.select("passage_id", "verdict").rows())


def test_every_hit_gets_the_verdict_that_is_true_of_it():
    found = hits(
        ("twin", 0.9), ("p", 0.8), ("too", 0.77), ("sibling", 0.7, "d"), ("copy", 0.6), ("easy", 0.5), ("hard", 0.55),
        ("left", 0.4), ("last", 0.3),
    )  # fmt: skip
    near = pl.DataFrame({"query_id": ["q"], "passage_id": ["copy"]})
    answerable = pl.DataFrame({"query_id": ["q", "other"], "passage_id": ["twin", "easy"]})
    assert verdicts(found, but(skip=1), answerable, near) == {
        "twin": "positive",
        "p": "positive",
        "too": "margin",
        "sibling": "same_document",
        "copy": "near_duplicate",
        "easy": "above_window",
        "hard": "negative",
        "left": "negative",
        "last": "not_drawn",
    }


def test_all_passages_that_may_answer_are_positives_wherever_they_rank():
    answerable = pl.DataFrame({"query_id": ["q", "q"], "passage_id": ["far", "near"]})
    found = verdicts(hits(("near", 0.9), ("far", 0.1)), answerable=answerable)
    assert set(found.values()) == {"positive"}


def test_another_passage_of_the_same_document_may_be_a_negative_if_asked():
    found = hits(("sibling", 0.5, "d"))
    assert verdicts(found) == {"sibling": "same_document"}
    assert verdicts(found, but(exclude_same_document=False)) == {"sibling": "negative"}


@pytest.mark.parametrize(("asked", "verdict"), [("train", "held_out"), ("dev", "negative")])
def test_a_training_query_is_not_pushed_away_from_a_held_out_passage(asked, verdict):
    queries = ONE.with_columns(query_split=pl.lit(asked))
    assert verdicts(hits(("unseen", 0.5), split="dev"), queries=queries) == {"unseen": verdict}


def test_fewer_negatives_than_asked_keep_the_query():
    assert verdicts(hits(("p", 0.8), ("only", 0.2)), but(num_negatives=5)) == {"p": "positive", "only": "negative"}


@pytest.mark.parametrize(
    ("absolute", "relative", "score", "mean", "highest"),
    [
        (0.1, 0.0, 0.8, 0.0, 0.7),
        (0.0, 0.25, 0.8, 0.0, 0.6),
        (0.0, 0.25, 0.8, 0.4, 0.7),
        (0.1, 0.25, 0.8, 0.0, 0.6),
        (0.3, 0.25, 0.8, 0.0, 0.5),
        (0.0, 0.25, -0.4, -0.8, -0.5),
        (0.2, 0.25, -0.4, -0.8, -0.6),
        (0.0, 0.5, 0.0, 0.0, 0.0),
        (0.0, 0.5, 0.1, 0.3, 0.1),
    ],
)
def test_the_ceiling_lies_below_the_positive_by_the_wider_margin(absolute, relative, score, mean, highest):
    params = but(absolute_margin=absolute, relative_margin=relative)
    frame = pl.DataFrame({"score": [score], "mean": [mean]}).select(ceiling(pl.col("score"), pl.col("mean"), params))
    assert frame.item() == pytest.approx(highest)


def single(value):
    return pl.lit(value, dtype=pl.Float32)


scores = st.floats(-1, 1, width=32)


@settings(max_examples=100)
@given(scores, scores, st.lists(scores, min_size=1, max_size=8), st.floats(0, 0.5), st.floats(0, 0.9))
def test_a_negative_never_scores_above_its_ceiling(positive, mean, others, absolute, relative):
    params = but(absolute_margin=absolute, relative_margin=relative, num_negatives=8)
    asked = ONE.with_columns(positive_score=single(positive), mean_score=single(mean))
    found = hits(*((f"n{place}", score) for place, score in enumerate(sorted(others, reverse=True))))
    highest = min(positive - absolute, positive - max(positive - mean, 0) * relative)
    for name, verdict in verdicts(found, params, queries=asked).items():
        score = found.filter(pl.col("passage_id") == name)["score"].item()
        assert (verdict == "negative") == (score <= highest) or score == pytest.approx(highest, abs=1e-6)


@settings(max_examples=50)
@given(st.lists(st.integers(-90, 90), min_size=3, max_size=9, unique=True), st.integers(1, 9), st.floats(-0.2, 0.8))
def test_an_encoder_that_squeezes_all_cosines_keeps_the_same_negatives(numbers, tenths, shift):
    first, *others = sorted((number / 100 for number in numbers), reverse=True)
    params = but(relative_margin=0.3, num_negatives=9)
    kept = []
    for stretch, move in ((1.0, 0.0), (tenths / 10, shift)):
        positive, mean, *rest = (score * stretch + move for score in (first, np.mean(numbers) / 100, *others))
        asked = ONE.with_columns(positive_score=single(positive), mean_score=single(mean))
        edge = positive - 0.3 * (positive - mean)
        clear = [(f"n{place}", score) for place, score in enumerate(rest) if abs(score - edge) > 1e-5 * stretch]
        kept.append(
            [name for name, verdict in verdicts(hits(*clear), params, queries=asked).items() if verdict == "negative"]
        )
    assert kept[0] == kept[1]


def test_a_query_of_several_positives_counts_the_margin_from_the_weakest():
    positives = pl.DataFrame({"query_id": ["q", "q", "r"], "score": [0.8, 0.4, 0.5]})
    queries = pl.DataFrame({"query_id": ["r", "q"]})
    found = with_positives(queries, positives, np.array([0.1, 0.2], np.float32))
    assert found["positive_score"].to_list() == pytest.approx([0.5, 0.4])
    assert found["mean_score"].to_list() == pytest.approx([0.1, 0.2])


def test_what_resembles_or_stands_beside_any_positive_is_no_negative():
    positives = pl.DataFrame({"query_id": ["q", "q"], "positive_id": ["p", "s"], "positive_document": ["d", "e"]})
    found = hits(("p", 0.8), ("s", 0.5), ("sibling", 0.4, "e"), ("n", 0.3))
    assert list(verdicts(found, positives=positives).values()) == ["positive", "positive", "same_document", "negative"]


def test_negatives_are_taken_within_the_window_hardest_first():
    found = hits(*((f"n{place}", 0.7 - place / 100) for place in range(8)))
    taken = verdicts(found, but(skip=2, window=3, num_negatives=2))
    assert list(taken.values()) == ["above_window"] * 2 + ["negative"] * 2 + ["not_drawn"] * 4


def test_a_random_draw_stays_when_other_queries_come():
    params = but(sampling="random", window=20, num_negatives=4)
    found = hits(*((f"n{place}", 0.7 - place / 100) for place in range(30)))
    more = hits(*((f"n{place}", 0.7) for place in range(30)), query="a new one")
    drawn, beside = (
        judge(rows, asked, Known(POSITIVE, UNANSWERABLE, NOTHING), params)
        .filter(query_id="q", verdict="negative")["passage_id"]
        .to_list()
        for rows, asked in (
            (found, ONE),
            (pl.concat([more, found]), pl.concat([ONE, ONE.with_columns(query_id=pl.lit("a new one"))])),
        )
    )
    assert drawn == beside
    assert len(drawn) == 4
    assert drawn != [f"n{place}" for place in range(4)]
    assert set(drawn) <= {f"n{place}" for place in range(20)}


def test_another_seed_draws_others():
    found = hits(*((f"n{place}", 0.5) for place in range(20)))
    first, second = (verdicts(found, but(sampling="random", window=20, seed=seed)) for seed in (1, 2))
    assert first != second


def test_near_duplicates_of_any_positive_are_found_by_neighbouring_words_or_by_their_cluster():
    texts = ["il mulino macina il grano del paese", "Il mulino macina il grano del PAESE!", "la baita apre in estate"]
    texts += ["i libri in prestito", "i dischi a noleggio"]
    passages = pl.DataFrame({"passage_id": ["p", "copy", "other", "s", "kin"], "text": texts})
    positives = pl.DataFrame({"query_id": ["q", "q", "r"], "positive_id": ["p", "s", "s"]})
    found = pl.DataFrame({"query_id": ["q"] * 3 + ["r"] * 2, "passage_id": ["copy", "other", "kin", "copy", "kin"]})
    linked = pl.DataFrame({"passage_id": ["s", "kin"], "near_id": ["kin", "kin"]})
    assert sorted(near_positives(found, positives, passages, linked, 0.5).rows()) == [
        ("q", "copy"), ("q", "kin"), ("r", "kin"),
    ]  # fmt: skip
    assert sorted(near_positives(found, positives, passages, UNLIKE, 0.5).rows()) == [("q", "copy")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    static = StaticParams(kind="static", dims=3, views={"word": 1.0}, saturation=1.2, max_features=100)
    save_encoder(make_encoder(static, PASSAGES["text"].to_list(), [], 1), folder / "base")
    return Encoder(folder / "base", ENCODE, folder / "cache")


PASSAGES = pl.DataFrame(
    {
        "passage_id": ["a", "b", "c"],
        "text": ["il mulino macina grano", "la baita apre in estate", "i libri in prestito"],
    }
)


def searched(encoder, queries, depth):
    asked, texts = (
        encoder.encode(queries["text"].to_list(), "query"),
        encoder.encode(PASSAGES["text"].to_list(), "document"),
    )
    return search(encoder, asked, texts, queries["query_id"], PASSAGES["passage_id"], depth)


def test_a_search_ranks_passages_for_each_query(encoder):
    found = searched(encoder, pl.DataFrame({"query_id": ["q1", "q2"], "text": ["libri", "quando apre la baita"]}), 2)
    assert found.select("query_id", "rank").rows() == [("q1", 1), ("q1", 2), ("q2", 1), ("q2", 2)]
    assert found.filter(rank=1)["passage_id"].to_list() == ["c", "b"]


def test_a_querys_mean_score_is_that_over_all_passages(encoder):
    asked, texts = (
        encoder.encode(["libri", "quando apre"], "query"),
        encoder.encode(PASSAGES["text"].to_list(), "document"),
    )
    each = asked.block(0, 2) @ texts.block(0, 3).T
    assert mean_scores(asked, texts) == pytest.approx(each.mean(1), abs=1e-6)
    assert len(mean_scores(encoder.encode([], "query"), texts)) == 0


def test_a_query_that_shares_nothing_with_any_passage_has_no_hits(encoder):
    queries = pl.DataFrame({"query_id": ["q1", "q2"], "text": ["xqzwv jkkhy", "libri"]})
    assert searched(encoder, queries, 2).select("query_id", "rank").rows() == [("q2", 1), ("q2", 2)]


def test_no_queries_give_an_empty_table_and_a_report(encoder):
    nobody = pl.DataFrame(schema={"query_id": pl.String, "text": pl.String})
    documents = PASSAGES.select("passage_id", document_id="passage_id", split=pl.lit("train"))
    found = searched(encoder, nobody, 2).join(documents, on="passage_id")
    near = near_positives(found, POSITIVE.clear(), PASSAGES, UNLIKE, 0.5)
    candidates = judge(found, ONE.clear(), Known(POSITIVE.clear(), UNANSWERABLE, near), PARAMS)
    numbers = report(candidates, nobody, encoder)
    assert (numbers["verdicts"], numbers["queries_by_negatives"], numbers["median_margin"]) == ({}, {}, None)


def test_the_report_counts_verdicts_and_queries_without_negatives(encoder):
    candidates = judge(hits(("p", 0.8), ("n", 0.5), ("m", 0.3)), ONE, Known(POSITIVE, UNANSWERABLE, NOTHING), PARAMS)
    numbers = report(candidates, pl.DataFrame({"query_id": ["q", "lone"]}), encoder)
    assert numbers["verdicts"] == {"negative": 2, "positive": 1}
    assert numbers["queries_by_negatives"] == {"0": 1, "2": 1}
    assert numbers["median_margin"] == pytest.approx(0.4)
