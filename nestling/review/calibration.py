"""Does the LLM that judged queries see what people see? Its scores beside their word on the same query and passage.

People see only queries that passed the judge's threshold and the round trip: what is said here holds above the
threshold, and is silent about the good queries that the judge threw away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betaincinv

from nestling.evaluation.bootstrap import resamples

_EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)  # of the scores' bins; the last takes its upper end
_TAIL = 0.025


@dataclass(frozen=True)
class Calibration:
    """How the judge's score goes with people's word.

    Attributes:
        pairs: queries with their passage that both judged; ties among people are left out.
        good: of these, how many people called good.
        auc: chance that a query which people called good scores above one which they did not, ties counted half (Mann
            and Whitney's U); None where all were good, or none.
        auc_low, auc_high: its 95% interval, from a bootstrap over pairs; None where it is, or no draw has both words.
        bins: by score: `from`, `to`, `pairs`, `good`, and the 95% interval (Clopper and Pearson) of the share of good.
    """

    pairs: int
    good: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    bins: list[dict[str, Any]]


def calibrate(judged: pl.DataFrame, quality: pl.DataFrame, seed: int, replicates: int) -> Calibration:
    """Compare the judge's scores with what people said.

    Args:
        judged: text, passage_id, judge_score.
        quality: query, passage_id, quality: people's word, given unprimed; null for a tie.
        seed: of the bootstrap.
        replicates: of the bootstrap.
    """
    both = quality.drop_nulls("quality").join(
        judged.select("passage_id", "judge_score", query="text"), on=["query", "passage_id"]
    )
    both = both.sort("query", "passage_id")
    score, good = both["judge_score"].to_numpy(), (both["quality"] == "good").to_numpy()
    fine = int(good.sum())
    if not 0 < fine < both.height:
        return Calibration(both.height, fine, None, None, None, list(_bins(score, good)))
    (auc,) = _aucs(np.ones((1, both.height), dtype=np.int64), score, good)
    low, high = _interval(score, good, seed, replicates)
    return Calibration(both.height, fine, round(float(auc), 4), low, high, list(_bins(score, good)))


def _aucs(counts: np.ndarray, score: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the AUC of each of [block, pairs] resamples; NaN where all pairs in it are good, or none is."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-1.0))  # of each distinct score
    drawn = counts[:, order]
    ups, downs = (np.add.reduceat(drawn * of[order], starts, axis=1) for of in (good, ~good))
    won = (ups * (downs.cumsum(axis=1) - downs / 2)).sum(axis=1)
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))


def _interval(score: np.ndarray, good: np.ndarray, seed: int, replicates: int) -> tuple[float | None, float | None]:
    aucs = np.concatenate([_aucs(counts, score, good) for counts in resamples(len(good), seed, replicates)])
    found = aucs[np.isfinite(aucs)]
    if not len(found):
        return None, None
    low, high = np.quantile(found, [_TAIL, 1 - _TAIL])
    return round(float(low), 4), round(float(high), 4)


def _bins(score: np.ndarray, good: np.ndarray) -> Iterator[dict[str, Any]]:
    for low, high in pairwise(_EDGES):
        inside = (score >= low) & ((score < high) | (high == _EDGES[-1]))
        if not inside.any():
            continue
        pairs, fine = int(inside.sum()), int(good[inside].sum())
        ends = _exact(fine, pairs)
        yield {"from": low, "to": high, "pairs": pairs, "good": fine, "low": ends[0], "high": ends[1]}


def _exact(fine: int, pairs: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share."""
    low = float(betaincinv(fine, pairs - fine + 1, _TAIL)) if fine else 0.0
    high = float(betaincinv(fine + 1, pairs - fine, 1 - _TAIL)) if fine < pairs else 1.0
    return round(low, 4), round(high, 4)
