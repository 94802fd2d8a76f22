"""Rows of Parquet files, by the names of their columns, capitals and outer blanks aside."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from nestling.cli import say
from nestling.corpus.delimited import folded, header_fault
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row

_TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Null)


def read_parquet(path: Path, name: str, columns: Sequence[str], needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of a Parquet file.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        columns: names that mean something, lower case; of these, ids and titles may be numbers or dates, all others
            hold text or are passed over.
        needs: those among them that must be there and hold text.
    """
    try:
        named = [(folded(column), column) for column in pl.read_parquet_schema(path)]
        found = dict(named)
        known = [column for column in columns if column in found]
        frame = pl.read_parquet(path, columns=[found[column] for column in known], glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        yield Reject("file", name, "unreadable", str(error).splitlines()[0])
        return
    frame = frame.select(pl.col(found[column]).alias(column) for column in known)
    odd = {column: f"column {found[column]} is {frame[column].dtype}" for column in known if not _fits(frame[column])}
    fault = header_fault([name for name, _ in named], columns, needs, ", ".join(found.values()))
    wrong = [fault] if fault else []
    wrong += [said for column, said in odd.items() if column in needs or column.endswith("id")]
    if wrong:
        yield Reject("file", name, "unreadable", "; ".join(wrong))
        return
    for said in odd.values():
        say(f"note: {name}: {said}, no text: it is passed over")
    short = pl.selectors.by_dtype(pl.Float32)  # 0.1 is 0.1 there, and 0.10000000149 in 64 bits
    frame = frame.drop(odd).with_columns(short.cast(pl.String).cast(pl.Float64))
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{name}:{number}", values)


def _fits(column: pl.Series) -> bool:
    plain = column.dtype.is_numeric() or column.dtype in (pl.Date, pl.Datetime, pl.Time)
    return column.dtype in _TEXTS or (plain and (column.name.endswith("id") or column.name == "title"))
