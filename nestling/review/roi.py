"""What judgements bought: the scores of encoders trained with them, less those of encoders trained without.

Works on tables of scores and knows no file. The interval holds two kinds of chance: which queries were asked (paired
bootstrap) and how a training happened to go (Student's t over trainings that differ in their seed). The two are put
together by the method of variance estimates recovery: Zou and Donner, "Construction of confidence limits about effect
measures" (Statistics in Medicine, 2008). Of a single training only the first kind is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from nestling.evaluation.standing import standing

METRICS = {"retrieval": "ndcg@10", "sts": "spearman"}
_SHORT = 256  # the dimension that is shown beside the largest, or the nearest to it
_WIDTHS = (28, 9, 9, 12, 20, 30)


@dataclass(frozen=True)
class Weighing:
    """How scores are weighed.

    Attributes:
        judgements: how many there were.
        seed: of the resamples.
        replicates: how many resamples.
    """

    judgements: int
    seed: int
    replicates: int


@dataclass(frozen=True)
class Gain:
    """What the judgements gained.

    Attributes:
        without, judged: the metric's mean over trainings without and with them.
        queries: lower and upper end of the 95% interval over queries or pairs alone.
        p: of that interval, two-sided.
        trainings: the difference that each training made.
    """

    without: float
    judged: float
    queries: tuple[float, float]
    p: float
    trainings: np.ndarray

    @property
    def interval(self) -> tuple[float, float, float]:
        """The mean difference, and the ends of its 95% interval over queries and trainings."""
        mean = float(self.trainings.mean())
        spread, (low, high) = _spread(self.trainings), self.queries
        return mean, mean - float(np.hypot(mean - low, spread)), mean + float(np.hypot(high - mean, spread))


def _spread(trainings: np.ndarray) -> float:
    """Return half the width of the 95% interval of the mean over trainings; 0 for one, of which nothing is known."""
    from scipy.special import stdtrit  # late, as below: every command loads this module, and scipy loads slowly

    number = len(trainings)
    if number == 1:
        return 0.0
    return float(stdtrit(number - 1, 0.975) * trainings.std(ddof=1) / np.sqrt(number))


def counted(answers: pl.DataFrame) -> int:
    """Return how many judgements there are: answers of one person to one question of one record, comments apart."""
    judged = answers.filter(pl.col("question") != "comment")
    return judged.select("record_id", "question", "annotator").n_unique()


def compare_queries(without: Sequence[pl.DataFrame], judged: Sequence[pl.DataFrame], how: Weighing) -> dict[str, Any]:
    """Return suite -> dim -> metric -> figures, of the tuned encoders.

    Args:
        without: QueryScore rows of each training without judgements.
        judged: of each training with them, by the same seeds.
        how: they are weighed.
    """
    from nestling.evaluation.bootstrap import paired_difference

    ours = pl.col("metric") == METRICS["retrieval"]
    before, after = ([scores.filter(ours) for scores in each] for each in (without, judged))
    found: dict[str, Any] = {}
    for suite, dim, both in _side_by_side(before, after, "query_id", "value"):
        old, new = (both[name].to_numpy().reshape(len(without), -1) for name in ("without", "with"))
        gap = paired_difference(new.mean(axis=0), old.mean(axis=0), how.seed, how.replicates)
        gain = Gain(float(old.mean()), float(new.mean()), (gap.low, gap.high), gap.p, (new - old).mean(axis=1))
        found.setdefault(suite, {})[str(dim)] = {METRICS["retrieval"]: _figures(gain, how, "queries", gap.queries)}
    return found


def compare_pairs(without: Sequence[pl.DataFrame], judged: Sequence[pl.DataFrame], how: Weighing) -> dict[str, Any]:
    """Return the same of PairScore rows; the interval over pairs is the trainings' mean one, p their largest."""
    from nestling.evaluation.bootstrap import paired_correlation_difference

    found: dict[str, Any] = {}
    for suite, dim, both in _side_by_side(without, judged, "pair_id", "cosine"):
        old, new, gold = (both[name].to_numpy().reshape(len(without), -1) for name in ("without", "with", "score"))
        gaps = [
            paired_correlation_difference(after, before, truth, how.seed, how.replicates)
            for after, before, truth in zip(new, old, gold, strict=True)
        ]
        means = [float(np.mean([getattr(gap, name) for gap in gaps])) for name in ("base", "tuned", "low", "high")]
        each = np.array([gap.difference for gap in gaps])
        gain = Gain(means[0], means[1], (means[2], means[3]), max(gap.p for gap in gaps), each)
        found.setdefault(suite, {})[str(dim)] = {METRICS["sts"]: _figures(gain, how, "pairs", gaps[0].pairs)}
    return found


def _side_by_side(
    without: Sequence[pl.DataFrame], judged: Sequence[pl.DataFrame], key: str, column: str
) -> Iterator[tuple[str, int, pl.DataFrame]]:
    """Yield suite, dim and what the encoders got, training by training; people's queries and large dims first."""
    place = ["suite", "dim", "training", key]
    before, after = (
        pl.concat(scores.with_columns(training=pl.lit(number)) for number, scores in enumerate(each))
        for each in (without, judged)
    )
    tuned = pl.col("system") == "tuned"
    other = before.filter(tuned).select(*place, without=column)
    both = after.filter(tuned).rename({column: "with"}).join(other, on=place, validate="1:1")
    ordered = both.sort(place, descending=[False, True, False, False])
    groups = sorted(ordered.group_by("suite", "dim", maintain_order=True), key=lambda item: standing(str(item[0][0])))
    for (suite, dim), group in groups:
        yield str(suite), int(str(dim)), group


def _figures(gain: Gain, how: Weighing, unit: str, number: int) -> dict[str, Any]:
    names = ("mean", "low", "high")
    hundred = [end * 100 / how.judgements for end in gain.interval]
    return {
        "without": _round(gain.without),
        "with": _round(gain.judged),
        "difference": {name: _round(end) for name, end in zip(names, gain.interval, strict=True)},
        "per_100_judgements": {name: _round(end) for name, end in zip(names, hundred, strict=True)},
        f"over_{unit}": {"low": _round(gain.queries[0]), "high": _round(gain.queries[1]), "p": _round(gain.p)},
        "over_trainings": [_round(each) for each in gain.trainings],
        unit: number,
    }


def _round(number: float) -> float:
    return round(float(number), 6) + 0.0  # no minus before a zero


def shown(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and figures of each suite's metric at the largest dimension, and at 256 or the nearest to it."""
    for kind, metric in METRICS.items():
        for suite, dims in report[kind].items():
            sizes = [int(dim) for dim in dims]
            for dim in sorted({max(sizes), min(sizes, key=lambda size: abs(size - _SHORT))}, reverse=True):
                yield f"{suite}, {metric}, {dim}", dims[str(dim)][metric]


def in_words(name: str, figures: dict[str, Any]) -> str:
    """Return whether the interval excludes zero, as a sentence."""
    gap = figures["difference"]
    interval = f"{name}: {gap['mean']:+.3f}, 95% interval {gap['low']:+.3f} .. {gap['high']:+.3f}"
    if gap["low"] <= 0 <= gap["high"]:
        return f"{interval}, which holds zero: neither gain nor loss is shown."
    if len(figures["over_trainings"]) == 1:
        return f"{interval}, which excludes zero for other queries, but one training may be luck: train more often."
    return f"{interval}, which excludes zero: {'better' if gap['low'] > 0 else 'worse'} with the judgements."


def told_of_sizes(kind: str, sets: dict[str, dict[str, int]]) -> str:
    """Return how the two training sets of a kind differed, as a sentence."""
    without, judged = sets["without"], sets["with"]
    size, alone = without["rows"] - without["cut"], (without["in_this_alone"], judged["in_this_alone"])
    rows = f"distinct rows that only the set without judgements had: {alone[0]}, only the set with them: {alone[1]}"
    return f"{kind}: {rows}; both were cut to {size} rows, by {without['cut']} and {judged['cut']}."


def table(report: dict[str, Any]) -> list[str]:
    """Return the lines that are printed: suites down, figures across."""
    head = ("", "without", "with", "difference", "95% interval", "per 100 judgements")
    return [_line(head), *(_line(_row(name, figures)) for name, figures in shown(report))]


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    gap, hundred = figures["difference"], figures["per_100_judgements"]
    return (
        name,
        f"{figures['without']:.3f}",
        f"{figures['with']:.3f}",
        f"{gap['mean']:+.3f}",
        f"{gap['low']:+.3f} .. {gap['high']:+.3f}",
        f"{hundred['mean']:+.3f} ({hundred['low']:+.3f} .. {hundred['high']:+.3f})",
    )


def _line(cells: Sequence[str]) -> str:
    first, *others = zip(cells, _WIDTHS, strict=True)
    return first[0].ljust(first[1]) + "".join(cell.rjust(width) for cell, width in others)
