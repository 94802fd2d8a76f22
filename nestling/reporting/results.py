"""What reports/metrics.json and reports/significance.json say, by suite and dimension, and in plain sentences.

Knows numbers and nothing of models or texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nestling.reporting.markdown import escape, table

NDCG, SPEARMAN = "ndcg@10", "spearman"
LABELS = {NDCG: "nDCG@10", SPEARMAN: "Spearman"}
ENOUGH = 50  # queries or pairs, below which dimensions are not ranked


@dataclass(frozen=True)
class Gap:
    """Tuned less another system, with its 95% interval; above 0 where tuned is better."""

    mean: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Cell:
    """The systems at one dimension; `low` and `high` are of tuned, None where they were not measured."""

    dim: int
    base: float
    tuned: float
    low: float | None
    high: float | None
    bm25: float | None
    gaps: Mapping[str, Gap]  # base, bm25


@dataclass(frozen=True)
class SuiteResult:
    """One suite under its metric; `size` in queries or in sentence pairs; cells from the largest dimension down."""

    suite: str
    metric: str
    size: int
    cells: tuple[Cell, ...]

    @property
    def unit(self) -> str:
        return "queries" if self.metric == NDCG else "pairs"


def read_results(metrics: Mapping[str, Any], significance: Mapping[str, Any]) -> list[SuiteResult]:
    """Return all suites, retrieval first, in order of name."""
    found = []
    for kind, metric, unit in (("retrieval", NDCG, "queries"), ("sts", SPEARMAN, "pairs")):
        for suite, systems in sorted(metrics[kind].items()):
            compared = {int(dim): tree[metric] for dim, tree in significance[kind][suite].items()}
            cells = tuple(_cell(dim, systems, compared[dim], metric) for dim in sorted(compared, reverse=True))
            found.append(SuiteResult(suite, metric, max(tree[unit] for tree in compared.values()), cells))
    return found


def _cell(dim: int, systems: Mapping[str, Any], compared: Mapping[str, Any], metric: str) -> Cell:
    tuned = compared["tuned"]  # a number, or with its interval a list of three
    low, high = tuned[1:] if isinstance(tuned, list) else (None, None)
    gaps = {
        other: Gap(*(float(compared[key][name]) for name in ("mean", "low", "high")))
        for other in ("base", "bm25")
        if (key := f"minus_{other}") in compared
    }
    base, value = (float(systems[system][str(dim)][metric]) for system in ("base", "tuned"))
    bm25 = systems["bm25"][metric] if "bm25" in systems else None
    return Cell(dim, base, value, low, high, bm25, gaps)


def results_section(results: list[SuiteResult]) -> str:
    """Return the results as Markdown: a table a suite, and what its intervals allow to say."""
    return "\n\n".join(_suite(suite) for suite in results)


def _suite(suite: SuiteResult) -> str:
    others = [name for name in ("base", "bm25") if any(name in cell.gaps for cell in suite.cells)]
    bm25 = ["BM25"] if "bm25" in others else []
    header = ["dimensions", *bm25, "base", "tuned", *(f"tuned - {_called(name)}" for name in others)]
    rows = [_row(cell, others) for cell in suite.cells]
    said = [f"- {sentence}" for sentence in (*sentences(suite), ranking(suite))]
    title = f"### {escape(suite.suite)}: {LABELS[suite.metric]}, {suite.size} {suite.unit}"
    return f"{title}\n\n{table(header, rows)}\n\n" + "\n".join(said)


def _row(cell: Cell, others: list[str]) -> list[str]:
    tuned = f"**{cell.tuned:.4f}**" + ("" if cell.low is None else f" [{cell.low:.4f}, {cell.high:.4f}]")
    gaps = [_gap(cell.gaps[name]) if name in cell.gaps else "" for name in others]
    bm25 = [f"{cell.bm25:.4f}"] if "bm25" in others else []
    return [str(cell.dim), *bm25, f"{cell.base:.4f}", tuned, *gaps]


def _gap(gap: Gap) -> str:
    return f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


def _called(system: str) -> str:
    return {"bm25": "BM25"}.get(system, system)


def sentences(suite: SuiteResult) -> Iterator[str]:
    """Yield a sentence for every difference that may be zero, and for every one by which tuned is worse."""
    for cell in suite.cells:
        for name, gap in cell.gaps.items():
            told = f"tuned - {_called(name)} = {gap.mean:+.4f}, 95% interval {gap.low:+.4f} to {gap.high:+.4f}"
            if gap.holds_zero:
                yield f"At {cell.dim} dimensions the difference is not distinguishable from zero ({told})."
            elif gap.mean < 0:
                yield f"At {cell.dim} dimensions **tuned is worse than {_called(name)}** ({told})."


def ranking(suite: SuiteResult) -> str:
    """Return the order of the dimensions, or why there is none."""
    if suite.size < ENOUGH:
        return (
            f"{suite.size} {suite.unit} are too few (below {ENOUGH}) to say which dimension is better: dimensions are "
            "not ranked here, and an interval from so few is itself too narrow."
        )
    ordered = sorted(suite.cells, key=lambda cell: (-cell.tuned, -cell.dim))
    if len(ordered) == 1:
        return f"Only {ordered[0].dim} dimensions were measured."
    names = ", ".join(str(cell.dim) for cell in ordered)
    return f"Tuned, best dimension first: {names}. {_doubt(ordered[0], ordered[-1])}"


def _doubt(first: Cell, last: Cell) -> str:
    if first.low is None or last.high is None:
        return "This is an order of point estimates, without intervals."
    if first.low <= last.high:
        return "The intervals of the first and the last overlap: this is an order of point estimates, not a finding."
    return "The intervals of the first and the last do not overlap; those between may."
