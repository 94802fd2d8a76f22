"""What reports/metrics.json and reports/significance.json say, by suite and dimension, and in plain sentences.

Knows numbers and nothing of models or texts. Suites whose queries people wrote come first. What is said
of an encoder is said by them, never by queries that a program made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nestling.evaluation.standing import by_people, called, standing
from nestling.reporting.markdown import escape, table

NDCG, SPEARMAN, JUDGED = "ndcg@10", "spearman", "judged@10"
LABELS = {NDCG: "nDCG@10", SPEARMAN: "Spearman"}
ENOUGH = 50  # queries or pairs, below which dimensions are not ranked
LEVEL = 0.05  # of Holm's p, below which a difference is called one
NOBODY = (
    "No suite here asks what people wrote: whether people's queries are answered better is not known, and the figures "
    "of queries that a program made do not tell. Bring queries of people with their answers (`eval/` in the set)."
)


@dataclass(frozen=True)
class Gap:
    """Tuned less another system, with its 95% interval; above 0 where tuned is better.

    `p` is of this difference alone, `p_holm` corrected over all suites and dimensions (Holm).
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high

    @property
    def stands(self) -> bool:
        """Whether the difference holds, although many were looked at."""
        return not self.holds_zero and self.p_holm < LEVEL


@dataclass(frozen=True)
class Cell:
    """The systems at one dimension; `low` and `high` are of tuned, and so is `judged`, its Judged@10."""

    dim: int
    base: float
    tuned: float
    low: float
    high: float
    bm25: float | None
    judged: float | None
    gaps: Mapping[str, Gap]  # base, bm25


@dataclass(frozen=True)
class SuiteResult:
    """One suite under its metric; `size` in queries or in sentence pairs; cells from the largest dimension down."""

    suite: str
    metric: str
    size: int
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]

    @property
    def unit(self) -> str:
        return "queries" if self.metric == NDCG else "pairs"

    @property
    def asks_people(self) -> bool:
        """Whether people wrote its queries."""
        return self.metric == NDCG and by_people(self.suite)


def read_results(metrics: Mapping[str, Any], significance: Mapping[str, Any]) -> list[SuiteResult]:
    """Return all suites, retrieval first; those that people wrote before those that a program made."""
    found = []
    for kind, metric, unit in (("retrieval", NDCG, "queries"), ("sts", SPEARMAN, "pairs")):
        for suite, systems in sorted(metrics[kind].items(), key=lambda item: standing(item[0])):
            compared = {int(dim): tree[metric] for dim, tree in significance[kind][suite].items()}
            cells = tuple(_cell(dim, systems, compared[dim], metric) for dim in sorted(compared, reverse=True))
            notes = significance["suites"][suite]["notes"] if kind == "retrieval" else ()
            found.append(
                SuiteResult(suite, metric, max(tree[unit] for tree in compared.values()), cells, tuple(notes))
            )
    return found


def _cell(dim: int, systems: Mapping[str, Any], compared: Mapping[str, Any], metric: str) -> Cell:
    gaps = {
        other: Gap(*(float(compared[key][name]) for name in ("mean", "low", "high", "p", "p_holm")))
        for other in ("base", "bm25")
        if (key := f"minus_{other}") in compared
    }
    base, tuned = (systems[system][str(dim)] for system in ("base", "tuned"))
    bm25 = systems["bm25"][metric] if "bm25" in systems else None
    _, low, high = compared["tuned"]
    return Cell(dim, base[metric], tuned[metric], low, high, bm25, tuned.get(JUDGED), gaps)


def headline(results: Sequence[SuiteResult]) -> Iterator[str]:
    """Yield what may be said of the encoder before any table: by suites of people's queries, if there is one."""
    retrieval = [suite for suite in results if suite.metric == NDCG]
    asking = [suite for suite in retrieval if suite.asks_people]
    if retrieval and not asking:
        yield NOBODY
    for suite in asking:
        for other in ("base", "bm25"):
            yield _claim(suite, other)


def _claim(suite: SuiteResult, other: str) -> str:
    gaps = {cell.dim: cell.gaps[other] for cell in suite.cells}
    better = [dim for dim, gap in gaps.items() if gap.stands and gap.mean > 0]
    worse = [dim for dim, gap in gaps.items() if gap.stands and gap.mean < 0]
    open_ = [dim for dim in gaps if dim not in better and dim not in worse]
    parts = [
        f"{word} at {', '.join(map(str, dims))}"
        for word, dims in (("better", better), ("worse", worse), ("not told apart", open_))
        if dims
    ]
    return (
        f"{escape(suite.suite)}, {suite.size} queries that people wrote: tuned against {_called(other)} by nDCG@10 is "
        f"{'; '.join(parts)} dimensions (Holm's p below {LEVEL})."
    )


def results_section(results: Sequence[SuiteResult]) -> str:
    """Return the results as Markdown: what may be said, a table a suite, and what its intervals allow to say."""
    head = [f"- {sentence}" for sentence in headline(results)]
    return "\n\n".join([*(["\n".join(head)] if head else []), *map(_suite, results)])


def _suite(suite: SuiteResult) -> str:
    others = [name for name in ("base", "bm25") if any(name in cell.gaps for cell in suite.cells)]
    header = [
        "dimensions",
        *(["BM25"] if "bm25" in others else []),
        "base",
        "tuned",
        *(["judged@10"] if _judged(suite) else []),
        *(title for name in others for title in (f"tuned - {_called(name)}", "p (Holm)")),
    ]
    rows = [_row(cell, others) for cell in suite.cells]
    said = [f"- {sentence}" for sentence in (*map(escape, suite.notes), *sentences(suite), ranking(suite))]
    title = f"### {escape(called(suite.suite))}: {LABELS[suite.metric]}, {suite.size} {suite.unit}"
    return f"{title}\n\n{table(header, rows)}\n\n" + "\n".join(said)


def _judged(suite: SuiteResult) -> bool:
    return all(cell.judged is not None for cell in suite.cells)


def _row(cell: Cell, others: list[str]) -> list[str]:
    gaps = [text for name in others for text in _gap(cell.gaps[name])]
    bm25 = [f"{cell.bm25:.4f}"] if "bm25" in others else []
    judged = [] if cell.judged is None else [f"{cell.judged:.3f}"]
    tuned = f"**{cell.tuned:.4f}** [{cell.low:.4f}, {cell.high:.4f}]"
    return [str(cell.dim), *bm25, f"{cell.base:.4f}", tuned, *judged, *gaps]


def _gap(gap: Gap) -> tuple[str, str]:
    return f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]", f"{gap.p:.4f} ({gap.p_holm:.4f})"


def _called(system: str) -> str:
    return {"bm25": "BM25"}.get(system, system)


def sentences(suite: SuiteResult) -> Iterator[str]:
    """Yield a sentence for every difference that may be zero or chance, and for every one by which tuned is worse."""
    for cell in suite.cells:
        for name, gap in cell.gaps.items():
            told = f"tuned - {_called(name)} = {gap.mean:+.4f}, 95% interval {gap.low:+.4f} to {gap.high:+.4f}"
            if gap.holds_zero:
                yield f"At {cell.dim} dimensions the difference is not distinguishable from zero ({told})."
                continue
            if gap.mean < 0:
                yield f"At {cell.dim} dimensions **tuned is worse than {_called(name)}** ({told})."
            if not gap.stands:
                yield (
                    f"At {cell.dim} dimensions the interval excludes zero, but among so many differences this may be "
                    f"chance ({told}; Holm's p {gap.p_holm:.3f})."
                )


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
    if first.low <= last.high:
        return "The intervals of the first and the last overlap: this is an order of point estimates, not a finding."
    return "The intervals of the first and the last do not overlap; those between may."
