"""Do people agree? Krippendorff's alpha, which allows for chance and for missing answers, with a bootstrap interval.

Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). Knows answers in a long table; nothing of rounds,
questions or files.
"""

from dataclasses import dataclass
from typing import Literal

import krippendorff
import numpy as np
import polars as pl

from nestling.evaluation.bootstrap import resamples

Level = Literal["nominal", "ordinal", "interval"]
_ROUNDING = 1e-9  # what rounding may leave, as a share, of the variance of equal numbers


@dataclass(frozen=True)
class Agreement:
    """How far people agree.

    Attributes:
        alpha: 1 is full agreement, 0 what chance gives, below 0 is worse; None where two people never answered the
            same thing, or everybody always answered the same.
        low: lower end of the 95% interval over records; None where alpha is, and for fewer than two records.
        high: upper end of it, likewise.
        records: records with a unit that two people or more answered.
        units: things that two people or more answered.
        annotators: people who answered such a thing.
    """

    alpha: float | None
    low: float | None
    high: float | None
    records: int
    units: int
    annotators: int


def alpha(answers: pl.DataFrame, level: Level, seed: int, replicates: int = 1000) -> Agreement:
    """Return Krippendorff's alpha with a percentile interval from a bootstrap of whole records.

    All units of a record are drawn together, for they share a query and so are not independent (Field and Welsh,
    "Bootstrapping clustered data", 2007). A resample in which everybody answers the same has no alpha and is left out.

    Args:
        answers: record_id, unit_id (within its record), annotator, value (null is no answer); at any other level than
            nominal the values are numbers. At the nominal and the ordinal level a handful of distinct values is
            expected: memory is records times their number squared.
        level: how far apart two values are: not at all or wholly, by ranks, or by their squared difference.
        seed: of the resamples.
        replicates: how many resamples.

    Raises:
        ValueError: a person answers a unit twice, or values are not numbers where they must be.
    """
    paired = paired_answers(answers, level)
    domain = paired["value"].unique().sort()
    records, units, people = (paired[name].n_unique() for name in ("record_id", "unit", "annotator"))
    if len(domain) < 2:
        return Agreement(None, None, None, records, units, people)
    owners = paired.group_by("unit", maintain_order=True).first()["record_id"].rle_id().to_numpy()
    if level == "interval":
        sums = _moments(paired, owners)
        point, found = float(_alphas_of_moments(sums.sum(axis=0)[None])[0]), resampled(sums, seed, replicates)
        return Agreement(point, *spread(_alphas_of_moments(found)), records, units, people)
    values = np.arange(len(domain), dtype=np.float64) if level == "nominal" else domain.to_numpy()
    counts = _value_counts(paired, domain)
    point = float(krippendorff.alpha(value_counts=counts, value_domain=values, level_of_measurement=level))
    found = resampled(_coincidences(counts, owners), seed, replicates)
    return Agreement(point, *spread(_alphas(found, values, level)), records, units, people)


def resampled(sums: np.ndarray, seed: int, replicates: int) -> np.ndarray:
    """Return what resamples of records add up to, [replicates, ...]; no resamples of fewer than two records.

    Args:
        sums: [records, ...], numbers that add up over records.
        seed: of the draws.
        replicates: how many resamples to draw.
    """
    records, *shape = sums.shape
    if records < 2:
        return np.empty((0, *shape))
    flat = sums.reshape(records, -1).astype(np.float64)
    # einsum, not a matrix product: BLAS would round differently on another number of threads
    drawn = np.concatenate([np.einsum("rn,nk->rk", counts, flat) for counts in resamples(records, seed, replicates)])
    return np.asarray(drawn.reshape(-1, *shape))


def spread(found: np.ndarray) -> tuple[float | None, float | None]:
    """Return the ends of the percentile interval of what resamples gave, NaN left out; None where nothing is left."""
    finite = found[np.isfinite(found)]
    if not len(finite):
        return None, None
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def paired_answers(answers: pl.DataFrame, level: Level) -> pl.DataFrame:
    """Return the answers to units that two people or more answered, sorted, with the unit's number as `unit`.

    Raises:
        ValueError: a person answers a unit twice, or values are not numbers where they must be.
    """
    kind = answers.schema["value"]
    if level != "nominal" and not (kind.is_numeric() or kind == pl.Null):
        raise ValueError(f"{level} agreement needs numbers, and the values are {kind}: use the nominal level")
    key = ["record_id", "unit_id", "annotator"]
    given = answers.select(*key, "value").drop_nulls().sort(key)
    if given.select(key).is_duplicated().any():
        raise ValueError("an annotator answers a unit twice: keep each person's last answer")
    paired = given.filter(pl.len().over("record_id", "unit_id") >= 2)
    return paired.with_columns(unit=pl.struct("record_id", "unit_id").rle_id())


def passage_units(answers: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    """Turn sets of marked passages into units for a nominal `alpha`: each passage shown, marked (1) or not (0).

    Args:
        answers: record_id, annotator, value (list of the passage ids that answer the query; an empty list is an
            answer, null is none) and more.
        shown: record_id, candidates (list of the passage ids to compare on). A mark on any other passage makes no
            unit, so leave the query's own passage out to measure agreement on the candidates alone.

    Returns:
        record_id, unit_id, annotator, value, and what else answers hold; answers to a record that is not in `shown`
        make no rows.
    """
    candidates = shown.select("record_id", unit_id=pl.col("candidates").list.unique(maintain_order=True))
    first = ("record_id", "unit_id", "annotator", "value")
    return (
        answers.drop_nulls("value")
        .join(candidates.explode("unit_id").drop_nulls("unit_id"), on="record_id", maintain_order="left_right")
        .with_columns(value=pl.col("value").list.contains(pl.col("unit_id")).cast(pl.UInt8))
        .select(*first, pl.exclude(first))
    )


def _value_counts(paired: pl.DataFrame, domain: pl.Series) -> np.ndarray:
    """Return how many people gave each unit each value, [units, values] int64."""
    code = paired["value"].replace_strict(domain, np.arange(len(domain)), return_dtype=pl.Int64).to_numpy()
    unit = paired["unit"].to_numpy().astype(np.int64)
    cells = (int(unit[-1]) + 1, len(domain))
    return np.bincount(unit * len(domain) + code, minlength=cells[0] * cells[1]).reshape(cells)


def _coincidences(counts: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return each record's coincidence matrix, [records, values, values]: all that alpha needs, and it adds up.

    Args:
        counts: [units, values] from `_value_counts`.
        owners: [units] the number of the record that each unit belongs to, ascending.
    """
    people = counts.sum(axis=1)[:, None, None]
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1], dtype=np.int64)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    return np.asarray(np.add.reduceat(pairs / (people - 1), starts, axis=0))


def _moments(paired: pl.DataFrame, owners: np.ndarray) -> np.ndarray:
    """Return each record's [records, 4]: answers, their sum, sum of squares, and distances within units.

    All that alpha needs at the interval level, however many distinct values there are, and it adds up.
    """
    unit = paired["unit"].to_numpy().astype(np.int64)
    value = (paired["value"] - paired["value"].min()).to_numpy().astype(np.float64)  # small numbers round less
    people, total, squares = (np.bincount(unit, weights) for weights in (np.ones(len(unit)), value, value**2))
    within = 2 * (people * squares - total**2) / (people - 1)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    return np.asarray(np.add.reduceat(np.column_stack([people, total, squares, within]), starts, axis=0))


def _alphas_of_moments(moments: np.ndarray) -> np.ndarray:
    """Return the interval alpha of each of [replicates, 4] moments; NaN where nothing varies."""
    people, total, squares, within = moments.T
    apart = 2 * (people * squares - total**2)
    varies = apart > _ROUNDING * people * squares
    expected = np.divide(apart, people - 1, out=np.zeros(len(apart)), where=varies)
    return np.asarray(1 - np.divide(within, expected, out=np.full(len(within), np.nan), where=varies))


def _alphas(coincidences: np.ndarray, values: np.ndarray, level: Level) -> np.ndarray:
    """Return the alpha of each of [replicates, values, values] coincidence matrices; NaN where nothing varies."""
    totals = coincidences.sum(axis=2)
    distances = _distances(totals, values, level)
    observed = (coincidences * distances).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distances).sum(axis=(1, 2)) / (totals.sum(axis=1) - 1)
    return np.asarray(1 - np.divide(observed, expected, out=np.full(len(observed), np.nan), where=expected > 0))


def _distances(totals: np.ndarray, values: np.ndarray, level: Level) -> np.ndarray:
    """Return the squared distances between values, [replicates or 1, values, values]."""
    if level == "nominal":
        return 1 - np.eye(len(values))[None]
    # an ordinal distance counts the answers between two values, each value's own by half: a distance of middle ranks
    place = totals.cumsum(axis=1) - totals / 2 if level == "ordinal" else values[None]
    return np.asarray((place[:, :, None] - place[:, None, :]) ** 2)
