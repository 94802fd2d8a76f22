"""Round trip: keep the queries whose own passage the current encoder finds; rank and score stay on the row.

The idea is Promptagator's consistency filter (Dai et al. 2022). Origins that are trusted, queries that people wrote,
are ranked but not dropped for their rank: what the encoder cannot find yet is what it has to learn. Dev and test
queries pass no gate but that of repeats: what is measured on is not chosen by the encoder that is measured. A query
that names several documents keeps them all: of each the passage that ranks first is a positive, and the others are
neither positives nor negatives.

Reads   data/prepared/passages.parquet (Passage), data/generated/queries.parquet (Query),
        data/generated/answerable.parquet (Answerable), the current encoder's folder
Writes  data/filtered/{queries,positives,answerable}.parquet (FoundQuery, FoundPositive, Answerable),
        data/filtered/lost.parquet (LostQuery), reports/filter.json
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import Field, PositiveInt

from nestling.cli import run, say
from nestling.corpus.cleaning import normalized
from nestling.corpus.copying import copied_share
from nestling.corpus.segmentation import word_count
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.search import ranks
from nestling.tables.corpus import Passage
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import Answerable, FoundPositive, FoundQuery, LostQuery, Query
from nestling.tables.sieve import reasons, sieve

OUT = Path("data/filtered")


class FilterParams(StageParams, section="filter", shared=("current", "encode")):
    current: str  # folder of the current encoder
    encode: EncodeParams
    max_rank: PositiveInt
    trusted_origins: list[str]
    max_copied: float = Field(ge=0, le=1)  # longest run of the query's words in the passage, as a share of the query
    copied_from_words: PositiveInt  # queries shorter than this may be copied: a name is a good query


@dataclass(frozen=True)
class Judged:
    """What the round trip makes of queries.

    Attributes:
        found: FoundQuery rows.
        positives: FoundPositive rows of these queries.
        lost: LostQuery rows, of whole queries and of single positives.
    """

    found: pl.DataFrame
    positives: pl.DataFrame
    lost: pl.DataFrame


def rank_own(
    encoder: Encoder, passages: pl.DataFrame, queries: pl.DataFrame, answerable: pl.DataFrame
) -> pl.DataFrame:
    """Return a row a query and document that it names: passage_id, rank and score of its passage that ranks first."""
    named = answerable.select("query_id", "passage_id", "document_id")
    rows = named.join(queries, on="query_id", maintain_order="left").join(
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
    return (
        ranked.sort("query_id", "rank", "passage_id", "document_id")
        .unique(["query_id", "document_id"], keep="first", maintain_order=True)
        .unique(["query_id", "passage_id"], keep="first", maintain_order=True)  # two documents may share a passage
    )


def same_words() -> pl.Expr:
    """Return the words of a query's text, which tell whether another asks the same."""
    return pl.col("text").map_elements(normalized, return_dtype=pl.String)


def judge(ranked: pl.DataFrame, params: FilterParams) -> Judged:
    """Tell found from lost, a positive at a time; of queries of the same words a trusted one stays, then a held-out.

    Args:
        ranked: as `rank_own` gives it, with `copied`.
        params: of the gates.
    """
    size = pl.col("text").map_elements(word_count, return_dtype=pl.Int64)
    trusted, held_out = pl.col("origin").is_in(params.trusted_origins), pl.col("split") != "train"
    kept, lost = sieve(
        ranked.sort("query_id", "rank", "passage_id"),
        {
            # a score of 0 is no nearness: the query or its passage has no direction, or nothing in common
            "not_found": ((pl.col("rank") <= params.max_rank) & (pl.col("score") != 0)) | trusted | held_out,
            "copied": (pl.col("copied") <= params.max_copied) | (size < params.copied_from_words) | held_out,
        },
    )
    by_rank = pl.when(held_out).then(0).otherwise("rank")
    best = kept.unique("query_id", keep="first", maintain_order=True).sort(
        ~trusted, pl.col("split").to_physical() * -1.0, by_rank, "query_id"
    )
    found, doubled = sieve(best, {"duplicate": same_words().is_first_distinct()})
    positives = kept.join(found, on="query_id", how="semi", maintain_order="left")
    repeats = kept.join(doubled.select("query_id", "reason"), on="query_id", maintain_order="left")
    return Judged(found, positives, pl.concat([lost, repeats.select(lost.columns)]))


def may_answer(found: pl.DataFrame, queries: pl.DataFrame, answerable: pl.DataFrame) -> pl.DataFrame:
    """Return the table Answerable of the found queries: what any query of the same words says that it answers it."""
    asked = queries.select("query_id", same=same_words()).join(answerable, on="query_id", maintain_order="left")
    own = found.select("query_id", same=same_words())
    told = own.join(asked.drop("query_id"), on="same", maintain_order="left_right")
    return told.unique(list(Answerable.primary_key()), keep="first", maintain_order=True)


def main() -> None:
    params = FilterParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    queries = read_table("data/generated/queries.parquet", Query)
    answerable = read_table("data/generated/answerable.parquet", Answerable)
    encoder = Encoder(params.current, params.encode)
    ranked = rank_own(encoder, passages, queries, answerable)
    texts = ranked.join(passages.select("passage_id", passage="text"), on="passage_id", maintain_order="left")
    copied = [copied_share(query, passage) for query, passage in texts.select("text", "passage").iter_rows()]
    judged = judge(ranked.with_columns(copied=pl.Series(copied, dtype=pl.Float64)), params)
    write_table(judged.found, OUT / "queries.parquet", FoundQuery)
    write_table(judged.positives, OUT / "positives.parquet", FoundPositive)
    write_table(may_answer(judged.found, queries, answerable), OUT / "answerable.parquet", Answerable)
    write_table(judged.lost, OUT / "lost.parquet", LostQuery)
    whole = judged.lost.join(judged.found, on="query_id", how="anti").unique("query_id", keep="first")
    first = ranked.unique("query_id", keep="first", maintain_order=True)
    report = {
        "kept": dict(sorted(judged.found["origin"].value_counts().iter_rows())),
        "positives": judged.positives.height,
        "lost": reasons(whole),
        "positives_lost_alone": reasons(judged.lost.join(judged.found, on="query_id", how="semi")),
        "found_first": {
            origin: round(share, 4)
            for origin, share in first.group_by("origin").agg((pl.col("rank") == 1).mean()).sort("origin").iter_rows()
        },
    }
    write_json(report, "reports/filter.json")
    say(f"filter: kept {judged.found.height} of {queries.height} queries, lost {report['lost']}")


if __name__ == "__main__":
    run(main)
