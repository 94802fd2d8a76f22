"""Rows of the sheets of a spreadsheet (.xlsx, .ods, .xls), read by calamine; formulas count as their last value."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from python_calamine import CalamineError, CalamineWorkbook

from nestling.corpus.content import UnreadableError, parsing
from nestling.corpus.delimited import folded, header_fault
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row

# calamine keeps a place for every cell between the first and the last: one that stands astray at XFD1048576 would
# take more memory than there is
_LARGEST_AREA = 10_000_000  # cells, of a sheet that is mostly empty
_SPARSE = 100  # cells for each that is filled
_CELL = re.compile(rb'<(?:\w+:)?c\s(?=[^>]*\br="([A-Z]{1,3})([0-9]{1,7})")[^>]*[^/]>')
_ODS = re.compile(rb"<table:(?:table-|covered-table-)(row|cell)\b([^>]*)>")
_REPEATED = re.compile(rb'number-(?:rows|columns)-repeated="([0-9]{1,9})"')


def read_spreadsheet(path: Path, name: str, columns: Sequence[str], needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of every sheet whose first row that is not empty names the columns.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        columns: names that mean something, lower case; others are passed over.
        needs: those among them without which a sheet is left out.
    """
    content = path.read_bytes()
    try:
        with parsing("spreadsheet", CalamineError):
            _check_extents(content)
            book = CalamineWorkbook.from_object(BytesIO(content))
            names = book.sheet_names
            sheets = [(sheet, book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)) for sheet in names]
    except UnreadableError as error:
        yield Reject("file", name, "unreadable", str(error))
        return
    for sheet, rows in sheets:
        yield from _sheet(rows, f"{name}:{sheet}", columns, needs)


def _sheet(
    rows: Sequence[Sequence[object]], place: str, columns: Sequence[str], needs: Sequence[str]
) -> Iterator[Row | Reject]:
    filled = [(number, row) for number, row in enumerate(rows, 1) if any(value != "" for value in row)]
    if not filled:
        return
    header = [folded(str(value)) for value in filled[0][1]]
    if wrong := header_fault(header, columns, needs, ", ".join(map(str, filled[0][1]))):
        yield Reject("sheet", place, "unreadable", wrong)
        return
    for number, row in filled[1:]:
        yield Row(f"{place}:{number}", {key: value for key, value in zip(header, row, strict=False) if key in columns})


def _check_extents(content: bytes) -> None:
    """Make sure that no sheet is far larger than what it holds.

    Raises:
        UnreadableError: one is.
    """
    if not is_zipfile(BytesIO(content)):
        return  # .xls, whose sheets end at IV65536
    with ZipFile(BytesIO(content)) as packed:
        for part in packed.namelist():
            if part.startswith("xl/worksheets/"):
                _check_extent(_xlsx_cells(packed.read(part)))
            elif part == "content.xml":
                for sheet in packed.read(part).split(b"<table:table ")[1:]:
                    _check_extent(_ods_cells(sheet))


def _check_extent(cells: Iterator[tuple[int, int]]) -> None:
    rows = columns = filled = 0
    for row, column in cells:
        rows, columns, filled = max(rows, row), max(columns, column), filled + 1
    if rows * columns > max(_LARGEST_AREA, _SPARSE * filled):
        raise UnreadableError(
            f"a sheet reaches to row {rows} and column {columns} with {filled} filled cells: "
            "delete the cells that stand far from the table"
        )


def _xlsx_cells(sheet: bytes) -> Iterator[tuple[int, int]]:
    """Yield row and column of each cell that holds something."""
    numbers = dict[bytes, int]()
    for cell in _CELL.finditer(sheet):
        letters = cell[1]
        if letters not in numbers:
            numbers[letters] = sum((letter - 64) * 26**place for place, letter in enumerate(reversed(letters)))
        yield int(cell[2]), numbers[letters]


def _ods_cells(sheet: bytes) -> Iterator[tuple[int, int]]:
    row = column = 0
    for tag in _ODS.finditer(sheet):
        repeated = _REPEATED.search(tag[2])
        times = int(repeated[1]) if repeated else 1
        if tag[1] == b"row":
            row, column = row + times, 0
        else:
            column += times
            if b"value-type" in tag[2]:
                yield row, column
