"""Metrics, and nothing else: a ranking and its qrels in, one number a query out; no model, no suite, no file.

For binary relevance the numbers equal those of sentence-transformers' InformationRetrievalEvaluator. For graded
relevance nDCG takes the grade itself as gain (linear, as trec_eval does; Järvelin and Kekäläinen, "Cumulated
gain-based evaluation of IR techniques", TOIS 2002), and for every other metric a grade of 1 or more is relevant.
"""

from collections.abc import Mapping, Sequence
from math import log2

import numpy as np
import polars as pl
from scipy.stats import pearsonr, spearmanr

METRICS = ("ndcg@10", "mrr@10", "map@100", "accuracy@1", "accuracy@10", "recall@100")
DEPTH = 100  # how deep a ranking is looked at

_SCHEMA = {"query_id": pl.String, "metric": pl.String, "value": pl.Float64}


def score_queries(ranking: Mapping[str, Sequence[str]], qrels: Mapping[str, Mapping[str, int]]) -> pl.DataFrame:
    """Score each query that has a relevant passage; one that found nothing scores 0.

    Args:
        ranking: for each query its passage ids, best first; those after the hundredth are not looked at.
        qrels: for each query the grade of each judged passage; 0 or less, or none, is not relevant.

    Returns:
        query_id, metric (one of METRICS), value in [0, 1]; sorted by query_id, then in the order of METRICS.

    Raises:
        ValueError: a ranking names a passage twice.
    """
    rows = [
        (query_id, metric, value)
        for query_id, grades in sorted(qrels.items())
        if any(grade > 0 for grade in grades.values())
        for metric, value in zip(METRICS, _score(_gains(query_id, ranking.get(query_id, ()), grades)), strict=True)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


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


def _gains(query_id: str, found: Sequence[str], grades: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Return the gains down the ranking, and those of the best ranking there could be."""
    seen = found[:DEPTH]
    if len(set(seen)) < len(seen):
        raise ValueError(f"the ranking of query {query_id!r} names a passage twice: rank each passage once")
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    return [max(0, grades.get(passage_id, 0)) for passage_id in seen], ideal


def _score(gains: tuple[list[int], list[int]]) -> tuple[float, ...]:
    """Return the METRICS of one query, in their order."""
    found, ideal = gains
    places = [place for place, gain in enumerate(found, start=1) if gain]  # of the relevant ones, from 1
    first = places[0] if places else DEPTH + 1
    precisions = (number / place for number, place in enumerate(places, start=1))
    return (
        _dcg(found[:10]) / _dcg(ideal[:10]),
        1 / first if first <= 10 else 0.0,
        sum(precisions) / min(DEPTH, len(ideal)),
        float(first <= 1),
        float(first <= 10),
        len(places) / len(ideal),
    )


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / log2(place + 1) for place, gain in enumerate(gains, start=1))


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
