"""Mine hard negatives: passages that the current encoder ranks high for a query that they do not answer.

Every hit gets a verdict. A hit within a margin of the positive is likely a false negative and is left out
(NV-Retriever, Moreira et al. 2024). The margin is a share of the spread of the query's own scores, from their mean to
the positive, so that it fits encoders whose cosines lie between 0 and 1 as those that squeeze them into .7 to .9. A
query keeps as many negatives as there are; none is dropped for want of the last one.

Reads   data/prepared/{passages,near}.parquet (Passage, NearDuplicate),
        data/filtered/{queries,positives,answerable}.parquet (FoundQuery, FoundPositive, Answerable),
        the current encoder's folder
Writes  data/mined/candidates.parquet (Candidate), reports/mine.json
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, NonNegativeInt, PositiveInt

from nestling.cli import run, say
from nestling.corpus.duplicates import shingles
from nestling.corpus.ids import content_id
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder, Vectors
from nestling.retrieval.search import BLOCK, top_k
from nestling.tables.corpus import NearDuplicate, Passage
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import Answerable, FoundPositive, FoundQuery
from nestling.tables.retrieval import VERDICTS, Candidate

OUT = Path("data/mined")
HITS = {"query_id": pl.String, "rank": pl.UInt32, "passage_id": pl.String, "score": pl.Float32}


class MineParams(StageParams, section="mine", shared=("seed", "current", "encode")):
    seed: int
    current: str  # folder of the current encoder
    encode: EncodeParams
    depth: PositiveInt  # hits looked at
    num_negatives: PositiveInt  # at most so many a query
    absolute_margin: float = Field(ge=0)  # a negative scores at least so much below the positive
    relative_margin: float = Field(ge=0, lt=1)  # and this share of the way down to the mean score of all passages
    exclude_same_document: bool
    near_duplicate: float = Field(gt=0, le=1)  # Jaccard similarity with the positive, over neighbouring words
    skip: NonNegativeInt  # the hardest hits that are left; not used as negatives
    window: PositiveInt  # hits after those, from which negatives are taken
    sampling: Literal["hardest", "random"]  # within the window


def search(
    encoder: Encoder, asked: Vectors, texts: Vectors, queries: pl.Series, passages: pl.Series, depth: int
) -> pl.DataFrame:
    """Return the `depth` nearest passages of each query, ranked from 1; queries and passages are ids."""
    hits = top_k(asked, texts, depth, encoder.device)
    found = hits.passage.shape[1]
    return pl.DataFrame(
        {
            "query_id": queries.gather(np.repeat(np.arange(len(queries)), found)),
            "rank": np.tile(np.arange(1, found + 1), len(queries)),
            "passage_id": passages.gather(hits.passage.ravel()),
            "score": hits.score.ravel(),
        }
    ).cast(HITS)  # type: ignore[arg-type]


def mean_scores(asked: Vectors, texts: Vectors) -> np.ndarray:
    """Return [queries] float32, each query's mean cosine over all passages: its product with their centroid."""
    blocks = range(0, len(texts), BLOCK[1])
    total = sum(texts.block(start, start + BLOCK[1]).sum(0, dtype=np.float64) for start in blocks)
    centroid = np.asarray(total / max(len(texts), 1), dtype=np.float32)
    means = [asked.block(start, start + BLOCK[1]) @ centroid for start in range(0, len(asked), BLOCK[1])]
    return np.concatenate([np.empty(0, np.float32), *means])


def with_positives(queries: pl.DataFrame, positives: pl.DataFrame, means: np.ndarray) -> pl.DataFrame:
    """Return the queries with mean_score and positive_score, from which the margin is counted: their weakest.

    Counted from the best or the mean of several, what answers as well as the weaker ones do is mined three times as
    often (benchmarks/positives.py; docs/log.md).
    """
    labelled = positives.group_by("query_id").agg(positive_score=pl.col("score").min())
    scored = queries.with_columns(mean_score=pl.Series(means, dtype=pl.Float32))
    return scored.join(labelled, on="query_id", maintain_order="left")


def ceiling(positive_score: pl.Expr, mean_score: pl.Expr, params: MineParams) -> pl.Expr:
    """Return the highest score that a negative may have.

    The relative margin is a share of how far the positive stands above the mean. Shifting or stretching all scores of
    a query shifts and stretches it; a share of the score itself would grow with an encoder's constant and turn round
    where scores are negative. A positive below the mean leaves what scores up to its own.
    """
    absolute = positive_score - params.absolute_margin
    spread = pl.max_horizontal(positive_score - mean_score, 0.0)
    return pl.min_horizontal(absolute, positive_score - spread * params.relative_margin)


def near_positives(
    hits: pl.DataFrame, positives: pl.DataFrame, passages: pl.DataFrame, near: pl.DataFrame, threshold: float
) -> pl.DataFrame:
    """Return query_id and passage_id of the hits that nearly repeat any of the query's positives.

    Args:
        hits: query_id, passage_id.
        positives: query_id, positive_id.
        passages: passage_id, text.
        near: NearDuplicate rows: passages of one cluster are alike, whatever their texts say.
        threshold: Jaccard similarity over neighbouring words.
    """
    pairs = hits.select("query_id", "passage_id").join(positives.select("query_id", "positive_id"), on="query_id")
    unique = pairs.select("positive_id", "passage_id").unique().sort(pl.all())
    needed = set(unique["positive_id"]) | set(unique["passage_id"])
    texts = passages.filter(pl.col("passage_id").is_in(needed)).select("passage_id", "text")
    bags = {name: shingles(text) for name, text in texts.iter_rows()}
    cluster = {name: name for name in bags} | dict(near.select("passage_id", "near_id").iter_rows())
    alike = [
        cluster[one] == cluster[other] or _jaccard(bags[one], bags[other]) >= threshold
        for one, other in unique.iter_rows()
    ]
    found = unique.filter(pl.Series(alike, dtype=pl.Boolean))
    return pairs.join(found, on=["positive_id", "passage_id"]).select("query_id", "passage_id").unique()


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    small, large = sorted((len(left), len(right)))
    shared = len(left & right) if small else 0
    return shared / (small + large - shared) if large else 1.0


@dataclass(frozen=True)
class Known:
    """What is known of queries and passages beside their scores.

    Attributes:
        positives: query_id, positive_id, positive_document.
        answerable: query_id, passage_id of everything that may answer.
        near: query_id, passage_id of near duplicates of positives.
    """

    positives: pl.DataFrame
    answerable: pl.DataFrame
    near: pl.DataFrame


def judge(hits: pl.DataFrame, queries: pl.DataFrame, known: Known, params: MineParams) -> pl.DataFrame:
    """Return the table Candidate: the verdict on every hit.

    Args:
        hits: query_id, rank, passage_id, document_id, split, score.
        queries: query_id, query_split, positive_score, mean_score.
        known: of both.
        params: margins, window, number.
    """
    own = known.positives.select("query_id", passage_id="positive_id")
    answers = pl.concat([known.answerable.select("query_id", "passage_id"), own]).unique()
    beside = known.positives.select("query_id", document_id="positive_document").unique()
    marked = hits.join(queries, on="query_id", maintain_order="left")
    for name, rows in (("answers", answers), ("beside", beside), ("near", known.near)):
        told = rows.with_columns(pl.lit(True).alias(name))
        marked = marked.join(told, on=rows.columns, how="left", maintain_order="left")
    same = pl.col("beside").is_not_null() & params.exclude_same_document
    excluded = (
        pl.when(pl.col("answers").is_not_null())
        .then(pl.lit("positive"))
        # pushing queries away from passages that no query may be pulled to would spoil what is measured on them
        .when((pl.col("query_split") == "train") & (pl.col("split") != "train"))
        .then(pl.lit("held_out"))
        .when(same)
        .then(pl.lit("same_document"))
        .when(pl.col("near").is_not_null())
        .then(pl.lit("near_duplicate"))
        .when(pl.col("score") > ceiling(pl.col("positive_score"), pl.col("mean_score"), params))
        .then(pl.lit("margin"))
    )
    left = marked.with_columns(verdict=excluded).with_columns(
        place=pl.when(pl.col("verdict").is_null()).then(pl.col("verdict").is_null().cum_sum().over("query_id"))
    )
    return _draw(left, params).with_columns(pl.col("verdict").cast(pl.Enum(VERDICTS)))


def _draw(left: pl.DataFrame, params: MineParams) -> pl.DataFrame:
    inside = pl.col("place").is_between(params.skip + 1, params.skip + params.window)
    if params.sampling == "hardest":
        key = pl.col("place").cast(pl.String).str.zfill(9)
    else:  # a hash an item: what one query draws does not hang on which others there are
        key = pl.concat_str("query_id", "passage_id", separator=" ").map_elements(
            lambda name: content_id(str(params.seed), name), return_dtype=pl.String
        )
    order = pl.when(inside).then(key).rank("ordinal").over("query_id")
    return left.with_columns(order=order).with_columns(
        verdict=pl.coalesce(
            "verdict",
            pl.when(pl.col("place") <= params.skip)
            .then(pl.lit("above_window"))
            .when(inside & (pl.col("order") <= params.num_negatives))
            .then(pl.lit("negative"))
            .otherwise(pl.lit("not_drawn")),
        )
    )


def report(candidates: pl.DataFrame, queries: pl.DataFrame, encoder: Encoder) -> dict[str, object]:
    """Return the numbers of reports/mine.json."""
    kept = candidates.filter(pl.col("verdict") == "negative")
    each = queries.select("query_id").join(kept.group_by("query_id").len(), on="query_id", how="left")
    counts = each["len"].fill_null(0).value_counts(name="queries").sort("len")
    margin = kept["positive_score"] - kept["score"]
    return {
        "verdicts": dict(sorted(candidates["verdict"].cast(pl.String).value_counts().iter_rows())),
        "queries_by_negatives": {str(number): queries for number, queries in counts.iter_rows()},
        "median_margin": None if kept.is_empty() else round(float(np.median(margin.to_numpy())), 4),
        "encoder_sha256": encoder.weights,
    }


def main() -> None:
    params = MineParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    queries = read_table("data/filtered/queries.parquet", FoundQuery)
    encoder = Encoder(params.current, params.encode)
    asked = encoder.encode(queries["text"].to_list(), "query")
    texts = encoder.encode(passages["text"].to_list(), "document")
    documents = passages.select("passage_id", "document_id", "split")
    found = search(encoder, asked, texts, queries["query_id"], passages["passage_id"], params.depth)
    hits = found.join(documents, on="passage_id", maintain_order="left")
    labelled = read_table("data/filtered/positives.parquet", FoundPositive)
    held_by = documents.select(passage_id="passage_id", positive_document="document_id")
    positives = labelled.join(held_by, on="passage_id", maintain_order="left").rename({"passage_id": "positive_id"})
    near = read_table("data/prepared/near.parquet", NearDuplicate)
    known = Known(
        positives,
        read_table("data/filtered/answerable.parquet", Answerable),
        near_positives(hits, positives, passages, near, params.near_duplicate),
    )
    scored = with_positives(queries.select("query_id", query_split="split"), labelled, mean_scores(asked, texts))
    candidates = judge(hits, scored, known, params)
    write_table(candidates, OUT / "candidates.parquet", Candidate)
    numbers = report(candidates, queries, encoder)
    write_json(numbers, "reports/mine.json")
    say(f"mine: {numbers['verdicts']} for {queries.height} queries")


if __name__ == "__main__":
    run(main)
