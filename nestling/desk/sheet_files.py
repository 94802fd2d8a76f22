"""Sheets: CSV files that people fill in with a spreadsheet program; what they typed is never rewritten.

Knows cells, headings and encodings; nothing of records, answers or rounds.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nestling.corpus.delimited import DELIMITERS
from nestling.corpus.encodings import UTF_8, encoding_of
from nestling.errors import UserError
from nestling.tables.io import replacing

RECORD_ID = "record_id"

_LONGEST = 32_000  # UTF-16 units: a cell of Excel holds 32,767
_LOOKS_LIKE_DATA = 25  # characters: a text with a digit up to there may pass for a number or a date
# control characters, NUL among them, end a cell or worse in some programs: their pictures stand in
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_STARTS_FORMULA = "=+\\-@＝＋－＠"
# where a cell may begin if the delimiter is taken for another: blanks, quotes and invisible marks after a delimiter
_RUN = re.compile(rf'([\s",;\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+)(?=([{_STARTS_FORMULA}])?)')
_GUARDED = re.compile(rf"'(?=[{_STARTS_FORMULA}\t\r\n])")


def shown(text: str, cut: str) -> str:
    """Return a text as a cell shows it: no formula, number or date to any program, and no longer than a cell can be.

    An apostrophe stands before = + - @ wherever a cell might begin, even one that a wrong delimiter makes, and before
    a text that a program would turn into a number or a date.

    Args:
        text: from a corpus or a model.
        cut: what ends a text that is too long.
    """
    lines = re.sub(r"\r\n?", "\n", text).translate(_PICTURES)
    safe = _RUN.sub(_closed, lines)
    if lines[:1] in ("\t", "\n") or re.match(f"[{_STARTS_FORMULA}]", lines) or _like_data(lines):
        safe = f"'{safe}"
    units = safe.encode("utf-16-le")
    return safe if len(units) <= 2 * _LONGEST else units[: 2 * _LONGEST].decode("utf-16-le", "ignore") + cut


def _closed(run: re.Match[str]) -> str:
    begins = run.start() == 0 or not {",", ";", "\t", "\n"}.isdisjoint(run[1])
    return f"{run[1]}'" if begins and run[2] else run[1]


def _like_data(text: str) -> bool:
    """Return whether a program may take `text` for a number or a date, such as 3/4, 1 maggio or 1 de mayo."""
    words = [
        word for word in re.findall(r"[^\W\d_]+", text[: _LOOKS_LIKE_DATA + 1]) if word.lower() not in ("de", "of")
    ]
    return len(text) <= _LOOKS_LIKE_DATA and len(words) <= 1 and any(character.isdigit() for character in text)


def typed(cell: str) -> str:
    """Return what somebody typed, without the apostrophe that keeps a program from taking it for a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell


def fold(text: str) -> str:
    """Return a heading or a word so that capitals, blanks and underlines make no difference."""
    return " ".join(text.replace("_", " ").replace("\ufeff", "").casefold().split())


@dataclass(frozen=True)
class Sheet:
    """A file as it lies on the disk.

    Attributes:
        path: of the file.
        text: all of it, decoded.
        header_end: where in the text the second row begins.
        delimiter: between cells.
        headings: as they stand.
        columns: the name of each column; "" for one that is not ours.
        rows: cells below the headings, blank rows included.
        modified_ns: when the file was last changed, in nanoseconds since 1970.
    """

    path: Path
    text: str
    header_end: int
    delimiter: str
    headings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    modified_ns: int

    def cells(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the number of each row as a spreadsheet counts it, and its cells by column."""
        for number, row in enumerate(self.rows, start=2):
            padded = (*row, *[""] * (len(self.columns) - len(row)))
            yield number, {name: cell for name, cell in zip(self.columns, padded, strict=False) if name}

    def heading(self, column: str) -> str:
        """Return how the file calls a column of ours."""
        return self.headings[self.columns.index(column)]

    def modified_at(self) -> str:
        """Return when the file was last changed (ISO 8601, UTC)."""
        moment = datetime.fromtimestamp(self.modified_ns // 10**9, UTC)
        return moment.isoformat("T", "seconds").replace("+00:00", "Z")


def read_sheet(path: Path, headings: Mapping[str, str]) -> Sheet | None:
    """Read a file as a spreadsheet program or a person left it; None if there is none.

    Args:
        path: of the file.
        headings: of our columns, by name; a name in brackets at a heading's end is enough.

    Raises:
        UserError: it is no such file, or somebody saved it as a workbook beside it.
    """
    for other in (".xlsx", ".xls", ".ods"):
        if path.with_suffix(other).exists():
            raise UserError(
                f"{path.with_suffix(other)} is a workbook: save it as CSV UTF-8 under the name {path.name} and move "
                "the workbook elsewhere"
            )
    try:
        content, modified = path.read_bytes(), path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    text = _decoded(content, path)
    delimiter, header, columns, end = _header(text, path, headings)
    try:
        rows = tuple(tuple(row) for row in csv.reader(_lines(text[end:]), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UserError(f"{path} has a cell whose quotes do not match, or that is too long: {error}") from None
    return Sheet(path, text, end, delimiter, header, columns, rows, modified)


def _decoded(content: bytes, path: Path) -> str:
    """Return the text of a file, whose encoding its mark or its letters tell; else it is Windows-1252."""
    encoding = encoding_of(io.BytesIO(content))
    for name in (UTF_8, "cp1252") if encoding == UTF_8 else (encoding,):
        try:
            return content.decode(name)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path} is in an encoding that cannot be told: save it as CSV UTF-8")


def _lines(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")  # line ends as they are, for they may stand inside a cell


def _header(text: str, path: Path, headings: Mapping[str, str]) -> tuple[str, tuple[str, ...], tuple[str, ...], int]:
    """Return the delimiter, the headings, the columns' names, and where the second row begins."""
    names = {fold(form): name for name, title in headings.items() for form in (name, title, f"{title} [{name}]")}
    found = (_split(text, delimiter, names) for delimiter in DELIMITERS)
    likely = [split for split in found if RECORD_ID in split[2]]
    if not likely:
        raise UserError(
            f"{path} has no column {RECORD_ID} in its first row: put the row of headings back on top, and save the "
            "file as CSV UTF-8, separated by semicolons, commas or tabs"
        )
    best = max(likely, key=lambda split: sum(name != "" for name in split[2]))
    if twice := sorted(name for name in set(best[2]) if name and best[2].count(name) > 1):
        raise UserError(f"{path} has the column {twice[0]} twice: delete one of the two")
    return best


def _split(text: str, delimiter: str, names: Mapping[str, str]) -> tuple[str, tuple[str, ...], tuple[str, ...], int]:
    lines = _lines(text)
    try:
        header = next(csv.reader(iter(lines.readline, ""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return delimiter, (), (), 0
    return delimiter, tuple(header), tuple(_name(heading, names) for heading in header), lines.tell()


def _name(heading: str, names: Mapping[str, str]) -> str:
    bracketed = re.search(r"\[(\w+)\]\s*$", heading)
    return names.get(fold(heading)) or (names.get(fold(bracketed[1]), "") if bracketed else "")


def add_rows(sheet: Sheet, headings: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> None:
    """Add rows at the end of a sheet, and columns that it lacks at the right; every cell that is there stays.

    The file keeps its time of change: to be given more work is not to have answered.

    Args:
        sheet: as it was read.
        headings: of the columns that the rows need, by name.
        rows: cells by column.

    Raises:
        UserError: a spreadsheet program has the file open, or saved it just now.
    """
    if sheet.path.stat().st_mtime_ns != sheet.modified_ns:
        raise UserError(f"{sheet.path} was saved while rows were to be added to it: push again")
    lacking = {name: title for name, title in headings.items() if name not in sheet.columns}
    head, body = sheet.text[: sheet.header_end], sheet.text[sheet.header_end :]
    columns = sheet.columns
    if lacking:
        # as wide as the widest row: somebody's notes beside the table get no heading of ours
        blanks = ("",) * (max(map(len, (sheet.headings, *sheet.rows))) - len(sheet.headings))
        columns = (*columns, *blanks, *lacking)
        head = _csv([[*sheet.headings, *blanks, *lacking.values()]], sheet.delimiter)
    ends = "" if (body or head).endswith(("\n", "\r")) else "\r\n"
    more = [[row.get(name, "") for name in columns] for row in rows]
    _write(sheet.path, head + body + ends + _csv(more, sheet.delimiter), sheet.modified_ns)


def new_sheet(path: Path, headings: Mapping[str, str], delimiter: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a sheet that is not there yet.

    Raises:
        UserError: a spreadsheet program has the file open.
    """
    cells = [list(headings.values()), *([row.get(name, "") for name in headings] for row in rows)]
    _write(path, _csv(cells, delimiter), None)


def _csv(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str, modified_ns: int | None) -> None:
    if path.with_name(f".~lock.{path.name}#").exists():
        raise UserError(f"{path} is open in a spreadsheet program: ask that it be closed, and push again")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8"))
            if modified_ns is not None:
                os.utime(temporary, ns=(modified_ns, modified_ns))
    except PermissionError:
        raise UserError(f"{path} cannot be replaced: close it where it is open, or mend its rights") from None
