"""Where are the false negatives? Their rate overall, by rank, by margin and by score, from the audit sample alone.

Knows records, answers and mined negatives; the estimates are those of `audit`, what people's errors leave open is that
of `annotators`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from nestling.review.annotators import Truths, Votes, truths
from nestling.review.answers import unprimed
from nestling.review.apply import passage_votes, relevance
from nestling.review.audit import Judged, Rate, false_negative_rate, rates_by
from nestling.review.planning import more_queries
from nestling.review.population import CUT_OUT, by_origin, named

_ALONE = 4  # ranks up to this one stand alone; from there on bands double
_SCORES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # edges of the bands of a negative's height between mean and positive
_FIGURES = (
    "rate",
    "low",
    "high",
    "judged_queries",
    "judged_negatives",
    "false_negatives",
    "ties",
    "effective_negatives",
)
_THING = ["record_id", "passage_id"]


@dataclass(frozen=True)
class Audited:
    """The judged negatives of the audit.

    Attributes:
        negatives: with what each may be in truth.
        people: by how many people, referees apart, how many of them were judged.
        errors: of the people, as far as it is known.
    """

    negatives: Judged
    people: Mapping[int, int]
    errors: Truths


def audited(
    answers: pl.DataFrame, records: pl.DataFrame, queue: pl.DataFrame, mined: pl.DataFrame, seed: int
) -> Audited:
    """Return the mined negatives that people judged in the audit, and what they may be in truth.

    Rows have record_id, stratum, passage_id, rank, share and `relevant`, the majority's word, null for a tie. `rank`
    is the negative's place among the mined negatives of its query, 1 for the hardest; `share` how far its score stands
    on the way from the query's mean to the positive's, as `mine.relative_margin` counts it; null where the positive is
    not above the mean. Passages that a margin had kept out are none, and answers given after a
    suggestion are left out; a referee's word is the truth. How people err is told from all that they judged beside the
    query's own passage, in the audit or not.

    Args:
        answers: Answer rows.
        records: ReviewRecord rows.
        queue: QueueItem rows.
        mined: the negatives, Candidate rows.
        seed: of the draws.
    """
    own_mind = unprimed(answers)
    sample = records.join(queue.filter(pl.col("purpose") == "audit").select("record_id"), on="record_id", how="semi")
    negatives = _negatives(sample, mined)
    votes = passage_votes(own_mind, records)
    people = votes.filter(~pl.col("referee")).group_by(_THING).agg(people=pl.len())
    things = (
        relevance(own_mind, records)
        .join(records.select("record_id", own="passage_id"), on="record_id")
        .filter(pl.col("passage_id") != pl.col("own"))
        .join(negatives, on=_THING, how="left")
        .join(people, on=_THING, how="left")
        .with_columns(pl.col("people").fill_null(0))
        .sort("record_id", "rank", "passage_id")
    )
    found = truths(_votes(things, votes), seed)
    inside = things["stratum"].is_not_null()
    rows = things.filter(inside).select("record_id", "stratum", "passage_id", "rank", "share", "relevant")
    judges = dict(things.filter(inside)["people"].value_counts().sort("people").iter_rows())
    return Audited(Judged(rows, found.labels[..., inside.to_numpy()]), judges, found)


def _negatives(sample: pl.DataFrame, mined: pl.DataFrame) -> pl.DataFrame:
    score, positive, mean = (pl.col(f"{name}score").cast(pl.Float64) for name in ("", "positive_", "mean_"))
    share = pl.when(positive > mean).then((score - mean) / (positive - mean))
    shares = mined.select("query_id", "passage_id", share=share)
    return (
        sample.select("record_id", "query_id", "stratum", "mined", passage_id="candidates")
        .explode("passage_id", "mined")
        .filter("mined")
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over("record_id"))
        .join(shares, on=["query_id", "passage_id"], how="left", maintain_order="left")
        .select(*_THING, "stratum", "rank", "share")
    )


def _votes(things: pl.DataFrame, votes: pl.DataFrame) -> Votes:
    """Return who said what of each thing; what lies outside the audit is a group of its own."""
    placed = things.with_row_index("place").select(*_THING, "place").join(votes, on=_THING)
    theirs = placed.filter(~pl.col("referee"))
    people = theirs["annotator"].unique().sort()
    said = np.full((things.height, len(people)), -1, dtype=np.int8)
    person = theirs["annotator"].replace_strict(people, np.arange(len(people)), return_dtype=pl.Int64)
    places = theirs["place"].cast(pl.Int64).to_numpy(), person.cast(pl.Int64).to_numpy()
    said[places] = theirs["value"].to_numpy()
    refereed = placed.filter("referee")["place"].unique().cast(pl.Int64).to_numpy()
    settled = np.full(things.height, -1, dtype=np.int8)
    settled[refereed] = things["relevant"].cast(pl.Int8).fill_null(-1).to_numpy()[refereed]
    return Votes(said, things["stratum"].fill_null("").rank("dense").to_numpy().astype(np.int64) - 1, settled)


@dataclass(frozen=True)
class SoFar:
    """A rate, and what it is a rate of."""

    population: str
    rate: Rate


def rate_so_far(judged: Audited, records: pl.DataFrame) -> SoFar:
    """Return the rate of false negatives among all mined negatives; arguments as of `false_negatives`."""
    population = records.filter(pl.col("mined").list.any())
    queries = dict(population["stratum"].value_counts().sort("stratum").iter_rows())
    return SoFar(f"mined negatives of {named(by_origin(population))}", false_negative_rate(judged.negatives, queries))


def false_negatives(judged: Audited, records: pl.DataFrame, width: float) -> dict[str, Any]:
    """Return the rate of false negatives among all mined negatives, and `by_rank`, `by_margin` and `by_score`.

    Each interval is meant for its own rate: of many rates one lies outside its interval now and then.

    Args:
        judged: as `audited` gives it.
        records: ReviewRecord rows, audited or not.
        width: of a 95% interval that would do; the report says how many more queries it takes.
    """
    population = records.filter(pl.col("mined").list.any())
    queries = dict(population["stratum"].value_counts().sort("stratum").iter_rows())
    whole, negatives = rate_so_far(judged, records), judged.negatives
    banded = Judged(negatives.rows.with_columns(rank=_rank_band(), share=_score_band()), negatives.labels)
    return {
        "population": whole.population,
        "cut_out": population.filter(pl.col("origin") == CUT_OUT).height,
        **asdict(whole.rate),
        "more_queries": {"width": width, "queries": more_queries(whole.rate, width)},
        "ties_as_no": _settled(negatives, False, queries),
        "ties_as_yes": _settled(negatives, True, queries),
        "people_a_negative": {str(people): number for people, number in judged.people.items()},
        "errors": {"missed": judged.errors.missed, "false_alarms": judged.errors.false_alarms},
        "by_rank": [{**_ranks(band), **_figures(rate)} for band, rate in rates_by(banded, "rank", queries)],
        "by_margin": [
            {"stratum": name, **_margins(population, name), **_figures(rate)}
            for name, rate in rates_by(banded, "stratum", queries)
        ],
        "by_score": [{**_scores(band), **_figures(rate)} for band, rate in rates_by(banded, "share", queries)],
    }


def _settled(negatives: Judged, ties: bool, queries: Mapping[str, int]) -> float | None:
    """Return the rate by the majority's word alone, had all ties been settled one way."""
    word = negatives.rows["relevant"].fill_null(ties).to_numpy()
    return false_negative_rate(Judged(negatives.rows, word[None, None]), queries).rate


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
