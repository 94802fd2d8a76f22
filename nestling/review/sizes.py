"""Equal terms for two encoders: training sets of one size.

Knows two folders that the stage balance has filled (uncut/) and fills what train and evaluate read (data/). A set is
cut, never repeated: a seeded sample of its rows stays, in their order, so that both trainings have the same steps.
"""

import random
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from nestling.tables.io import read_table, write_table
from nestling.tables.training import RetrievalRow, StsRow

UNCUT = Path("uncut")  # what balance wrote
KINDS: dict[str, type[dy.Schema]] = {"retrieval": RetrievalRow, "sts": StsRow}
_CONTENT = {
    "retrieval": ("query_id", "positive_id", pl.col("negative_ids").list.join(" ")),
    "sts": ("pair_id", "score"),
}  # what makes a row that another set has not; ids are hashes of the words


def cut(rows: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Return a seeded sample of `size` rows in the order that they had."""
    return rows[sorted(random.Random(seed).sample(range(rows.height), size))]


def equalise(without: Path, judged: Path, seed: int) -> dict[str, Any]:
    """Fill data/balanced of both folders from their uncut ones; return what was there and was cut.

    The dev sets stay each folder's own; the held-out suites are the same, for they hang on no judgement.
    Of each set it says how many rows there were, how many were cut, and how many distinct ones it alone had.
    """
    return {kind: _equal_sets(kind, (without, judged), seed) for kind in KINDS}


def _equal_sets(kind: str, folders: tuple[Path, Path], seed: int) -> dict[str, dict[str, int]]:
    schema = KINDS[kind]
    sets = [read_table(folder / UNCUT / f"balanced/{kind}/train.parquet", schema) for folder in folders]
    size = min(rows.height for rows in sets)
    for folder, rows in zip(folders, sets, strict=True):
        dev = read_table(folder / UNCUT / f"balanced/{kind}/dev.parquet", schema)
        write_table(cut(rows, size, seed), folder / f"data/balanced/{kind}/train.parquet", schema)
        write_table(dev, folder / f"data/balanced/{kind}/dev.parquet", schema)
    content = [rows.select(_CONTENT[kind]).unique() for rows in sets]
    return {
        name: {
            "rows": rows.height,
            "cut": rows.height - size,
            "in_this_alone": mine.join(other, on=mine.columns, how="anti").height,
        }
        for name, rows, mine, other in zip(("without", "with"), sets, content, content[::-1], strict=True)
    }
