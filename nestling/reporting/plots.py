"""The tables behind the DVC plots. How they are drawn stands in .dvc/plots/*.json, titles in dvc.yaml."""

from collections.abc import Iterator, Sequence

import dataframely as dy
import polars as pl

from nestling.evaluation.standing import called
from nestling.reporting.results import LABELS, Cell, SuiteResult
from nestling.tables.io import empty

BIN = 0.02  # width of a histogram's bin, in score
USES = {
    "negative": "kept: negatives",
    "margin": "dropped: too near the positive's score",
    "near_duplicate": "dropped: near duplicate of the positive",
    "same_document": "dropped: same document",
    "held_out": "dropped: passage of the dev or test split",
    "above_window": "dropped: above the window",
    "not_drawn": "left over: more than were wanted",
}


class DimensionPoint(dy.Schema):
    """The score of a system on a suite at a dimension; BM25, which has none, stands at each."""

    suite = dy.String(primary_key=True)
    metric = dy.String(primary_key=True)
    system = dy.String(primary_key=True)
    dim = dy.UInt32(primary_key=True)
    value = dy.Float64()
    low = dy.Float64(nullable=True)  # of the 95% interval
    high = dy.Float64(nullable=True)
    panel = dy.String()
    order = dy.UInt32()  # of the panel: people's queries, then a program's, then sentence pairs
    size = dy.UInt32()  # queries or pairs


class MarginBin(dy.Schema):
    """How many candidates of one verdict lie at a margin: the positive's score less the candidate's."""

    verdict = dy.String(primary_key=True)
    low = dy.Float64(primary_key=True)
    high = dy.Float64()
    candidates = dy.UInt32()
    order = dy.UInt32()  # of the panel
    panel = dy.String()


def dimension_points(results: Sequence[SuiteResult]) -> pl.DataFrame:
    """Return the table DimensionPoint."""
    rows = [
        (suite.suite, suite.metric, *point, f"{called(suite.suite)}: {LABELS[suite.metric]}", order, suite.size)
        for order, suite in enumerate(results)
        for cell in suite.cells
        for point in _points(cell)
    ]
    return pl.DataFrame(rows, schema=empty(DimensionPoint).schema, orient="row")


def _points(cell: Cell) -> Iterator[tuple[str, int, float, float | None, float | None]]:
    yield "base", cell.dim, cell.base, None, None
    if cell.bm25 is not None:
        yield "bm25", cell.dim, cell.bm25, None, None
    yield "tuned", cell.dim, cell.tuned, cell.low, cell.high


def margin_bins(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return the table MarginBin of the mined candidates, positives aside; edges are multiples of the width.

    A margin within float32's error of an edge counts as lying on it, hence in the bin above.
    """
    margin = pl.col("positive_score").cast(pl.Float64) - pl.col("score").cast(pl.Float64)
    counted = (
        candidates.filter(pl.col("verdict") != "positive")
        .select(verdict=pl.col("verdict").cast(pl.String), place=(margin / BIN).round(4).floor().cast(pl.Int32))
        .group_by("verdict", "place")
        .agg(candidates=pl.len().cast(pl.UInt32))
    )
    return counted.select(
        "verdict",
        low=(pl.col("place") * BIN).round(2),
        high=((pl.col("place") + 1) * BIN).round(2),
        candidates="candidates",
        order=pl.col("verdict").replace_strict(list(USES), list(range(len(USES))), return_dtype=pl.UInt32),
        panel=pl.col("verdict").replace_strict(USES, return_dtype=pl.String),
    ).sort("verdict", "low")
