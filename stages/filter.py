"""Round trip: keep the queries whose own passage the current encoder finds; rank and score stay on the row.

The idea is Promptagator's consistency filter (Dai et al. 2022). Origins that are trusted, queries that people wrote,
are ranked but not dropped for their rank: what the encoder cannot find yet is what it has to learn.

Reads   data/prepared/passages.parquet (Passage), data/generated/queries.parquet (Query),
        data/generated/answerable.parquet (Answerable), the current encoder's folder
Writes  data/filtered/queries.parquet (FoundQuery), data/filtered/lost.parquet (LostQuery), reports/filter.json
"""

from pathlib import Path

import polars as pl
from pydantic import Field, PositiveInt

from nestling.cli import run, say
from nestling.corpus.cleaning import words
from nestling.corpus.copying import copied_share
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.search import ranks
from nestling.tables.corpus import Passage
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import Answerable, FoundQuery, LostQuery, Query
from nestling.tables.sieve import reasons, sieve

OUT = Path("data/filtered")


class FilterParams(StageParams, section="filter", shared=("current", "encode")):
    current: str  # folder of the current encoder
    encode: EncodeParams
    max_rank: PositiveInt
    trusted_origins: list[str]
    max_copied: float = Field(ge=0, le=1)  # longest run of the query's words in the passage, as a share of the query
    copied_from_words: PositiveInt  # queries shorter than this may be copied: a name is a good query


def rank_own(
    encoder: Encoder, passages: pl.DataFrame, queries: pl.DataFrame, answerable: pl.DataFrame
) -> pl.DataFrame:
    """Return the queries with passage_id, rank and score of the passage, among those that may answer, ranked first."""
    rows = answerable.join(queries, on="query_id", maintain_order="left").join(
        passages.select("passage_id", place=pl.int_range(pl.len(), dtype=pl.Int64)),
        on="passage_id",
        maintain_order="left",
    )
    rank, score = ranks(
        encoder.encode(rows["text"].to_list(), "query"),
        encoder.encode(passages["text"].to_list(), "document"),
        rows["place"].to_numpy(),
        encoder.device,
    )
    ranked = rows.with_columns(rank=pl.Series(rank, dtype=pl.UInt32), score=pl.Series(score, dtype=pl.Float32))
    return ranked.sort("query_id", "rank", "passage_id").unique("query_id", keep="first", maintain_order=True)


def judge(ranked: pl.DataFrame, params: FilterParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split queries into found and lost; of the same words a trusted one stays, else the best ranked."""
    size = pl.col("text").str.split(" ").list.len()
    same = pl.col("text").map_elements(lambda text: " ".join(words(text)) or text, return_dtype=pl.String)
    trusted = pl.col("origin").is_in(params.trusted_origins)
    kept, lost = sieve(
        ranked.sort(~trusted, "rank", "query_id"),
        {
            # a score of 0 is no nearness: the query or its passage has no direction, or nothing in common
            "not_found": ((pl.col("rank") <= params.max_rank) & (pl.col("score") != 0)) | trusted,
            "copied": (pl.col("copied") <= params.max_copied) | (size < params.copied_from_words),
        },
    )
    found, doubled = sieve(kept, {"duplicate": same.is_first_distinct()})
    return found, pl.concat([lost, doubled])


def main() -> None:
    params = FilterParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    queries = read_table("data/generated/queries.parquet", Query)
    answerable = read_table("data/generated/answerable.parquet", Answerable)
    encoder = Encoder(params.current, params.encode)
    ranked = rank_own(encoder, passages, queries, answerable)
    texts = ranked.join(passages.select("passage_id", passage="text"), on="passage_id", maintain_order="left")
    copied = [copied_share(query, passage) for query, passage in texts.select("text", "passage").iter_rows()]
    found, lost = judge(ranked.with_columns(copied=pl.Series(copied, dtype=pl.Float64)), params)
    write_table(found, OUT / "queries.parquet", FoundQuery)
    write_table(lost, OUT / "lost.parquet", LostQuery)
    report = {
        "kept": dict(sorted(found["origin"].value_counts().iter_rows())),
        "lost": reasons(lost),
        "found_first": {
            origin: round(share, 4)
            for origin, share in ranked.group_by("origin").agg((pl.col("rank") == 1).mean()).sort("origin").iter_rows()
        },
    }
    write_json(report, "reports/filter.json")
    say(f"filter: kept {found.height} of {queries.height} queries, lost {report['lost']}")


if __name__ == "__main__":
    run(main)
