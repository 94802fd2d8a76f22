"""Delimited text (CSV, TSV) as programs and people leave it; a broken row costs that row and no more.

Any of four separators, the encodings of nestling.corpus.encodings, any line end, quoted line ends, Excel's `sep=`.
Columns are known by the names in the header, capitals and outer blanks aside. What a row means is not known here.
"""

import csv
import io
import math
import re
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from nestling.cli import say
from nestling.corpus.encodings import SINGLE_BYTE, UTF_8, encoding_of
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row

DELIMITERS = (",", ";", "\t", "|")
ONE_COLUMN = "\x1f"  # the delimiter of a file with one column: it stands in no text

# what quotes mean: within quotes they stand doubled, or after a backslash, or doubled with blanks behind the last; or
# they mean nothing, in a file without quoting
DOUBLED, _ESCAPED, _PADDED, _LITERAL = _WAYS = ("doubled", "escaped", "padded", "literal")
_AFTER = re.compile(r'" +(?=[,;\t|\r\n]|$)')  # blanks between a quote and the end of its field
_UNIFY: dict[str, Callable[[str], str]] = {
    DOUBLED: str,
    _ESCAPED: lambda line: line.replace('\\"', '""'),
    _PADDED: lambda line: _AFTER.sub('"', line),
    _LITERAL: str,
}
_RECORD = 4  # times the limit of a line: more than that within one pair of quotes is a quote gone astray
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how Excel is told the separator
_FLOAT = re.compile(r"(\d+)[.,]0")
_SHOWN = 100  # characters of a header

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the length of a record is bounded here, by `_Lines`


def read_delimited(
    path: Path, name: str, max_bytes: int, columns: Sequence[str], needs: Sequence[str], ids: Sequence[str] = ()
) -> Iterator[Row | Reject]:
    """Yield the rows of a file with a header; the separator is the one by which the header holds the names.

    After a row with a stray quote, which may have swallowed others, reading goes on at the line below its first. A
    column of ids that is written 1.0, 2.0 because one of them is missing holds whole numbers.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        max_bytes: a longer line is thrown away unread.
        columns: names that mean something, lower case; others are passed over.
        needs: those among them that must be there.
        ids: those among them that hold ids.
    """
    quotes = _quotes(path, name, max_bytes, columns)
    table = Table(path, name, max_bytes, quotes)
    table.say_encoding()
    delimiter, header = table.header(columns)
    if wrong := header_fault(header, columns, needs, table.first.strip()):
        yield from table.rejects
        yield Reject("file", name, "unreadable", wrong)
        return
    floats = {
        key
        for key in ids
        if key in header
        and turned_to_floats(_column(Table(path, name, max_bytes, quotes), header.index(key), delimiter))
    }
    for place, fields, line in table.records(delimiter):
        if fields is None:
            yield Reject("line", place, "broken_row", "a stray quote", line)
        elif len(fields) < len(header) or any(field.strip() for field in fields[len(header) :]):
            yield Reject("line", place, "broken_row", f"{len(fields)} fields, not {len(header)}", line)
        elif any(field.strip() for field in fields):  # a spreadsheet saves empty rows, too
            values: dict[str, object] = {
                key: field for key, field in zip(header, fields, strict=False) if key in columns
            }
            yield Row(place, values | {key: whole_number(str(values[key])) for key in floats})
    yield from table.rejects


def header_fault(header: Sequence[str], columns: Sequence[str], needs: Sequence[str], shown: str) -> str:
    """Return what is wrong with the header of a table, or an empty text.

    Args:
        header: names of columns, folded.
        columns: names that mean something, which must not stand there twice.
        needs: those among them that must be there.
        shown: the header as it stands.
    """
    if absent := [column for column in needs if column not in header]:
        return f"no column {', '.join(absent)}; the header is {shown[:_SHOWN]!r}"
    twice = [column for column in columns if header.count(column) > 1]
    return f"column {twice[0]} stands twice in the header {shown[:_SHOWN]!r}" if twice else ""


def turned_to_floats(ids: Iterable[str]) -> bool:
    """Tell whether all ids of a column are written like 7.0 or 7,0, and one is missing; reads no more than it must."""
    found = missing = False
    for value in map(str.strip, ids):
        if value and not _FLOAT.fullmatch(value):
            return False
        found, missing = found or bool(value), missing or not value
    return found and missing


def whole_number(text: str) -> str:
    """Return 7 for 7.0 and 7,0, and any other text as it is."""
    return _FLOAT.sub(r"\1", text.strip())


def _column(table: "Table", place: int, delimiter: str) -> Iterator[str]:
    with closing(table):
        for _, fields, _ in islice(table.records(delimiter), 1, None):
            if fields and place < len(fields) and any(field.strip() for field in fields):
                yield fields[place]


def _quotes(path: Path, name: str, max_bytes: int, columns: Sequence[str]) -> str:
    """Return which way of quoting (_WAYS) leaves the fewest rows of a file broken; the first where several do."""
    with path.open("rb") as stream:
        if not any(b'"' in piece for piece in iter(lambda: stream.read(1 << 20), b"")):
            return DOUBLED
    found: dict[str, float] = {}
    for quotes in _WAYS:
        with closing(Table(path, name, max_bytes, quotes)) as table:
            found[quotes] = _broken(table, columns, quotes)
        if not found[DOUBLED]:
            break
    return min(found, key=lambda quotes: found[quotes])


def _broken(table: "Table", columns: Sequence[str], quotes: str) -> float:
    """Return how many rows are broken; all where the header names no column or quotes that are literal are not."""
    delimiter, header = table.header(columns)
    if not set(columns) & set(header) or (quotes == _LITERAL and delimiter != "\t"):
        return math.inf
    broken = around = within = 0
    for _, fields, _ in table.records(delimiter):
        broken += fields is None or len(fields) < len(header) or any(field.strip() for field in fields[len(header) :])
        quoted = [field.strip() for field in fields or () if '"' in field]
        around += sum(len(field) > 1 and field[0] == field[-1] == '"' for field in quoted)
        within += len(quoted)
    return math.inf if quotes == _LITERAL and 2 * around >= within else broken


def folded(heading: str) -> str:
    """Return a heading as it is compared: without capitals, outer blanks and a mark of the encoding."""
    return heading.strip().strip("\ufeff").strip().casefold()


class Table:
    """A file of delimited text: its first line as it stands, and its records by a delimiter.

    Attributes:
        encoding: the codec that it is read with.
        rejects: lines that were passed over while records were read.
    """

    def __init__(self, path: Path, name: str, max_bytes: int, quotes: str = DOUBLED) -> None:
        with path.open("rb") as stream:
            self.encoding = encoding_of(stream)
        self._name, self._quotes = name, quotes
        self.rejects: list[Reject] = []
        self._lines = _Lines(path, name, max_bytes, self.encoding, self.rejects)
        self._said = ""  # the delimiter that the file names
        self.first = next((line for line in self._lines if line.strip()), "")
        if said := _SEP.fullmatch(self.first.strip(" \r\n\ufeff")):
            self._said = said[1]
            self._lines.begin_record()
            self.first = next((line for line in self._lines if line.strip()), "")
        self._lines.put_back(but=len(self._lines.taken) - 1)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def say_encoding(self) -> None:
        """Say the encoding where letters told it."""
        if self.encoding in SINGLE_BYTE:
            say(f"note: {self._name} is read as {self.encoding}")

    @property
    def delimiters(self) -> tuple[str, ...]:
        """The delimiters that the file may have."""
        return (self._said,) if self._said else DELIMITERS

    def header(self, columns: Sequence[str]) -> tuple[str, list[str]]:
        """Read the header; return the delimiter by which it has most of `columns`, and its names, folded."""
        found = {delimiter: self._first_record(delimiter) for delimiter in self.delimiters}
        best = max(found, key=lambda delimiter: (len(set(columns) & {*found[delimiter]}), len(found[delimiter])))
        delimiter = best if len(found[best]) > 1 else ONE_COLUMN
        next(self.records(delimiter), None)
        while found[best][-1:] == [""]:
            found[best].pop()
        return delimiter, found[best]

    def _first_record(self, delimiter: str) -> list[str]:
        _, fields, _ = next(self.records(delimiter), ("", None, ""))
        self._lines.put_back(but=0)
        return [folded(field) for field in fields or []]

    def records(self, delimiter: str) -> Iterator[tuple[str, list[str] | None, str]]:
        """Yield place, fields (None where the quotes do not match) and first line of each record."""
        lines = map(_UNIFY[self._quotes], self._lines)
        literal = self._quotes == _LITERAL
        reader = csv.reader(
            lines,
            delimiter=delimiter,
            strict=True,
            skipinitialspace=True,
            quoting=csv.QUOTE_NONE if literal else csv.QUOTE_MINIMAL,
        )
        while True:
            self._lines.begin_record()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                fields = None
            if fields is None or (delimiter == "\t" and _hold_rows(fields)):
                yield self._lines.place, None, self._lines.taken[0][1]
                self._lines.put_back(but=1)
                continue
            if fields:
                yield self._lines.place, fields, self._lines.taken[0][1]


def _hold_rows(fields: list[str]) -> bool:
    """Tell whether a field has a line end and a tab, as it does where two stray quotes have swallowed rows."""
    return any("\t" in field and ("\n" in field or "\r" in field) for field in fields)


class _Lines:
    """The decoded lines of a file, which can be put back; one record gets few of them at most."""

    def __init__(self, path: Path, name: str, max_bytes: int, encoding: str, rejects: list[Reject]) -> None:
        self.taken: list[tuple[int, str]] = []
        self._name, self._max, self._rejects = name, max_bytes, rejects
        # where a file is UTF-8, bytes that are not become half characters, by which `_read` knows them
        errors = "surrogateescape" if encoding == UTF_8 else "replace"
        self._text = self._all(path, encoding, errors)
        self._source = enumerate(self._text, 1)
        self._again: deque[tuple[int, str]] = deque()
        self._length = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._length > _RECORD * self._max:
            raise StopIteration
        number, line = self._again.popleft() if self._again else self._read()
        self.taken.append((number, line))
        self._length += len(line)
        return line

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    @property
    def place(self) -> str:
        """Where the record that is being read begins."""
        return f"{self._name}:{self.taken[0][0]}"

    def begin_record(self) -> None:
        """Forget the lines of the record before."""
        self.taken, self._length = [], 0

    def put_back(self, but: int) -> None:
        """Return all lines of this record but its first few, so that they are read again."""
        self._again.extendleft(reversed(self.taken[but:]))

    def _read(self) -> tuple[int, str]:
        for number, line in self._source:
            if len(line.rstrip("\r\n")) > self._max:
                self._reject(number, "too_large", f"longer than {self._max} bytes", line)
            elif line.isascii() or _is_text(line):
                return number, line
            else:
                detail = "not UTF-8, nor an encoding that can be told: save the file as UTF-8"
                self._reject(number, "invalid_utf8", detail, line)
        raise StopIteration

    def _reject(self, number: int, reason: str, detail: str, line: str) -> None:
        shown = line[:1000].encode("utf-8", "replace").decode("utf-8")
        self._rejects.append(Reject("line", f"{self._name}:{number}", reason, detail, shown))

    def _all(self, path: Path, encoding: str, errors: str) -> Generator[str, None, None]:
        """Yield the lines without NULs; of one that is too long no more than shows it."""
        with path.open("rb") as stream, io.TextIOWrapper(stream, encoding, errors, newline="") as text:
            while line := text.readline(self._max + 1):
                if len(line) > self._max and not line.endswith(("\n", "\r")):
                    while (more := text.readline(1_000_000)) and not more.endswith(("\n", "\r")):
                        pass
                    yield line
                else:
                    yield line.replace("\0", "")


def _is_text(line: str) -> bool:
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
