"""Mine hard negatives: passages that the current encoder ranks high for a query that they do not answer.

Every hit gets a verdict. A hit within a margin of the positive is likely a false negative and is left out
(NV-Retriever, Moreira et al. 2024). A query keeps as many negatives as there are; none is dropped for want of the last
one.

Reads   data/prepared/passages.parquet (Passage), data/filtered/queries.parquet (FoundQuery),
        data/generated/answerable.parquet (Answerable), the current encoder's folder
Writes  data/mined/candidates.parquet (Candidate), reports/mine.json
"""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, NonNegativeInt, PositiveInt

from nestling.cli import run, say
from nestling.corpus.duplicates import shingles
from nestling.corpus.ids import content_id
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.search import top_k
from nestling.tables.corpus import Passage
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import Answerable, FoundQuery
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
    relative_margin: float = Field(ge=0, lt=1)  # and at least this share of the positive's score below it
    exclude_same_document: bool
    near_duplicate: float = Field(gt=0, le=1)  # Jaccard similarity with the positive, over neighbouring words
    skip: NonNegativeInt  # the hardest hits that are left; not used as negatives
    window: PositiveInt  # hits after those, from which negatives are taken
    sampling: Literal["hardest", "random"]  # within the window


def search(encoder: Encoder, passages: pl.DataFrame, queries: pl.DataFrame, depth: int) -> pl.DataFrame:
    """Return the `depth` nearest passages of each query, ranked from 1; a query without direction has none."""
    hits = top_k(
        encoder.encode(queries["text"].to_list(), "query"),
        encoder.encode(passages["text"].to_list(), "document"),
        depth,
        encoder.device,
    )
    asked, place = np.nonzero(hits.passage >= 0)
    return pl.DataFrame(
        {
            "query_id": queries["query_id"].gather(asked),
            "rank": place + 1,
            "passage_id": passages["passage_id"].gather(hits.passage[asked, place]),
            "score": hits.score[asked, place],
        }
    ).cast(HITS)  # type: ignore[arg-type]


def ceiling(positive_score: pl.Expr, params: MineParams) -> pl.Expr:
    """Return the highest score that a negative may have.

    The relative margin is taken from the positive's magnitude: a share of a negative score would raise the ceiling
    above the positive (huggingface/sentence-transformers #3819).
    """
    absolute = positive_score - params.absolute_margin
    relative = positive_score - positive_score.abs() * params.relative_margin
    return pl.min_horizontal(absolute, relative)


def near_positives(pairs: pl.DataFrame, passages: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return those pairs (positive_id, passage_id) whose texts are near duplicates."""
    unique = pairs.select("positive_id", "passage_id").unique().sort(pl.all())
    needed = set(unique["positive_id"]) | set(unique["passage_id"])
    texts = passages.filter(pl.col("passage_id").is_in(needed)).select("passage_id", "text")
    bags = {name: shingles(text) for name, text in texts.iter_rows()}
    alike = [_jaccard(bags[one], bags[other]) >= threshold for one, other in unique.iter_rows()]
    return unique.filter(pl.Series(alike, dtype=pl.Boolean))


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    small, large = sorted((len(left), len(right)))
    shared = len(left & right) if small else 0
    return shared / (small + large - shared) if large else 1.0


def judge(
    hits: pl.DataFrame, queries: pl.DataFrame, answerable: pl.DataFrame, near: pl.DataFrame, params: MineParams
) -> pl.DataFrame:
    """Return the table Candidate: the verdict on every hit.

    Args:
        hits: query_id, rank, passage_id, document_id, split, score.
        queries: query_id, query_split, positive_id, positive_document, positive_score.
        answerable: query_id, passage_id of everything that may answer.
        near: positive_id, passage_id of near duplicates.
        params: margins, window, number.
    """
    known = answerable.select("query_id", "passage_id", answers=True)
    marked = (
        hits.join(queries, on="query_id", maintain_order="left")
        .join(known, on=["query_id", "passage_id"], how="left", maintain_order="left")
        .join(near.with_columns(near=True), on=["positive_id", "passage_id"], how="left", maintain_order="left")
    )
    same = (pl.col("document_id") == pl.col("positive_document")) & params.exclude_same_document
    excluded = (
        pl.when(pl.col("answers").is_not_null() | (pl.col("passage_id") == pl.col("positive_id")))
        .then(pl.lit("positive"))
        # pushing queries away from passages that no query may be pulled to would spoil what is measured on them
        .when((pl.col("query_split") == "train") & (pl.col("split") != "train"))
        .then(pl.lit("held_out"))
        .when(same)
        .then(pl.lit("same_document"))
        .when(pl.col("near").is_not_null())
        .then(pl.lit("near_duplicate"))
        .when(pl.col("score") > ceiling(pl.col("positive_score"), params))
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
    answerable = read_table("data/generated/answerable.parquet", Answerable)
    encoder = Encoder(params.current, params.encode)
    documents = passages.select("passage_id", "document_id", "split")
    hits = search(encoder, passages, queries, params.depth).join(documents, on="passage_id", maintain_order="left")
    asked = queries.select("query_id", query_split="split", positive_id="passage_id", positive_score="score").join(
        documents.select(positive_id="passage_id", positive_document="document_id"), on="positive_id"
    )
    near = near_positives(hits.join(asked, on="query_id"), passages, params.near_duplicate)
    candidates = judge(hits, asked, answerable, near, params)
    write_table(candidates, OUT / "candidates.parquet", Candidate)
    numbers = report(candidates, queries, encoder)
    write_json(numbers, "reports/mine.json")
    say(f"mine: {numbers['verdicts']} for {queries.height} queries")


if __name__ == "__main__":
    run(main)
