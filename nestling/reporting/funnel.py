"""From documents to training rows: what came to each step, what stayed, and what left it, by reason."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import dataframely as dy
import polars as pl

from nestling.tables.io import empty
from nestling.tables.sieve import reasons

KEPT = "kept"


class FunnelRow(dy.Schema):
    """How many stayed at a step, or left it for one reason; the rows of a step add up to what came to it."""

    step = dy.String(primary_key=True)  # numbered, so that steps sort by name
    order = dy.UInt32(primary_key=True)  # 0 is what stayed; then reasons by name
    what = dy.String()  # kept, or the reason
    fate = dy.Enum(("kept", "left"))
    rows = dy.UInt32()


class Step(NamedTuple):
    """One step; `rest` is the reason of whatever no table gives a reason for."""

    name: str
    came: int
    stayed: int
    left: Mapping[str, int]
    rest: str


class Tables(NamedTuple):
    """The tables that the funnel counts, as prepare, generate, filter and curate wrote them."""

    passages: pl.DataFrame
    unprepared: pl.DataFrame
    written: pl.DataFrame
    ungenerated: pl.DataFrame
    found: pl.DataFrame
    lost: pl.DataFrame
    curated: pl.DataFrame
    positives: pl.DataFrame
    uncurated: pl.DataFrame
    pairs: pl.DataFrame


def funnel_rows(tables: Tables, documents: int, balance: Mapping[str, Any]) -> pl.DataFrame:
    """Return the table FunnelRow.

    Args:
        tables: what the stages left.
        documents: that were read.
        balance: the balance report.
    """
    steps = (*_corpus_steps(tables, documents), *_query_steps(tables), *_row_steps(tables, balance))
    rows = [row for number, step in enumerate(steps, start=1) for row in _rows(number, step)]
    return pl.DataFrame(rows, schema=empty(FunnelRow).schema, orient="row")


def _corpus_steps(tables: Tables, documents: int) -> tuple[Step, Step]:
    out = _by_reason(tables.unprepared, "document")
    unread = sum(number for reason, number in out.items() if reason != "empty")  # an empty one was read
    held = tables.passages["document_id"].n_unique()
    cut = _by_reason(tables.unprepared, "passage")
    height = tables.passages.height
    return (
        Step("documents", documents + unread, held, out, "no_passage_left"),
        Step("passages", height + sum(cut.values()), height, cut, "unknown"),
    )


def _query_steps(tables: Tables) -> tuple[Step, Step, Step]:
    queries = tables.ungenerated.filter(pl.col("item") == "query")  # not the passages that an LLM had no answer for
    unfit = reasons(queries.unique(["item_id", "reason"]))
    written, found = tables.written.height, tables.found.height
    lost = tables.lost.join(tables.found, on="query_id", how="anti").unique("query_id")  # not single positives
    bad = _by_reason(tables.uncurated, "query")
    return (
        Step("queries written", written + sum(unfit.values()), written, unfit, "unknown"),
        Step("queries found again", written, found, reasons(lost), "without_passage"),
        Step("queries after review", found, tables.curated.height, bad, "same_after_rewriting"),
    )


def _row_steps(tables: Tables, balance: Mapping[str, Any]) -> tuple[Step, Step]:
    split = tables.positives.join(tables.curated.select("query_id", "split"), on="query_id")["split"].cast(pl.String)
    apart = {f"held_out_for_{name}": int((split == name).sum()) for name in ("dev", "test")}
    unread = _by_reason(tables.unprepared, "pair")
    paired = {**unread, "held_out_for_dev": int((tables.pairs["split"] == "dev").sum())}
    brought = tables.pairs.height + sum(unread.values())
    doubled = balance["leaks_dropped"] + balance["repeats_of_dev_and_test_dropped"]
    # copies made to match the other set are not counted
    return (
        Step("training rows", len(split), balance["retrieval"]["unique"], apart, _rest(doubled)),
        Step("training pairs", brought, balance["sts"]["unique"], paired, _rest(balance["leaks_dropped"])),
    )


def _rest(doubled: int) -> str:
    """Return why distinct rows are not trained on: the balance report counts leaks, not the rows they took along."""
    return "held_out_elsewhere_or_not_sampled" if doubled else "not_sampled"


def _by_reason(frame: pl.DataFrame, item: str) -> dict[str, int]:
    return reasons(frame.filter(pl.col("item") == item))


def _rows(number: int, step: Step) -> list[tuple[str, int, str, str, int]]:
    left = {reason: rows for reason, rows in step.left.items() if rows}
    rest = step.came - step.stayed - sum(left.values())
    if rest > 0:
        left[step.rest] = left.get(step.rest, 0) + rest
    name = f"{number} {step.name}"
    gone = [(name, order, reason, "left", rows) for order, (reason, rows) in enumerate(sorted(left.items()), start=1)]
    return [(name, 0, KEPT, "kept", step.stayed), *gone]
