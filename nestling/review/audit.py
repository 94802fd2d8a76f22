"""How many mined negatives are in truth answers? A rate with an interval, from a stratified random audit of queries.

A sampled query is a cluster: all its mined negatives are judged. The rate is the combined ratio estimate (Cochran,
"Sampling Techniques", 1977, section 6.11). Its interval is that of Korn and Graubard, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data" (Survey Methodology, 1998), at
the effective number of judgements: Clopper and Pearson's where nothing was found, and the more was found the nearer to
Jeffreys', which covers nearer to 95% (Brown, Cai and DasGupta, "Interval estimation for a binomial proportion", 2001).
It lies in [0, 1] and does not shrink to nothing when no false negative was seen, as a bootstrap or a normal interval
would. A part of the negatives, say those of one rank, is a domain: queries that have none of them stay in the sample
and count for none (Särndal, Swensson and Wretman, "Model Assisted Survey Sampling", 1992, chapter 10).

People err. What a negative is in truth is drawn many times (`nestling.review.annotators`); each draw has a rate and an
interval, and the interval of all is that of their mixture (Rubin, "Multiple Imputation for Nonresponse in Surveys",
1987). Where the answers can be read in two ways, it reaches from the one to the other (Imbens and Manski, "Confidence
intervals for partially identified parameters", Econometrica, 2004). Without errors all draws are the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betainc, betaincinv, stdtrit

_TAIL = 0.025
_JEFFREYS = 0.5  # added to a count, and as much again where it is 0 ...
_FADES = 4  # ... which fades with every so many found: so slowly that finding one more never lowers the upper end
_HALVINGS = 50  # of [0, 1], until an end is found
# How clustered the negatives of one query are held to be before anything is seen: correlated by half, a belief that
# weighs as much as (twice its design effect's excess over 1) queries with a false negative. Without it one false
# negative would pass for a good measurement of clustering, and none at all for a proof that there is none. The weight
# is what keeps the upper end from falling when one more query has a false negative, whatever the number of negatives.
_PRIOR_CORRELATION = 0.5
_PRIOR_WEIGHT = 2


@dataclass(frozen=True)
class Judged:
    """Judged negatives, and what each may be in truth.

    Attributes:
        rows: record_id, stratum, relevant (whether people say that it answers; null for a tie) and more, a row a
            negative, sorted by record_id.
        labels: [readings, draws, rows] whether it answers; one of each where there is no doubt.
    """

    rows: pl.DataFrame
    labels: np.ndarray


@dataclass(frozen=True)
class StratumCount:
    """What was judged in one stratum; `population` and `judged_queries` count queries, the others negatives."""

    stratum: str
    population: int
    judged_queries: int
    judged_negatives: int
    false_negatives: int
    ties: int


@dataclass(frozen=True)
class Rate:
    """The share of mined negatives that answer their query.

    Attributes:
        rate: in [0, 1], for the strata that have answers; None where no negative was judged. Of two readings the mean,
            the surer counting more.
        low: lower end of the 95% interval; None where the rate is.
        high: upper end of it, likewise.
        judged_queries: audited queries with an answer.
        judged_negatives: their mined negatives.
        false_negatives: those of which most people, or a referee, say that they answer the query.
        ties: those on which as many say that they do as that they do not.
        effective_negatives: as many independent judgements without error would be worth these; None where the rate is
            None, or exact because every query was judged.
        strata: the counts of each stratum with answers, by name.
        strata_without_answers: strata that the rate does not speak of, by name.
    """

    rate: float | None
    low: float | None
    high: float | None
    judged_queries: int
    judged_negatives: int
    false_negatives: int
    ties: int
    effective_negatives: float | None
    strata: tuple[StratumCount, ...]
    strata_without_answers: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Judged queries as arrays.

    Attributes:
        negatives: [queries] how many were judged.
        false: [draws, queries] how many of them answer.
        stratum: [queries] number of the stratum.
        population: [strata] queries, judged or not.
    """

    negatives: np.ndarray
    false: np.ndarray
    stratum: np.ndarray
    population: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """[strata] judged queries."""
        return np.bincount(self.stratum, minlength=len(self.population)).astype(np.float64)

    @property
    def weight(self) -> np.ndarray:
        """[queries] how many queries of the population each judged query stands for."""
        return np.asarray((self.population / self.judged)[self.stratum])

    @property
    def rate(self) -> np.ndarray:
        """[draws] the share that answers."""
        return np.asarray((self.weight * self.false).sum(axis=1) / (self.weight * self.negatives).sum())


def false_negative_rate(judged: Judged, population: Mapping[str, int]) -> Rate:
    """Estimate the false-negative rate of all mined negatives from the audited queries.

    Args:
        judged: the negatives of the audited queries that have an answer.
        population: how many queries, judged or not, each stratum holds.

    Raises:
        ValueError: a query in two strata, a stratum unknown or with more judged queries than queries.
    """
    return _rate(judged, np.ones(judged.rows.height, dtype=bool), population)


def rates_by(judged: Judged, part: str, population: Mapping[str, int]) -> Iterator[tuple[Any, Rate]]:
    """Estimate the false-negative rate of each part of the mined negatives, in the order of the parts.

    Strata of which no judged query has a negative in the part weigh nothing and are left out of its estimate.

    Args:
        judged: the negatives, with the part that each belongs to (null: to none).
        part: name of the column of parts.
        population: how many queries, judged or not, each stratum holds.

    Yields:
        The part and its rate, whose `judged_queries` are those with a negative in it.
    """
    for value in judged.rows[part].drop_nulls().unique().sort():
        inside = (judged.rows[part] == value).fill_null(False)
        heard = judged.rows["stratum"].is_in(judged.rows.filter(inside)["stratum"].unique().to_list()).to_numpy()
        there = Judged(judged.rows.filter(heard), judged.labels[..., heard])
        strata = {name: population[name] for name in there.rows["stratum"].unique()}
        yield value, _rate(there, inside.to_numpy()[heard], strata)


def _rate(judged: Judged, counted: np.ndarray, population: Mapping[str, int]) -> Rate:
    """Return the rate of those negatives that count."""
    rows = judged.rows.with_columns(counts=pl.Series(counted, dtype=pl.Boolean))
    strata = _strata(rows, population)
    silent = tuple(sorted({name for name, size in population.items() if size} - {each.stratum for each in strata}))
    inside = rows.filter("counts")
    queries, false = inside["record_id"].n_unique(), int(inside["relevant"].sum())
    told = queries, inside.height, false, inside["relevant"].null_count()
    if inside.is_empty():
        return Rate(None, None, None, *told, None, strata, silent)
    samples = [_sample(rows, labels & counted, strata) for labels in judged.labels]
    rates, sizes = [sample.rate for sample in samples], [effective_size(sample) for sample in samples]
    ends = [interval(rate, size) for rate, size in zip(rates, sizes, strict=True)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    worth = _worth(np.concatenate(rates), np.concatenate(sizes))
    return Rate(_between(rates, sizes), low, high, *told, worth, strata, silent)


def _between(rates: list[np.ndarray], sizes: list[np.ndarray]) -> float:
    """Return the mean of the readings' rates, each weighed by how sure it is."""
    means = np.array([rate.mean() for rate in rates])
    if len(rates) == 1 or not np.isfinite(sizes[0]).all():
        return float(means.mean())
    smoothed = [(rate * size + _JEFFREYS) / (size + 1) for rate, size in zip(rates, sizes, strict=True)]
    within = [(rate * (1 - rate) / (size + 1)).mean() for rate, size in zip(smoothed, sizes, strict=True)]
    spread = np.array(within) + np.array([rate.var() for rate in rates])
    return float((means / spread).sum() / (1 / spread).sum())


def _sample(rows: pl.DataFrame, labels: np.ndarray, strata: tuple[StratumCount, ...]) -> Sample:
    number = {each.stratum: place for place, each in enumerate(strata)}
    starts = np.flatnonzero(np.diff(rows["record_id"].rle_id().to_numpy().astype(np.int64), prepend=-1))
    return Sample(
        negatives=np.add.reduceat(rows["counts"].to_numpy().astype(np.float64), starts),
        false=np.add.reduceat(labels.astype(np.float64), starts, axis=1),
        stratum=np.array([number[name] for name in rows["stratum"].gather(starts)], dtype=np.int64),
        population=np.array([each.population for each in strata], dtype=np.float64),
    )


def _strata(rows: pl.DataFrame, population: Mapping[str, int]) -> tuple[StratumCount, ...]:
    if rows.select("record_id", "stratum").n_unique() > rows["record_id"].n_unique():
        raise ValueError("a query lies in two strata")
    if unknown := sorted(set(rows["stratum"]) - set(population)):
        raise ValueError(f"the strata {unknown} of judged queries have no population; known are {sorted(population)}")
    says, counts = pl.col("relevant"), pl.col("counts")
    sums = rows.group_by("stratum").agg(
        queries=pl.col("record_id").n_unique(),
        negatives=counts.sum(),
        false=(counts & says.fill_null(False)).sum(),
        ties=(counts & says.is_null()).sum(),
    )
    found = tuple(
        StratumCount(name, population[name], *(int(count) for count in told))
        for name, *told in sums.sort("stratum").iter_rows()
    )
    if over := [each.stratum for each in found if each.judged_queries > each.population]:
        raise ValueError(
            f"more queries are judged than there are in the strata {over}: is the population out of date?"
        )
    return found


def effective_size(sample: Sample) -> np.ndarray:
    """Return [draws] how many independent judgements would tell as much; infinite where every query is judged."""
    unjudged = _unjudged_share(sample)
    if unjudged == 0:
        return np.full(len(sample.false), np.inf)
    gain = -np.log(unjudged) / (1 - unjudged)  # exact for the chance to meet none, cautious for others
    negatives = float(sample.negatives.sum())
    studentised = stdtrit(max(1, negatives - 1), _TAIL) / stdtrit(_freedom(sample), _TAIL)
    return np.asarray(negatives / _design_effect(sample) * gain * min(1, studentised) ** 2)


def _unjudged_share(sample: Sample) -> float:
    """Return what share of the rate's variance is left by judging without replacement: 0 where all is judged."""
    variance = sample.population**2 / sample.judged
    return float((variance * (1 - sample.judged / sample.population)).sum() / variance.sum())


def _freedom(sample: Sample) -> float:
    """Return how many queries the variance is measured on, less one a stratum, by weight (Satterthwaite, 1946)."""
    holding = np.bincount(sample.stratum, sample.negatives > 0)  # the others of a domain's sample vary by nothing
    variance = sample.population**2 / sample.judged
    return float(variance.sum() ** 2 / (variance**2 / np.maximum(holding - 1, 1)).sum())


def _design_effect(sample: Sample) -> np.ndarray:
    """Return [draws] how many clustered, unequally weighted judgements are worth one independent; 1 at least."""
    weight, total, negatives = sample.weight, (sample.weight * sample.negatives).sum(), sample.negatives.sum()
    correlated = 1 + np.maximum(sample.negatives - 1, 0) * _PRIOR_CORRELATION
    prior = float(negatives * (weight**2 * sample.negatives * correlated).sum() / total**2)
    share = (weight / weight.max()) ** 2  # a query of a stratum that hardly weighs says hardly anything of clustering
    some, others = sample.false > 0, sample.false < sample.negatives
    seen = np.minimum((share * some).sum(axis=1), (share * others).sum(axis=1))
    spread = sample.rate * (1 - sample.rate)
    measured = np.divide(_variance(sample) * negatives, spread, out=np.zeros(len(seen)), where=seen > 0)
    held = _PRIOR_WEIGHT * max(0.0, prior - 1)
    mixed = np.divide(seen * measured + held * prior, seen + held, out=np.full(len(seen), prior), where=seen > 0)
    return np.asarray(np.maximum(1, mixed))


def _variance(sample: Sample) -> np.ndarray:
    """Return [draws] the linearised variance, as if queries were drawn with replacement (Cochran, eq. 6.51)."""
    residual = sample.false - sample.rate[:, None] * sample.negatives
    member = np.eye(len(sample.population))[sample.stratum]
    mean = np.einsum("dq,qs->ds", residual, member) / sample.judged
    mean[:, sample.judged == 1] = 0  # a lone query varies about the mean of all, which is 0
    squares = np.einsum("dq,qs->ds", (residual - mean[:, sample.stratum]) ** 2, member)
    within = squares / np.maximum(sample.judged - 1, 1)
    total = (sample.weight * sample.negatives).sum()
    return np.asarray((sample.population**2 * within / sample.judged).sum(axis=1) / total**2)


def interval(rate: np.ndarray, size: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of [draws] rates seen in so many judgements, which need not be whole."""
    if not np.isfinite(size).all():
        low, high = np.quantile(rate, [_TAIL, 1 - _TAIL], method="inverted_cdf")
        return float(low), float(high)
    found, others = rate * size, (1 - rate) * size
    low = _quantile(_shape(found, others), _TAIL, rate <= 0)
    high = 1 - _quantile(_shape(others, found), _TAIL, rate >= 1)
    return low, high


def _shape(near: np.ndarray, far: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the beta distribution of an end, which is Clopper and Pearson's where the far count is 0."""
    added = _JEFFREYS * (1 + np.exp(-far / _FADES))
    return near + 1 - added, far + added


def _quantile(shape: tuple[np.ndarray, np.ndarray], share: float, nought: np.ndarray) -> float:
    """Return where a mixture of beta distributions reaches a share; components that are `nought` lie at 0."""
    if nought.mean() >= share:
        return 0.0
    if len(nought) == 1:
        return float(betaincinv(*shape, share)[0])
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = np.where(nought, 1.0, betainc(*shape, middle)).mean()
        low, high = (middle, high) if reached < share else (low, middle)
    return low


def _worth(rate: np.ndarray, size: np.ndarray) -> float | None:
    """Return how many independent judgements without error are worth these; None where the rate is exact."""
    mean = float(rate.mean())
    variance = float((rate * (1 - rate) / size).mean() + rate.var())
    if not np.isfinite(size).all() and variance == 0:
        return None
    return mean * (1 - mean) / variance if variance else float(size.mean())
