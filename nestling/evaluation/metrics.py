"""Metrics, and nothing else: scores of what was found and qrels in, one number a query out; no model, suite or file.

They are those of trec_eval, under the names of sentence-transformers: nDCG takes the grade itself as gain (linear;
Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002), for every other metric a grade
of 1 or more is relevant, and what nobody judged is not.

What scores equal has no order. Each metric is its expected value over all orders of such ties, each as likely as
another (McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
Scores", ECIR 2008): no name of a document is favoured, renaming documents changes nothing, and no draw adds noise.
trec_eval puts the greater name first instead; where no answer is tied with another grade, the two are the same number.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from math import isfinite, log2
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.stats import pearsonr, spearmanr

METRICS = ("ndcg@10", "mrr@10", "map@100", "accuracy@1", "accuracy@10", "recall@100", "judged@10")
TIED = "tied@10"  # 1 for a query whose nDCG@10 hangs on how ties are ordered; scored beside METRICS
DEPTH = 100  # how deep a ranking is looked at
TOP = 10
NOISE = 1e-6  # scores that are nearer are equal: float32 rounds a cosine to 1e-7, a long sum to a few times that

_SCHEMA = {"query_id": pl.String, "metric": pl.String, "value": pl.Float64}
_DISCOUNTS = [1 / log2(place + 1) for place in range(1, TOP + 1)]


class Tie(NamedTuple):
    """Documents of equal score, one at least; `grades` of the judged among them, `above` score higher."""

    above: int
    size: int
    grades: tuple[int, ...]

    @property
    def gains(self) -> list[int]:
        return [grade for grade in self.grades if grade > 0]

    def within(self, depth: int) -> int:
        """Return how many of the first `depth` places are the tie's."""
        return min(max(0, depth - self.above), self.size)


def score_queries(run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]]) -> pl.DataFrame:
    """Score each query that has a relevant document; one that found nothing scores 0.

    Args:
        run: for each query the score of each document that was found, higher is better, equal is tied. Whole to the
            hundredth place and to the end of the tie that holds it; what lies deeper is not looked at.
        qrels: for each query the grade of each judged document; 0 or less is judged and not relevant.

    Returns:
        query_id, metric (one of METRICS, or TIED), value in [0, 1]; sorted by query_id, then in the order of METRICS.

    Raises:
        ValueError: a score is not finite.
    """
    names = (*METRICS, TIED)
    rows = [
        (query_id, metric, value)
        for query_id, grades in sorted(qrels.items())
        if any(grade > 0 for grade in grades.values())
        for metric, value in zip(names, _score(query_id, run.get(query_id, {}), grades), strict=True)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def levelled(scores: np.ndarray) -> np.ndarray:
    """Return falling scores [n] with each that is no further than rounding below the one before made equal to it.

    Equal texts may come out of a matrix product with unequal last bits, and so may sums of the same terms.
    """
    if not len(scores):
        return scores
    falls = scores[:-1] - scores[1:] > NOISE * np.maximum(1, np.abs(scores[:-1]))
    starts = np.flatnonzero(np.r_[True, falls])
    return np.asarray(np.repeat(scores[starts], np.diff(np.r_[starts, len(scores)])))


def says_nothing(metric: str, documents: int) -> bool:
    """Return whether a metric asks if an answer is among the first k of so few documents that all of them are."""
    name, _, depth = metric.partition("@")
    return name in ("accuracy", "recall") and documents <= int(depth)


def spearman(cosines: np.ndarray, gold: np.ndarray) -> float:
    """Return Spearman's rank correlation, ties at their middle rank, of [pairs] cosines and [pairs] grades.

    Raises:
        ValueError: fewer than two pairs, unequal numbers of them, some not finite, or all equal on one side.
    """
    return float(spearmanr(*_comparable(cosines, gold)).statistic)


def pearson(cosines: np.ndarray, gold: np.ndarray) -> float:
    """Return Pearson's linear correlation of [pairs] cosines and [pairs] grades.

    Raises:
        ValueError: fewer than two pairs, unequal numbers of them, some not finite, or all equal on one side.
    """
    return float(pearsonr(*_comparable(cosines, gold)).statistic)


def _score(query_id: str, found: Mapping[str, float], grades: Mapping[str, int]) -> tuple[float, ...]:
    """Return the METRICS of one query, in their order, and TIED."""
    if not all(map(isfinite, found.values())):
        raise ValueError(f"the scores of query {query_id!r} are not all finite: leave out what was not found")
    ties = _ties(found, grades)
    answered = [tie for tie in ties if tie.gains]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    best = sum(gain * discount for gain, discount in zip(ideal, _DISCOUNTS, strict=False))
    judged = sum(len(tie.grades) * tie.within(TOP) / tie.size for tie in ties)
    values = (
        _dcg(answered) / best,
        _reciprocal_rank(answered),
        _precisions(answered) / len(ideal),
        _success(answered, 1),
        _success(answered, TOP),
        sum(len(tie.gains) * tie.within(DEPTH) / tie.size for tie in answered) / len(ideal),
        judged / min(TOP, max(1, len(found))),
        float(any(tie.within(TOP) and (len(tie.gains) < tie.size or len(set(tie.gains)) > 1) for tie in answered)),
    )
    return tuple(min(1.0, value) for value in values)


def _ties(found: Mapping[str, float], grades: Mapping[str, int]) -> list[Tie]:
    """Return the ties that hold a judged document, best first; a document alone with its score is a tie of one."""
    rising = sorted(found.values())
    judged: dict[float, list[int]] = {}
    for document in grades.keys() & found.keys():
        judged.setdefault(found[document], []).append(grades[document])
    return [
        Tie(len(rising) - (end := bisect_right(rising, score)), end - bisect_left(rising, score), tuple(sorted(held)))
        for score, held in sorted(judged.items(), reverse=True)
    ]


def _dcg(ties: Sequence[Tie]) -> float:
    """Return the expected discounted gain of the first ten: each document of a tie has its mean discount."""
    return sum(sum(tie.gains) / tie.size * sum(_DISCOUNTS[tie.above : tie.above + tie.size]) for tie in ties)


def _first(tie: Tie, depth: int) -> list[float]:
    """Return the chance that a tie's first relevant document stands at each of its places among the first `depth`."""
    relevant, chances, none_yet = len(tie.gains), [], 1.0
    for before in range(min(tie.within(depth), tie.size - relevant + 1)):
        left = tie.size - before
        chances.append(none_yet * relevant / left)
        none_yet *= (left - relevant) / left
    return chances


def _success(ties: Sequence[Tie], depth: int) -> float:
    if not ties:
        return 0.0
    return 1.0 if ties[0].above + ties[0].size <= depth else sum(_first(ties[0], depth))


def _reciprocal_rank(ties: Sequence[Tie]) -> float:
    if not ties:
        return 0.0
    return sum(chance / place for place, chance in enumerate(_first(ties[0], TOP), start=ties[0].above + 1))


def _precisions(ties: Sequence[Tie]) -> float:
    """Return the expected sum of the precisions at the relevant documents among the first DEPTH."""
    total, better = 0.0, 0
    for tie in ties:
        relevant = len(tie.gains)
        among = (relevant - 1) / (tie.size - 1) if tie.size > 1 else 0.0  # of the others of the tie
        for before in range(tie.within(DEPTH)):
            total += relevant / tie.size * (better + 1 + before * among) / (tie.above + before + 1)
        better += relevant
    return total


def _comparable(cosines: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.asarray(cosines, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 1 or len(left) < 2:
        raise ValueError(
            f"a correlation needs as many cosines as gold scores, two at least: got {left.shape} and {right.shape}"
        )
    for name, column in (("cosines", left), ("gold scores", right)):
        if not np.isfinite(column).all():
            raise ValueError(f"the {name} hold numbers that are not finite")
        if np.ptp(column) == 0:
            raise ValueError(f"all {len(column)} {name} are {column[0]:g}: a constant correlates with nothing")
    return left, right
