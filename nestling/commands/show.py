"""nestling show: the figures of the last build on one screen."""

import json
from pathlib import Path
from typing import Any

import typer

from nestling.errors import UserError

METRICS, SIGNIFICANCE = Path("reports/metrics.json"), Path("reports/significance.json")
MAIN = {"retrieval": "ndcg@10", "sts": "spearman"}


def show() -> None:
    """Print nDCG@10 and Spearman by dimension, with the 95% interval of tuned less base."""
    try:
        metrics, gaps = (json.loads(path.read_text(encoding="utf-8")) for path in (METRICS, SIGNIFICANCE))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: run `dvc repro`") from None
    for kind, metric in MAIN.items():
        for suite, systems in metrics[kind].items():
            typer.echo("\n".join(table(suite, metric, systems, gaps[kind][suite])) + "\n")


def table(suite: str, metric: str, systems: dict[str, Any], gaps: dict[str, Any]) -> list[str]:
    """Return the lines of one suite: systems down, dimensions across."""
    dims = list(systems["tuned"])
    lines = [f"{suite}, {metric}".ljust(28) + "".join(dim.rjust(18) for dim in dims)]
    if "bm25" in systems:
        lines.append("bm25".ljust(28) + f"{systems['bm25'][metric]:18.3f}")
    for system in ("base", "tuned"):
        lines.append(system.ljust(28) + "".join(f"{systems[system][dim][metric]:18.3f}" for dim in dims))
    found = [gaps[dim][metric]["minus_base"] for dim in dims]
    cells = (f"{gap['low']:+.3f} .. {gap['high']:+.3f}".rjust(18) for gap in found)
    return [*lines, "tuned - base, 95% interval".ljust(28) + "".join(cells)]
