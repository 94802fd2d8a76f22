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
from scipy.stats import binomtest  # type: ignore[attr-defined]

from nestling.evaluation.auc import auc

_EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)  # of the scores' bins; the last takes its upper end


@dataclass(frozen=True)
class Calibration:
    """How the judge's score goes with people's word.

    Attributes:
        pairs: queries with their passage that both judged; ties among people are left out.
        good: of these, how many people called good.
        auc: chance that a query which people called good scores above one which they did not, ties counted half; None
            where all were good, or none.
        auc_low, auc_high: its 95% interval, from a bootstrap; None where fewer than two were good, or were not.
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
    area = auc(score[good], score[~good], seed, replicates)
    return Calibration(both.height, fine, *area, list(_bins(score, good)))


def _bins(score: np.ndarray, good: np.ndarray) -> Iterator[dict[str, Any]]:
    for low, high in pairwise(_EDGES):
        inside = (score >= low) & ((score < high) | (high == _EDGES[-1]))
        if not inside.any():
            continue
        pairs, fine = int(inside.sum()), int(good[inside].sum())
        ends = binomtest(fine, pairs).proportion_ci(method="exact")
        yield {
            "from": low,
            "to": high,
            "pairs": pairs,
            "good": fine,
            "low": round(float(ends.low), 4),
            "high": round(float(ends.high), 4),
        }
