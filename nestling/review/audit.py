"""How many mined negatives are in truth answers? A rate with an interval, from a stratified random audit of queries.

A sampled query is a cluster: all its mined negatives are judged. The rate is the combined ratio estimate (Cochran,
"Sampling Techniques", 1977, section 6.11). Its interval is that of Korn and Graubard, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data" (Survey Methodology, 1998):
Clopper and Pearson's exact interval at the effective number of judgements. It lies in [0, 1] and does not shrink to
nothing when no false negative was seen, as a bootstrap or a normal interval would. A part of the negatives, say those
of one rank, is a domain: queries that have none of them stay in the sample and count for none (Särndal, Swensson and
Wretman, "Model Assisted Survey Sampling", 1992, chapter 10).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betaincinv, stdtrit

_TAIL = 0.025
# How clustered the negatives of one query are held to be before anything is seen: correlated by half, a belief that
# weighs as much as (twice its design effect's excess over 1) queries with a false negative. Without it one false
# negative would pass for a good measurement of clustering, and none at all for a proof that there is none. The weight
# is what keeps the upper end from falling when one more query has a false negative, whatever the number of negatives.
_PRIOR_CORRELATION = 0.5
_PRIOR_WEIGHT = 2


@dataclass(frozen=True)
class StratumCount:
    """What was judged in one stratum; `population` and `judged_queries` count queries, the others negatives."""

    stratum: str
    population: int
    judged_queries: int
    judged_negatives: int
    false_negatives: int


@dataclass(frozen=True)
class Rate:
    """The share of mined negatives that answer their query.

    Attributes:
        rate: in [0, 1], for the strata that have answers; None where no negative was judged.
        low: lower end of the 95% interval; None where the rate is.
        high: upper end of it, likewise.
        judged_queries: audited queries with an answer.
        judged_negatives: their mined negatives.
        false_negatives: those that answer the query.
        effective_negatives: as many independent judgements would be worth these; None where the rate is None, or
            exact because every query was judged.
        strata: the counts of each stratum with answers, by name.
        strata_without_answers: strata that the rate does not speak of, by name.
    """

    rate: float | None
    low: float | None
    high: float | None
    judged_queries: int
    judged_negatives: int
    false_negatives: int
    effective_negatives: float | None
    strata: tuple[StratumCount, ...]
    strata_without_answers: tuple[str, ...]


@dataclass(frozen=True)
class _Sample:
    """Judged queries as arrays: [queries] negatives, false ones, number of the stratum; [strata] sizes."""

    negatives: np.ndarray
    false: np.ndarray
    stratum: np.ndarray
    population: np.ndarray
    judged: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """[queries] how many queries of the population each judged query stands for."""
        return np.asarray((self.population / self.judged)[self.stratum])

    @property
    def rate(self) -> float:
        return float((self.weight * self.false).sum() / (self.weight * self.negatives).sum())


def false_negative_rate(judged: pl.DataFrame, population: Mapping[str, int]) -> Rate:
    """Estimate the false-negative rate of all mined negatives from the audited queries.

    Args:
        judged: record_id, stratum, negatives (how many were mined and judged), false_negatives (how many of them
            answer the query); one row an audited query with an answer.
        population: how many queries, judged or not, each stratum holds.

    Raises:
        ValueError: a record twice, a stratum unknown or with more judged queries than queries, or a query with more
            false negatives than negatives.
    """
    strata = _strata(judged, population)
    silent = tuple(sorted({name for name, size in population.items() if size} - {each.stratum for each in strata}))
    queries, negatives = judged.height, int(judged["negatives"].sum())
    false = int(judged["false_negatives"].sum())
    if not negatives:
        return Rate(None, None, None, queries, negatives, false, None, strata, silent)
    number = {each.stratum: place for place, each in enumerate(strata)}
    sample = _Sample(
        negatives=judged["negatives"].to_numpy().astype(np.float64),
        false=judged["false_negatives"].to_numpy().astype(np.float64),
        stratum=np.array([number[name] for name in judged["stratum"]], dtype=np.int64),
        population=np.array([each.population for each in strata], dtype=np.float64),
        judged=np.array([each.judged_queries for each in strata], dtype=np.float64),
    )
    size = _effective_size(sample)
    low, high = _exact_interval(sample.rate, size)
    known = size if np.isfinite(size) else None
    return Rate(sample.rate, low, high, queries, negatives, false, known, strata, silent)


def rates_by(negatives: pl.DataFrame, part: str, population: Mapping[str, int]) -> Iterator[tuple[Any, Rate]]:
    """Estimate the false-negative rate of each part of the mined negatives, in the order of the parts.

    Strata of which no judged query has a negative in the part weigh nothing and are left out of its estimate.

    Args:
        negatives: record_id, stratum, relevant (whether the negative answers the query), and the part it belongs to
            (null: to none); one row a judged negative.
        part: name of the column of parts.
        population: how many queries, judged or not, each stratum holds.

    Yields:
        The part and its rate, whose `judged_queries` are those with a negative in it.
    """
    for value in negatives[part].drop_nulls().unique().sort():
        counts = by_query(negatives, pl.col(part) == value)
        heard = counts.filter(pl.col("negatives").sum().over("stratum") > 0)
        strata = {name: population[name] for name in heard["stratum"].unique()}
        rate = false_negative_rate(heard, strata)
        yield value, replace(rate, judged_queries=heard.filter(pl.col("negatives") > 0).height)


def by_query(negatives: pl.DataFrame, counted: pl.Expr) -> pl.DataFrame:
    """Return record_id, stratum, negatives and false_negatives of every judged query, for negatives that count.

    Args:
        negatives: record_id, stratum, relevant and what `counted` needs; one row a judged negative.
        counted: which negatives count; null is no.
    """
    marked = negatives.with_columns(counts=counted.fill_null(False))
    sums = {"negatives": pl.col("counts").sum(), "false_negatives": (pl.col("counts") & pl.col("relevant")).sum()}
    return marked.group_by("record_id", "stratum").agg(**sums).sort("record_id")


def _strata(judged: pl.DataFrame, population: Mapping[str, int]) -> tuple[StratumCount, ...]:
    if judged["record_id"].is_duplicated().any():
        raise ValueError("a record is judged twice: settle the answers of several people first")
    if judged.filter((pl.col("false_negatives") < 0) | (pl.col("false_negatives") > pl.col("negatives"))).height:
        raise ValueError("a query has fewer than no false negatives, or more of them than negatives")
    if unknown := sorted(set(judged["stratum"]) - set(population)):
        raise ValueError(f"the strata {unknown} of judged queries have no population; known are {sorted(population)}")
    sums = pl.len().alias("queries"), pl.col("negatives", "false_negatives").sum()
    rows = judged.group_by("stratum").agg(*sums).sort("stratum").iter_rows(named=True)
    counts = tuple(
        StratumCount(
            row["stratum"], population[row["stratum"]], row["queries"], row["negatives"], row["false_negatives"]
        )
        for row in rows
    )
    if over := [each.stratum for each in counts if each.judged_queries > each.population]:
        raise ValueError(
            f"more queries are judged than there are in the strata {over}: is the population out of date?"
        )
    return counts


def _effective_size(sample: _Sample) -> float:
    """Return the number of independent judgements that would tell as much; infinite where every query is judged."""
    unjudged = _unjudged_share(sample)
    if unjudged == 0:
        return float("inf")
    gain = -np.log(unjudged) / (1 - unjudged)  # exact for the chance to meet none, cautious for others
    negatives = float(sample.negatives.sum())
    studentised = stdtrit(max(1, negatives - 1), _TAIL) / stdtrit(_freedom(sample), _TAIL)
    return float(negatives / _design_effect(sample) * gain * min(1, studentised) ** 2)


def _unjudged_share(sample: _Sample) -> float:
    """Return what share of the rate's variance is left by judging without replacement: 0 where all is judged."""
    variance = sample.population**2 / sample.judged
    return float((variance * (1 - sample.judged / sample.population)).sum() / variance.sum())


def _freedom(sample: _Sample) -> float:
    """Return how many queries the variance is measured on, less one a stratum, by weight (Satterthwaite, 1946)."""
    holding = np.bincount(sample.stratum, sample.negatives > 0)  # the others of a domain's sample vary by nothing
    variance = sample.population**2 / sample.judged
    return float(variance.sum() ** 2 / (variance**2 / np.maximum(holding - 1, 1)).sum())


def _design_effect(sample: _Sample) -> float:
    """Return how many clustered, unequally weighted judgements are worth one independent; 1 at least."""
    weight, total = sample.weight, (sample.weight * sample.negatives).sum()
    correlated = 1 + np.maximum(sample.negatives - 1, 0) * _PRIOR_CORRELATION
    prior = sample.negatives.sum() * (weight**2 * sample.negatives * correlated).sum() / total**2
    share = (weight / weight.max()) ** 2  # a query of a stratum that hardly weighs says hardly anything of clustering
    seen = min(share[sample.false > 0].sum(), share[sample.false < sample.negatives].sum())
    if not seen:
        return float(max(1, prior))
    measured = _variance(sample) / (sample.rate * (1 - sample.rate)) * sample.negatives.sum()
    held = _PRIOR_WEIGHT * max(0, prior - 1)
    return float(max(1, (seen * measured + held * prior) / (seen + held)))


def _variance(sample: _Sample) -> float:
    """Return the linearised variance of the rate, as if queries were drawn with replacement (Cochran, eq. 6.51)."""
    residual = sample.false - sample.rate * sample.negatives
    mean = np.bincount(sample.stratum, residual) / sample.judged
    mean[sample.judged == 1] = 0  # a lone query varies about the mean of all, which is 0
    squares = np.bincount(sample.stratum, (residual - mean[sample.stratum]) ** 2)
    within = squares / np.maximum(sample.judged - 1, 1)
    total = (sample.weight * sample.negatives).sum()
    return float((sample.population**2 * within / sample.judged).sum() / total**2)


def _exact_interval(rate: float, size: float) -> tuple[float, float]:
    """Return Clopper and Pearson's 95% interval for `rate` seen in `size` judgements, which need not be whole."""
    if not np.isfinite(size):
        return rate, rate
    events = rate * size
    low = float(betaincinv(events, size - events + 1, _TAIL)) if rate > 0 else 0.0
    high = float(betaincinv(events + 1, size - events, 1 - _TAIL)) if rate < 1 else 1.0
    return low, high
