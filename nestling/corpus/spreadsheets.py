"""Rows of the sheets of a spreadsheet (.xlsx, .ods, .xls), read by calamine; formulas count as their last value."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

from nestling.corpus.delimited import folded, header_fault
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import Row


def read_spreadsheet(path: Path, name: str, columns: Sequence[str], needs: Sequence[str]) -> Iterator[Row | Reject]:
    """Yield the rows of every sheet whose first row that is not empty names the columns.

    Args:
        path: the file.
        name: what it is called in places and rejects.
        columns: names that mean something, lower case; others are passed over.
        needs: those among them without which a sheet is left out.
    """
    try:
        book = CalamineWorkbook.from_path(path)
        sheets = [
            (sheet, book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)) for sheet in book.sheet_names
        ]
    except CalamineError as error:
        yield Reject("file", name, "unreadable", f"{type(error).__name__}: {error}")
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
