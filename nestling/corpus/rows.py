"""Rows of JSON lines, CSV and Parquet files, one at a time; a broken row costs that row and no more.

What a row means (document, query, pair) is not known here.
"""

import codecs
import csv
import gzip
import json
import sys
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import polars as pl

from nestling.corpus.rejects import Reject

MAX_ROW = 16_000_000  # bytes of one row of queries, judgements or pairs: those are short by nature

_RECORD = 4  # times the limit of a line: more than that within one pair of quotes is a quote gone astray
_DELIMITERS = ",;\t"
_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the length of a record is bounded here, by `_Lines`


class Row(NamedTuple):
    """The named values of one row, and where it stands (file:line)."""

    place: str
    values: dict[str, object]


def read_jsonl(path: Path, name: str, max_bytes: int) -> Iterator[Row | Reject]:
    """Yield the object on each line of a JSON lines file, gzip or plain; blank lines say nothing.

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


def read_csv(path: Path, name: str, max_bytes: int, needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of a CSV file with a header, its delimiter the comma, semicolon or tab that the header shows.

    After a row with a stray quote, which may have swallowed others, reading goes on at the line below its first.
    """
    lines = _Lines(path, name, max_bytes)
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    header = [field.strip() for field in next(csv.reader([first], delimiter=delimiter), [])]
    if absent := [column for column in needs if column not in header]:
        yield from lines.rejects
        yield Reject(
            "file", name, "unreadable", f"no column {', '.join(absent)}; the header is {first.strip()[:100]!r}"
        )
        return
    for place, fields, line in _records(lines, delimiter):
        if fields is None:
            lines.put_back()
            yield Reject("line", place, "broken_row", "a stray quote", line)
        elif len(fields) != len(header):
            yield Reject("line", place, "broken_row", f"{len(fields)} fields, not {len(header)}", line)
        else:
            yield Row(place, dict(zip(header, fields, strict=True)))
    yield from lines.rejects


def read_parquet(path: Path, name: str, columns: Sequence[str], needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of a Parquet file; only `columns` are read, which must hold text (ids: or whole numbers)."""
    try:
        found = pl.read_parquet_schema(path)
        frame = pl.read_parquet(path, columns=[column for column in columns if column in found], glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        yield Reject("file", name, "unreadable", str(error).splitlines()[0])
        return
    wrong = [f"no column {column}; there are {', '.join(found)}" for column in needs if column not in found]
    wrong += [f"column {column} is {kind}" for column, kind in frame.schema.items() if not _fits(column, kind)]
    if wrong:
        yield Reject("file", name, "unreadable", "; ".join(wrong))
        return
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{name}:{number}", values)


def _fits(column: str, kind: pl.DataType) -> bool:
    text = kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)
    return text or (column.endswith("id") and kind.is_integer())


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
    return Row(place, values)


def _lines(path: Path, max_bytes: int) -> Iterator[bytes | Reject]:
    """Yield the lines, a reject in the place of one that is too long, and at last one for a damaged gzip file."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            if stream.read(3) != codecs.BOM_UTF8:
                stream.seek(0)
            while line := stream.readline(max_bytes + 1):
                if len(line) > max_bytes and not line.endswith(b"\n"):
                    _skip_line(stream)
                    yield Reject(
                        "line",
                        "",
                        "too_large",
                        f"longer than {max_bytes} bytes",
                        line[:1000].decode("utf-8", "replace"),
                    )
                else:
                    yield line
    except _GZIP_ERRORS as error:
        yield Reject("file", "", "unreadable", f"broken gzip: {error}")


def _skip_line(stream: BinaryIO | gzip.GzipFile) -> None:
    while (piece := stream.readline(1_000_000)) and not piece.endswith(b"\n"):
        pass


def _records(lines: "_Lines", delimiter: str) -> Iterator[tuple[str, list[str] | None, str]]:
    """Yield place, fields (None where the quotes do not match) and first line of each record."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield lines.place, None, lines.first
            continue
        if fields:
            yield lines.place, fields, lines.first


class _Lines:
    """The decoded lines of a file, which can be put back; one record gets few of them at most."""

    def __init__(self, path: Path, name: str, max_bytes: int) -> None:
        self.rejects: list[Reject] = []
        self._name, self._max = name, max_bytes
        self._source = enumerate(_lines(path, max_bytes), 1)
        self._again: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._length = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._length > _RECORD * self._max:
            raise StopIteration
        number, line = self._again.popleft() if self._again else self._read()
        self._taken.append((number, line))
        self._length += len(line)
        return line

    @property
    def place(self) -> str:
        """Where the record that is being read begins."""
        return f"{self._name}:{self._taken[0][0]}"

    @property
    def first(self) -> str:
        """The first line of the record that is being read."""
        return self._taken[0][1]

    def begin_record(self) -> None:
        """Forget the lines of the record before."""
        self._taken, self._length = [], 0

    def put_back(self) -> None:
        """Return all lines of this record but its first, so that they are read again."""
        self._again.extendleft(reversed(self._taken[1:]))

    def _read(self) -> tuple[int, str]:
        for number, line in self._source:
            if isinstance(line, Reject):
                self.rejects.append(line._replace(item_id=f"{self._name}:{number}"))
                continue
            try:
                return number, line.decode("utf-8")
            except UnicodeDecodeError as error:
                shown = line.decode("utf-8", "replace")
                self.rejects.append(Reject("line", f"{self._name}:{number}", "invalid_utf8", error.reason, shown))
        raise StopIteration
