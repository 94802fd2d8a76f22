"""Is a difference real? Bootstrap intervals over queries or pairs, for arrays of one number a query or pair.

Two systems are compared on the same resampled queries (paired), so that a query hard for both says nothing of either:
Sakai, "Evaluating Evaluation Metrics based on the Bootstrap" (SIGIR 2006); Efron and Tibshirani, "An Introduction to
the Bootstrap" (1993), for the percentile interval. Memory is bounded, and the same seed gives the same interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from nestling.evaluation.metrics import pearson, spearman

CELLS = 1 << 22  # numbers that a block of resamples may hold: 32 MiB


@dataclass(frozen=True)
class Interval:
    """A mean over queries and its 95% interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    queries: int


@dataclass(frozen=True)
class Difference:
    """The mean over queries of tuned less base, above 0 where tuned is better.

    Attributes:
        mean: in the unit of the values.
        low: lower end of the 95% interval.
        high: upper end of the 95% interval.
        queries: how many were compared.
        p: two-sided; the smaller share of resamples at or beyond zero, doubled.
    """

    mean: float
    low: float
    high: float
    queries: int
    p: float


@dataclass(frozen=True)
class CorrelationDifference:
    """The correlation with the gold scores of tuned, less that of base; above 0 where tuned is better.

    Attributes:
        tuned: the correlation of tuned.
        base: the correlation of base.
        difference: tuned less base.
        low: lower end of the 95% interval of the difference.
        high: upper end of the 95% interval of the difference.
        pairs: how many were compared.
        p: two-sided; the smaller share of resamples at or beyond zero, doubled.
        tuned_interval: the 95% interval of `tuned` itself.
    """

    tuned: float
    base: float
    difference: float
    low: float
    high: float
    pairs: int
    p: float
    tuned_interval: tuple[float, float]


def resamples(size: int, seed: int, replicates: int, cells: int = CELLS) -> Iterator[np.ndarray]:
    """Draw `size` things out of `size` with replacement, again and again.

    Args:
        size: how many things there are.
        seed: of the draws.
        replicates: how many resamples to draw.
        cells: numbers a block may hold (one resample at least); changes the memory, never the draws.

    Yields:
        [block, size] int64, how often each thing was drawn; the blocks make up `replicates` rows.
    """
    generator = np.random.default_rng(seed)
    most = max(1, cells // size)
    for start in range(0, replicates, most):
        rows = min(most, replicates - start)
        drawn = generator.integers(size, size=(rows, size))
        drawn += size * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)


def mean_interval(values: np.ndarray, seed: int, replicates: int = 10_000, cells: int = CELLS) -> Interval:
    """Return the mean over queries with its percentile interval.

    Args:
        values: [queries], one system's score on each.
        seed: of the resamples.
        replicates: how many resamples.
        cells: see `resamples`.

    Raises:
        ValueError: no values, or some that are not finite.
    """
    checked = _finite("values", values)
    low, high = _percentiles(_means(checked, seed, replicates, cells))
    return Interval(float(checked.mean()), low, high, len(checked))


def paired_difference(
    tuned: np.ndarray, base: np.ndarray, seed: int, replicates: int = 10_000, cells: int = CELLS
) -> Difference:
    """Return the mean of `tuned - base` over queries with its percentile interval.

    Args:
        tuned: [queries], scores of one system.
        base: [queries], scores of the other on the same queries in the same order.
        seed: of the resamples.
        replicates: how many resamples.
        cells: see `resamples`.

    Raises:
        ValueError: no scores, unequal numbers of them, or some that are not finite.
    """
    gains = _finite("tuned", tuned) - _finite("base", base, len(tuned))
    means = _means(gains, seed, replicates, cells)
    low, high = _percentiles(means)
    return Difference(float(gains.mean()), low, high, len(gains), _p(means))


def paired_correlation_difference(
    tuned_cosines: np.ndarray,
    base_cosines: np.ndarray,
    gold: np.ndarray,
    seed: int,
    replicates: int = 2000,
    coefficient: Literal["spearman", "pearson"] = "spearman",
) -> CorrelationDifference:
    """Return by how much better `tuned` correlates with `gold` than `base` does, with its percentile interval.

    Pairs are resampled and the correlations computed anew. A resample in which something is constant has no
    correlation and is left out.

    Args:
        tuned_cosines: [pairs], one system's.
        base_cosines: [pairs], the other's on the same pairs in the same order.
        gold: [pairs], people's grades of them.
        seed: of the resamples.
        replicates: how many resamples.
        coefficient: Spearman's, with ties at their middle rank, or Pearson's.

    Raises:
        ValueError: fewer than two pairs, unequal numbers of them, some not finite, or all equal in one of the three.
    """
    point = {"spearman": spearman, "pearson": pearson}[coefficient]
    tuned, base = point(tuned_cosines, gold), point(base_cosines, gold)
    columns = [np.asarray(column, dtype=np.float64) for column in (tuned_cosines, base_cosines, gold)]
    rate = [_MiddleRanks(column) if coefficient == "spearman" else partial(_centred, column) for column in columns]
    found = []
    for counts in resamples(len(gold), seed, replicates, CELLS // 8):  # some eight arrays of a block's size at once
        ours, theirs, truth = (rating(counts) for rating in rate)
        found.append(np.stack([_correlation(counts, ours, truth), _correlation(counts, theirs, truth)]))
    both = np.concatenate(found, axis=1)
    both = both[:, np.isfinite(both).all(axis=0)]
    differences = both[0] - both[1]
    low, high = _percentiles(differences)
    return CorrelationDifference(
        tuned, base, tuned - base, low, high, len(gold), _p(differences), _percentiles(both[0])
    )


def holm(p: Sequence[float]) -> list[float]:
    """Return each p of a family corrected by Holm's step-down method, in the order given.

    Where all below a level are called real, the chance that any of them is not stays below that level, however the
    tests hang together: Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).
    """
    corrected, most = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        most = max(most, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = most
    return corrected


class _MiddleRanks:
    """Middle ranks of a column's values within a resample, less their mean; the column is sorted once for all."""

    def __init__(self, column: np.ndarray) -> None:
        self._order = np.argsort(column, kind="stable")
        _, self._tie, sizes = np.unique(column, return_inverse=True, return_counts=True)
        self._last = np.cumsum(sizes) - 1

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        upto = counts[:, self._order].cumsum(axis=1)[:, self._last]  # [block, distinct values]
        below = np.concatenate([np.zeros((len(counts), 1), dtype=upto.dtype), upto[:, :-1]], axis=1)
        return np.asarray((below + upto - counts.shape[1]) / 2)[:, self._tie]


def _centred(column: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return a column's values less their mean in each resample, [block, pairs], in shares of the column's range."""
    scaled = (column - column.min()) / np.ptp(column)
    return np.asarray(scaled - (counts * scaled).sum(axis=1, keepdims=True) / counts.shape[1])


def _correlation(counts: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the correlation in each resample of two centred [block, pairs] ratings; NaN where one is constant."""
    product = (counts * left * right).sum(axis=1)
    scale = _length(counts, left) * _length(counts, right)
    found = np.divide(product, scale, out=np.full(len(product), np.nan), where=scale > 0)
    return np.asarray(np.clip(found, -1, 1))


def _length(counts: np.ndarray, centred: np.ndarray) -> np.ndarray:
    """Return the length of each row's vector, [block]; what rounding leaves of a constant has none."""
    length = np.sqrt((counts * centred * centred).sum(axis=1))
    return np.where(length > 1e-12 * np.sqrt(counts.shape[1]), length, 0)


def _means(values: np.ndarray, seed: int, replicates: int, cells: int) -> np.ndarray:
    # a sum along rows, not a matrix product: BLAS would round differently for another block size
    blocks = resamples(len(values), seed, replicates, cells)
    return np.asarray(np.concatenate([(counts * values).sum(axis=1) for counts in blocks]) / len(values))


def _percentiles(replicates: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(replicates, [2.5, 97.5])
    return float(low), float(high)


def _p(replicates: np.ndarray) -> float:
    beyond = min(int((replicates <= 0).sum()), int((replicates >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(replicates) + 1))  # never 0: Davison and Hinkley (1997), section 4.2


def _finite(name: str, values: np.ndarray, size: int | None = None) -> np.ndarray:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1 or not len(checked):
        raise ValueError(f"{name} has the shape {list(checked.shape)}; a list of at least one number is needed")
    if size is not None and len(checked) != size:
        raise ValueError(f"{name} has {len(checked)} numbers and tuned {size}: both must score the same queries")
    if not np.isfinite(checked).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return checked
