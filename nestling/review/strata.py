"""Where are the false negatives? Their rate overall, by rank, by margin and by score, from the audit sample alone.

Knows records, answers and mined negatives; the estimates are those of `audit`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from nestling.review.answers import unprimed
from nestling.review.apply import relevance
from nestling.review.audit import Rate, by_query, false_negative_rate, rates_by

_ALONE = 4  # ranks up to this one stand alone; from there on bands double
_SCORES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # edges of the bands of the negative's share of its positive's score
_FIGURES = (
    "rate",
    "low",
    "high",
    "judged_queries",
    "judged_negatives",
    "false_negatives",
    "effective_negatives",
)


def audited(answers: pl.DataFrame, records: pl.DataFrame, queue: pl.DataFrame, mined: pl.DataFrame) -> pl.DataFrame:
    """Return the mined negatives that people judged in the audit: record_id, stratum, rank, share, relevant.

    `rank` is the negative's place among the mined negatives of its query, 1 for the hardest; `share` its score as a
    share of the positive's, null where that is 0. Passages that a margin had kept out are none; ties are left out, and
    so are answers given after a suggestion.

    Args:
        answers: Answer rows.
        records: ReviewRecord rows.
        queue: QueueItem rows.
        mined: the negatives, Candidate rows.
    """
    sample = records.join(queue.filter(pl.col("purpose") == "audit").select("record_id"), on="record_id", how="semi")
    positive = pl.col("positive_score").cast(pl.Float64)
    share = 1 - (positive - pl.col("score")) / positive.abs()  # as the relative margin counts it, for any sign
    shares = mined.select("query_id", "passage_id", share=pl.when(positive != 0).then(share))
    negatives = (
        sample.select("record_id", "query_id", "stratum", "mined", passage_id="candidates")
        .explode("passage_id", "mined")
        .filter("mined")
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("record_id"))
        .join(shares, on=["query_id", "passage_id"], how="left", maintain_order="left")
    )
    said = relevance(unprimed(answers), records).drop_nulls("relevant")
    judged = negatives.join(said, on=["record_id", "passage_id"])
    return judged.select("record_id", "stratum", "rank", "share", "relevant").sort("record_id", "rank")


def false_negatives(judged: pl.DataFrame, records: pl.DataFrame) -> dict[str, Any]:
    """Return the rate of false negatives among all mined negatives, and `by_rank`, `by_margin` and `by_score`.

    Each interval is meant for its own rate: of many rates one lies outside its interval now and then.

    Args:
        judged: as `audited` gives it.
        records: ReviewRecord rows, audited or not.
    """
    population = records.filter(pl.col("mined").list.any())
    queries = dict(population["stratum"].value_counts().sort("stratum").iter_rows())
    banded = judged.with_columns(rank=_rank_band(), share=_score_band())
    return {
        **asdict(false_negative_rate(by_query(judged, pl.lit(True)), queries)),
        "by_rank": [{**_ranks(band), **_figures(rate)} for band, rate in rates_by(banded, "rank", queries)],
        "by_margin": [
            {"stratum": name, **_margins(population, name), **_figures(rate)}
            for name, rate in rates_by(banded, "stratum", queries)
        ],
        "by_score": [{**_scores(band), **_figures(rate)} for band, rate in rates_by(banded, "share", queries)],
    }


def _rank_band() -> pl.Expr:
    """Return the last rank of the band of a rank: 1, 2, 3, 4, 8, 16 ..."""
    doublings = pl.col("rank").log(2).round(9).ceil()
    return pl.when(pl.col("rank") <= _ALONE).then("rank").otherwise(pl.lit(2.0).pow(doublings)).cast(pl.Int64)


def _ranks(last: int) -> dict[str, int]:
    return {"from": last if last <= _ALONE else last // 2 + 1, "to": last}


def _score_band() -> pl.Expr:
    """Return how many edges a share reaches; null where there is no share."""
    reached = pl.sum_horizontal((pl.col("share") >= edge).cast(pl.Int64) for edge in _SCORES)
    return pl.when(pl.col("share").is_not_null()).then(reached)


def _scores(band: int) -> dict[str, float | None]:
    edges = (None, *_SCORES, None)
    return {"from": edges[band], "to": edges[band + 1]}


def _margins(population: pl.DataFrame, stratum: str) -> dict[str, float]:
    margins = population.filter(pl.col("stratum") == stratum)["margin"].cast(pl.Float64)
    return {"from": round(float(margins.min()), 4), "to": round(float(margins.max()), 4)}  # type: ignore[arg-type]


def _figures(rate: Rate) -> Mapping[str, Any]:
    return {name: getattr(rate, name) for name in _FIGURES}
