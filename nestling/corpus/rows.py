"""Rows of JSON lines and Parquet files, one at a time; a broken row costs that row and no more.

What a row means (document, query, pair) is not known here.
"""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import polars as pl

from nestling.cli import say
from nestling.corpus.encodings import HEAD, UTF_8, encoding_by_head
from nestling.corpus.rejects import Reject

MAX_ROW = 16_000_000  # bytes of one row of queries, judgements or pairs: those are short by nature

_TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Null)
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


class Row(NamedTuple):
    """The named values of one row, and where it stands (file:line)."""

    place: str
    values: dict[str, object]


def read_jsonl(path: Path, name: str, max_bytes: int) -> Iterator[Row | Reject]:
    """Yield the object on each line of a JSON lines file, gzip or plain; blank lines say nothing.

    Keys are compared as the columns of other files are: without capitals and outer blanks.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        max_bytes: a longer line is thrown away unread.
    """
    for number, line in enumerate(_lines(path, max_bytes), 1):
        place = f"{name}:{number}"
        if isinstance(line, Reject):
            yield line._replace(item_id=place if line.item == "line" else name)
        elif line.strip():
            yield _parse(line, place)


def read_parquet(path: Path, name: str, columns: Sequence[str], needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of a Parquet file.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        columns: names that mean something, lower case; of these, ids may be whole numbers, all others hold text or
            are passed over.
        needs: those among them that must be there and hold text.
    """
    try:
        found = {column.strip().casefold(): column for column in reversed(pl.read_parquet_schema(path))}
        known = [column for column in columns if column in found]
        frame = pl.read_parquet(path, columns=[found[column] for column in known], glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        yield Reject("file", name, "unreadable", str(error).splitlines()[0])
        return
    frame = frame.select(pl.col(found[column]).alias(column) for column in known)
    odd = {column: f"column {found[column]} is {frame[column].dtype}" for column in known if not _fits(frame[column])}
    wrong = [f"no column {column}; there are {', '.join(found.values())}" for column in needs if column not in found]
    wrong += [said for column, said in odd.items() if column in needs or column.endswith("id")]
    if wrong:
        yield Reject("file", name, "unreadable", "; ".join(wrong))
        return
    for said in odd.values():
        say(f"note: {name}: {said}, no text: it is passed over")
    for number, values in enumerate(frame.drop(odd).iter_rows(named=True), 1):
        yield Row(f"{name}:{number}", values)


def _fits(column: pl.Series) -> bool:
    if not column.name.endswith("id"):
        return column.dtype in _TEXTS
    # a column of whole numbers of which one is missing becomes floats in some programs
    whole = (
        column.dtype.is_float() and column.drop_nans().drop_nulls().map_elements(float.is_integer, pl.Boolean).all()
    )
    return column.dtype in _TEXTS or column.dtype.is_integer() or whole


def _parse(line: bytes, place: str) -> Row | Reject:
    shown = line.decode("utf-8", "replace")
    try:
        values = json.loads(line.decode("utf-8"))
        if b"\\ud" in line.lower():  # half a surrogate pair is valid JSON and no valid text
            json.dumps(values, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        return Reject("line", place, "invalid_utf8", error.reason, shown)
    except (ValueError, RecursionError) as error:
        return Reject("line", place, "broken_json", str(error), shown)
    if not isinstance(values, dict):
        return Reject("line", place, "not_an_object", f"a JSON {type(values).__name__}", shown)
    return Row(place, _folded(values))


def _folded(values: dict[str, object]) -> dict[str, object]:
    """Return the values by keys without capitals and outer blanks; a key that is written so already goes first."""
    found = {key.strip().casefold(): value for key, value in values.items()}
    return found | {key: value for key, value in values.items() if key in found}


def _lines(path: Path, max_bytes: int) -> Iterator[bytes | Reject]:
    """Yield the lines, a reject in the place of one that is too long, and at last one for a damaged gzip file."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            read_line = _reader(stream)
            while line := read_line(max_bytes + 1):
                if len(line) > max_bytes and not line.endswith(b"\n"):
                    _skip_line(read_line)
                    shown = line[:1000].decode("utf-8", "replace")
                    yield Reject("line", "", "too_large", f"longer than {max_bytes} bytes", shown)
                else:
                    yield line
    except _GZIP_ERRORS as error:
        yield Reject("file", "", "unreadable", f"broken gzip: {error}")


def _reader(stream: BinaryIO | gzip.GzipFile) -> Callable[[int], bytes]:
    """Return what reads a line of no more than so many bytes: in UTF-8, be the file in UTF-16 or UTF-32."""
    head = stream.read(HEAD)
    stream.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
    if (wide := encoding_by_head(head)) in (None, UTF_8):
        return stream.readline
    text = io.TextIOWrapper(cast("BinaryIO", stream), wide, "replace", newline="\n")
    return lambda size: text.readline(size).encode("utf-8", "replace")


def _skip_line(read_line: Callable[[int], bytes]) -> None:
    while (piece := read_line(1_000_000)) and not piece.endswith(b"\n"):
        pass
