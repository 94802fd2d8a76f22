"""nestling show: the figures of the last build on one screen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nestling.errors import UserError
from nestling.evaluation.standing import called, standing
from nestling.reporting.results import JUDGED, headline, read_results

METRICS, SIGNIFICANCE = Path("reports/metrics.json"), Path("reports/significance.json")
MAIN = {"retrieval": "ndcg@10", "sts": "spearman"}
_FIRST, _OTHER = 34, 18  # widths of columns


def show() -> None:
    """Print nDCG@10 and Spearman by dimension, with the 95% interval of tuned less base; people's queries first."""
    try:
        metrics, significance = (json.loads(path.read_text(encoding="utf-8")) for path in (METRICS, SIGNIFICANCE))
        lines = list(screen(metrics, significance))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: run `dvc repro`") from None
    except (ValueError, KeyError):
        raise UserError(
            f"{METRICS} and {SIGNIFICANCE} are not of one build of this version: run `dvc repro`"
        ) from None
    typer.echo("\n".join(lines))


def screen(metrics: dict[str, Any], significance: dict[str, Any]) -> Iterator[str]:
    """Yield the lines: what may be said, then suite by suite figures and what to mind of them."""
    yield from headline(read_results(metrics, significance))
    for kind, metric in MAIN.items():
        for suite, systems in sorted(metrics[kind].items(), key=lambda item: standing(item[0])):
            yield ""
            yield from table(called(suite), metric, systems, significance[kind][suite])
            yield from significance["suites"][suite]["notes"] if kind == "retrieval" else ()
    bm25, family = significance["bm25"], significance["holm"]["minus_base"]
    if metrics["retrieval"]:
        stems = f"words stemmed by the rules of {bm25['stemmer']}" if bm25["stemmer"] else "words as they are"
        yield f"\nbm25: {stems}"
    yield f"p: Holm's, over {family['differences']} differences ({family['family']})"


def table(title: str, metric: str, systems: dict[str, Any], gaps: dict[str, Any]) -> list[str]:
    """Return the lines of one suite: systems down, dimensions across."""
    dims = list(systems["tuned"])
    lines = [_line(f"{title}, {metric}", dims)]
    if "bm25" in systems:
        lines.append(_line("bm25", [f"{systems['bm25'][metric]:.3f}"]))
    for system in ("base", "tuned"):
        lines.append(_line(system, [f"{systems[system][dim][metric]:.3f}" for dim in dims]))
    if "bm25" in systems:
        lines.append(_line(f"tuned, {JUDGED}", [f"{systems['tuned'][dim][JUDGED]:.3f}" for dim in dims]))
    found = [gaps[dim][metric]["minus_base"] for dim in dims]
    lines.append(_line("tuned - base, 95% interval", [f"{gap['low']:+.3f} .. {gap['high']:+.3f}" for gap in found]))
    return [*lines, _line("its p, and Holm's", [f"{gap['p']:.4f}, {gap['p_holm']:.4f}" for gap in found])]


def _line(first: str, cells: list[str]) -> str:
    if len(first) > _FIRST:  # a line of its own, so that cells stand below each other
        first += "\n"
    return first + " " * (_FIRST - len(first.rpartition("\n")[2])) + "".join(cell.rjust(_OTHER) for cell in cells)
