"""From scores to the figures that are reported: means, differences with intervals, and what to mind of them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from nestling.errors import UserError
from nestling.evaluation.bootstrap import (
    holm,
    mean_interval,
    paired_correlation_difference,
    paired_difference,
)
from nestling.evaluation.metrics import METRICS, TIED, pearson, says_nothing, spearman
from nestling.evaluation.standing import BLIND, by_people, standing

OTHERS = ("minus_base", "minus_bm25")
FAMILY = "all suites and dimensions at which tuned is compared with {}, retrieval and sentence pairs together"


class Draws(NamedTuple):
    """How the bootstrap draws: its seed, and how many resamples."""

    seed: int
    replicates: int


def tree(queries: pl.DataFrame, pairs: pl.DataFrame, documents: dict[str, int]) -> dict[str, Any]:
    """Return the numbers of reports/metrics.json.

    Args:
        queries: QueryScore rows.
        pairs: PairScore rows.
        documents: how many each retrieval suite searches; what says nothing in so few is left out.
    """
    means = queries.group_by("suite", "system", "dim", "metric").agg(pl.col("value").mean())
    cells = {(suite, system, dim, metric): value for suite, system, dim, metric, value in means.iter_rows()}
    found: dict[str, Any] = {"retrieval": {}, "sts": {}}
    for suite, system, dim in sorted({key[:3] for key in cells}, key=lambda key: (standing(key[0]), key[1], -key[2])):
        place = found["retrieval"].setdefault(suite, {}).setdefault(system, {})
        place = place if system == "bm25" else place.setdefault(str(dim), {})
        said = (metric for metric in METRICS if not says_nothing(metric, documents[suite]))
        place.update({metric: round(cells[suite, system, dim, metric], 6) for metric in said})
    for (suite, system, dim), group in _grouped(pairs):
        cosine, gold = group["cosine"].to_numpy(), group["score"].to_numpy()
        if not np.ptp(cosine):
            raise UserError(
                f"{system} finds the pairs of the STS suite {suite} all equally similar: does it know their words?"
            )
        place = found["sts"].setdefault(suite, {}).setdefault(system, {})
        place[str(dim)] = {"spearman": round(spearman(cosine, gold), 6), "pearson": round(pearson(cosine, gold), 6)}
    return found


def _grouped(pairs: pl.DataFrame) -> Iterator[tuple[tuple[str, str, int], pl.DataFrame]]:
    groups = pairs.sort("suite", "system", "dim", "pair_id", descending=[False, False, True, False])
    for key, group in groups.group_by("suite", "system", "dim", maintain_order=True):
        yield (str(key[0]), str(key[1]), int(str(key[2]))), group


def significance(
    queries: pl.DataFrame, pairs: pl.DataFrame, documents: dict[str, int], draws: Draws
) -> dict[str, Any]:
    """Return the numbers of reports/significance.json: tuned less base, and less BM25, by paired bootstrap.

    Args:
        queries: QueryScore rows.
        pairs: PairScore rows.
        documents: how many each retrieval suite searches.
        draws: of the bootstrap.
    """
    found: dict[str, Any] = {
        "what": "tuned minus base, and minus bm25; paired bootstrap over queries or pairs; 95% percentile interval; "
        "p of each difference alone, and p_holm corrected over its family",
        "replicates": draws.replicates,
        "suites": {name: facts(name, queries.filter(suite=name), documents[name]) for name in _suites(queries)},
        "retrieval": {},
        "sts": {},
    }
    wide = queries.filter(metric="ndcg@10")
    for suite in _suites(wide):
        here = wide.filter(suite=suite)
        dims = here.filter(system="tuned")["dim"].unique().sort(descending=True)
        found["retrieval"][suite] = {str(dim): {"ndcg@10": _compare(here, dim, draws)} for dim in dims}
    for suite in pairs["suite"].unique().sort():
        here = pairs.filter(suite=suite)
        dims = here["dim"].unique().sort(descending=True)
        found["sts"][suite] = {str(dim): {"spearman": _compare_pairs(here, dim, draws)} for dim in dims}
    return {**found, "holm": _corrected(found)}


def _suites(scores: pl.DataFrame) -> list[str]:
    return sorted(scores["suite"].unique(), key=standing)


def _corrected(found: dict[str, Any]) -> dict[str, Any]:
    """Set p_holm beside every p, and return which differences were corrected together."""
    said: dict[str, Any] = {}
    for other in OTHERS:
        gaps = [
            cell[other]
            for kind in ("retrieval", "sts")
            for dims in found[kind].values()
            for metrics in dims.values()
            for cell in metrics.values()
            if other in cell
        ]
        for gap, corrected in zip(gaps, holm([gap["p"] for gap in gaps]), strict=True):
            gap["p_holm"] = round(corrected, 6)
        said[other] = {"family": FAMILY.format(other.partition("_")[2]), "differences": len(gaps)}
    return said


def facts(suite: str, scores: pl.DataFrame, documents: int) -> dict[str, Any]:
    """Return what a reader of a suite's figures must know: who asks, how much is searched, and notes in words."""
    void = [metric for metric in METRICS if says_nothing(metric, documents)]
    tied = scores.filter(pl.col("metric") == TIED, pl.col("value") > 0).group_by("system", "dim").len().sort("dim")
    by_system = {f"{system} {dim}" if dim else str(system): int(number) for system, dim, number in tied.iter_rows()}
    return {
        "queries": scores["query_id"].n_unique(),
        "documents": documents,
        "written_by": "people" if by_people(suite) else "a program",
        "left_out": void,
        "queries_with_ties": by_system,
        "notes": list(_notes(suite, documents, void, by_system)),
    }


def _notes(suite: str, documents: int, void: Sequence[str], tied: dict[str, int]) -> Iterator[str]:
    if not by_people(suite):
        yield BLIND
    if void:
        yield (
            f"{' and '.join(void)} {'is' if len(void) == 1 else 'are'} left out: {documents} documents are searched, "
            "so whatever finds them all has 1."
        )
    if tied:
        told = ", ".join(f"{system} {number}" for system, number in tied.items())
        yield (
            f"Queries whose answer ties with other documents for one of the first ten places: {told}. They have the "
            "expected value over all orders; trec_eval, which orders ties by name, differs on these."
        )


def _values(scores: pl.DataFrame, system: str, dim: int, column: str, key: str) -> np.ndarray:
    return scores.filter((pl.col("system") == system) & (pl.col("dim") == dim)).sort(key)[column].to_numpy()


def _compare(scores: pl.DataFrame, dim: int, draws: Draws) -> dict[str, Any]:
    tuned = _values(scores, "tuned", dim, "value", "query_id")
    whole = mean_interval(tuned, draws.seed, draws.replicates)
    report: dict[str, Any] = {
        "tuned": [round(number, 6) for number in (whole.mean, whole.low, whole.high)],
        "queries": whole.queries,
    }
    for other, its_dim in (("base", dim), ("bm25", 0)):
        gap = paired_difference(
            tuned, _values(scores, other, its_dim, "value", "query_id"), draws.seed, draws.replicates
        )
        report[f"minus_{other}"] = {name: round(getattr(gap, name), 6) for name in ("mean", "low", "high", "p")}
    return report


def _compare_pairs(scores: pl.DataFrame, dim: int, draws: Draws) -> dict[str, Any]:
    tuned, base = (_values(scores, system, dim, "cosine", "pair_id") for system in ("tuned", "base"))
    gold = _values(scores, "tuned", dim, "score", "pair_id")
    gap = paired_correlation_difference(tuned, base, gold, draws.seed, draws.replicates)
    difference = {"mean": gap.difference, "low": gap.low, "high": gap.high, "p": gap.p}
    return {
        "tuned": [round(number, 6) for number in (gap.tuned, *gap.tuned_interval)],
        "pairs": gap.pairs,
        "minus_base": {name: round(value, 6) for name, value in difference.items()},
    }
