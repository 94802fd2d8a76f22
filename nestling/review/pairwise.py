"""Do two people agree, and does one agree with all others? Cohen's kappa, with a bootstrap interval over records.

Words: Cohen, "A coefficient of agreement for nominal scales" (1960). Grades: Cohen, "Weighted kappa" (1968), with
squared distances as weights. A difference of one grade then weighs little and one of four much; somebody who always
grades higher is not in full agreement, as with a correlation; distances are those of the question's alpha; and the
grades need not be whole. Both kappas are 1 less the mean squared distance of two people's answers to the same thing,
as a share of that of their answers to any two things, where a word is a unit vector.

Knows answers in a long table; nothing of rounds, questions or files.
"""

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from nestling.review.agreement import Level, paired_answers, resampled, spread

_ROUNDING = 1e-9  # what rounding may leave, as a share, of the distance between equal numbers
_SAME = 0.25  # squared distance of answers that agree: the same word, or grades half a step apart at most


@dataclass(frozen=True)
class Match:
    """How two series of answers to the same things agree.

    Attributes:
        records: that hold these things.
        units: things that both answered.
        observed: share of them on which they agree: the same word, or grades half a step apart at most.
        observed_low, observed_high: its 95% interval over records; None for fewer than two.
        kappa: 1 is full agreement, 0 what chance gives; None where both always gave the same one answer.
        kappa_low, kappa_high: its 95% interval; None where it is, for fewer than two records, or if no draw has one.
    """

    records: int
    units: int
    observed: float
    observed_low: float | None
    observed_high: float | None
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None


@dataclass(frozen=True)
class _Answers:
    """Answers as arrays, sorted by record, unit and person: [answers] numbers of the three, [answers, dims] values."""

    record: np.ndarray
    unit: np.ndarray
    person: np.ndarray
    value: np.ndarray
    people: tuple[str, ...]


def of_pairs(answers: pl.DataFrame, level: Level, seed: int, replicates: int) -> list[dict[str, Any]]:
    """Return a Match with `annotators`, two names in their order, of every two people with something in common.

    Args:
        answers: record_id, unit_id (within its record), annotator, value (null is no answer); numbers unless nominal.
        level: nominal, or interval for grades.
        seed: of the resamples.
        replicates: how many resamples.
    """
    found = _coded(answers, level)
    matches = []
    for one, other in combinations(range(len(found.people)), 2):
        left, right = (np.flatnonzero(found.person == who) for who in (one, other))
        _, at, there = np.intersect1d(found.unit[left], found.unit[right], assume_unique=True, return_indices=True)
        if len(at):
            mine, theirs = left[at], right[there]
            match = _match(found.record[mine], found.value[mine], found.value[theirs], seed, replicates)
            matches.append({"annotators": [found.people[one], found.people[other]], **asdict(match)})
    return matches


def with_the_rest(answers: pl.DataFrame, level: Level, seed: int, replicates: int) -> list[dict[str, Any]]:
    """Return a Match with `annotator` of each person with all others: their majority, or their mean grade.

    Things on which the others tie are left out; arguments as of `of_pairs`.
    """
    found = _coded(answers, level)
    rest, clear = _rest(found, level)
    matches = []
    for place, name in enumerate(found.people):
        mine = (found.person == place) & clear
        if mine.any():
            match = _match(found.record[mine], found.value[mine], rest[mine], seed, replicates)
            matches.append({"annotator": name, **asdict(match)})
    return matches


def _coded(answers: pl.DataFrame, level: Level) -> _Answers:
    paired = paired_answers(answers, level)
    people, domain = paired["annotator"].unique().sort(), paired["value"].unique().sort()
    person, code = (
        paired[name].replace_strict(known, np.arange(len(known)), return_dtype=pl.Int64).to_numpy().astype(np.int64)
        for name, known in (("annotator", people), ("value", domain))
    )
    # grades from the lowest on: small numbers round less
    values = np.eye(len(domain)) if level == "nominal" else (domain - (domain.min() or 0)).to_numpy().reshape(-1, 1)
    record, unit = paired["record_id"].rle_id().to_numpy(), paired["unit"].to_numpy()
    return _Answers(record, unit, person, values[code].astype(np.float64), tuple(people))


def _rest(found: _Answers, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Return what all others said of the thing that each answer is on, and whether they are of one mind."""
    starts = np.flatnonzero(np.diff(found.unit.astype(np.int64), prepend=-1))
    others = (np.add.reduceat(found.value, starts, axis=0) if len(starts) else found.value)[found.unit] - found.value
    if level != "nominal":
        people = np.bincount(found.unit)[found.unit]
        return others / (people - 1)[:, None], np.ones(len(others), dtype=bool)
    most = others == others.max(axis=1, keepdims=True, initial=0)
    return most.astype(np.float64), most.sum(axis=1) == 1


def _match(record: np.ndarray, mine: np.ndarray, theirs: np.ndarray, seed: int, replicates: int) -> Match:
    """Compare two [units, dims] series of values; `record` is the number of each unit's record, ascending."""
    distance = ((mine - theirs) ** 2).sum(axis=1)
    squares = (mine**2 + theirs**2).sum(axis=1)
    rows = np.column_stack([np.ones(len(mine)), distance <= _SAME, distance, squares, mine, theirs])
    sums = np.add.reduceat(rows, np.flatnonzero(np.diff(record.astype(np.int64), prepend=-1)), axis=0)
    (observed,), (kappa,) = _measures(sums.sum(axis=0)[None])
    shares, kappas = _measures(resampled(sums, seed, replicates))
    low, high = spread(kappas) if np.isfinite(kappa) else (None, None)
    known = float(kappa) if np.isfinite(kappa) else None
    return Match(len(sums), len(mine), float(observed), *spread(shares), known, low, high)


def _measures(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share that agree and kappa of each of [replicates, 4 + 2 dims] sums; NaN where nothing varies."""
    units, same, distance, squares = sums[:, :4].T
    mine, theirs = np.split(sums[:, 4:], 2, axis=1)
    by_chance = squares - 2 * (mine * theirs).sum(axis=1) / units
    varies = by_chance > _ROUNDING * squares
    return same / units, 1 - np.divide(distance, by_chance, out=np.full(len(sums), np.nan), where=varies)
