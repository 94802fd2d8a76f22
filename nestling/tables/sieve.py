"""Rows that stay and rows that go, each with the first rule that it breaks; a row never vanishes."""

from collections.abc import Mapping

import polars as pl

EXCERPT = 200  # characters of a rejected text that are kept


def sieve(frame: pl.DataFrame, rules: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into kept and rejected rows.

    Args:
        frame: any table.
        rules: reason for going -> expression that is true for a row that STAYS; null counts as false.

    Returns:
        The kept rows, and the rejected rows with a column `reason`, the first rule that fails.
    """
    first = pl.coalesce([pl.when(~keep.fill_null(False)).then(pl.lit(name)) for name, keep in rules.items()])
    marked = frame.with_columns(reason=first)
    return marked.filter(pl.col("reason").is_null()).drop("reason"), marked.filter(pl.col("reason").is_not_null())


def rejected(
    frame: pl.DataFrame, item: str, item_id: str, text: str = "text", detail: str | None = None
) -> pl.DataFrame:
    """Return rows that have a `reason` in the shape of the table Rejected.

    Args:
        frame: rejected rows.
        item: what a row is: document, passage, query, pair.
        item_id: name of the column that identifies it.
        text: name of the column whose beginning is kept.
        detail: name of the column that says more, if there is one.
    """
    return frame.select(
        item=pl.lit(item),
        item_id=pl.col(item_id).cast(pl.String),
        reason=pl.col("reason").cast(pl.String),
        detail=pl.col(detail).cast(pl.String).fill_null("") if detail else pl.lit(""),
        text=pl.col(text).fill_null("").str.slice(0, EXCERPT),
    )


def reasons(frame: pl.DataFrame) -> dict[str, int]:
    """Return how many rows went for each reason, in order of the reason's name."""
    counts = frame.group_by(pl.col("reason").cast(pl.String)).len().sort("reason")
    return dict(counts.iter_rows())
