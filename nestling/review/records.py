"""A review record: one query as people judge it, named by the hash of what they see."""

import polars as pl

from nestling.corpus.ids import content_id


def make_records(queries: pl.DataFrame, candidates: pl.DataFrame, most: int, strata: int) -> pl.DataFrame:
    """Return the table ReviewRecord, one record a query.

    Shown beside the passage are all mined negatives and, while there is room, the hits nearest to the positive that a
    margin kept out: if people find them to answer, they become positives.

    Args:
        queries: FoundQuery rows.
        candidates: Candidate rows of these queries.
        most: candidates shown, unless more were mined: a false-negative rate is of all negatives or of none.
        strata: strata of the audit, quantiles of the margin, plus one for queries without negatives.
    """
    mined = pl.col("verdict") == "negative"
    shown = (
        candidates.filter(pl.col("verdict").is_in(["negative", "margin"]))
        .with_columns(mined=mined)
        .sort("query_id", pl.col("mined").not_(), "rank")
        .filter(pl.col("mined") | (pl.int_range(pl.len()).over("query_id") < most))
        .sort("query_id", "rank")
        .group_by("query_id", maintain_order=True)
        .agg(
            candidates="passage_id",
            mined="mined",
            nearest=pl.col("score").filter("mined").max(),
        )
    )
    records = (
        queries.join(shown, on="query_id", how="left", maintain_order="left")
        .with_columns(
            candidates=pl.col("candidates").fill_null(pl.lit([], dtype=pl.List(pl.String))),
            mined=pl.col("mined").fill_null(pl.lit([], dtype=pl.List(pl.Boolean))),
            margin=(pl.col("score") - pl.col("nearest")).cast(pl.Float32),
        )
        .rename({"text": "query"})
    )
    names = [record_id(row["query"], row["passage_id"], row["candidates"]) for row in records.iter_rows(named=True)]
    return records.with_columns(record_id=pl.Series(names, dtype=pl.String), stratum=_stratum(strata))


def record_id(query: str, passage_id: str, candidates: list[str]) -> str:
    """Return the name of a record: the same query, passage and set of candidates give the same name."""
    return content_id(query, passage_id, *sorted(candidates))


def _stratum(strata: int) -> pl.Expr:
    place = pl.col("margin").rank("ordinal") - 1
    band = (place * strata / pl.col("margin").count()).floor().cast(pl.Int64) + 1
    named = pl.format("margin {} of {}", band, pl.lit(strata))
    return pl.when(pl.col("margin").is_null()).then(pl.lit("no negatives")).otherwise(named)
