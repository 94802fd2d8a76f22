"""Workbooks (.xlsx) that people fill in, read and written with openpyxl; whose one is stands in it, not in its name.

openpyxl reads them too, not calamine: only a library that writes can add rows (docs/decisions/0009). Knows nothing of
records and answers.
"""

import io
import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook, load_workbook

from nestling.desk.interface import PILES
from nestling.errors import UserError
from nestling.tables.io import replacing

RECORD_ID = "record_id"

_LONGEST = 32_000  # UTF-16 units: a cell of Excel holds 32,767
# XML cannot hold control characters, and some programs end a cell at one: their pictures stand in
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD)
_OTHER_FORMATS = (".csv", ".ods", ".tsv", ".xls", ".xlsb", ".xlsm")
_NAME = re.compile(r"^.*\[(\w+)\]\s*$", re.DOTALL)  # in brackets, at the end of a heading
_OWNER = re.compile(rf"\s*([^/]+)/([^/]+)/([^/]+?)\s*\[{RECORD_ID}\]\s*")


def shown(text: str, cut: str) -> str:
    """Return a text as a cell shows it: without what no cell holds, and no longer than a cell can be.

    Args:
        text: from a corpus or a model.
        cut: what ends a text that is too long.
    """
    lines = re.sub(r"\r\n?", "\n", text).translate(_PICTURES)
    # the format spells characters as _x0041_: in a text that looks so, a sign of no width stands between
    units = re.sub("_(?=x[0-9A-Fa-f]{4}_)", "_\u2060", lines).encode("utf-16-le")
    whole = len(units) <= 2 * _LONGEST
    return units[: 2 * _LONGEST].decode("utf-16-le", "ignore") + ("" if whole else cut)


def fold(text: str) -> str:
    """Return a text so that capitals, blanks, underlines and full-width forms make no difference."""
    return " ".join(unicodedata.normalize("NFKC", text.replace("_", " ")).casefold().split())


@dataclass(frozen=True)
class Sheet:
    """A worksheet.

    Attributes:
        place: file and tab, for messages.
        title: on the tab.
        headings: as they stand.
        columns: the name of each column; "" for one that is not ours.
        rows: cells of our columns by name; blank rows stand between, and none at the end.
    """

    place: str
    title: str
    headings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]

    def heading(self, column: str) -> str:
        """Return how the worksheet calls a column of ours."""
        return self.headings[self.columns.index(column)]


@dataclass(frozen=True)
class Book:
    """A person's workbook: worksheets by pile, and when the file was last changed, in nanoseconds since 1970."""

    path: Path
    sheets: Mapping[str, Sheet]
    modified_ns: int


def owner(round_name: str, pile: str, person: str) -> str:
    """Return the heading of the ids, which tells what and whose a worksheet is."""
    return f"{round_name}/{pile}/{person} [{RECORD_ID}]"


def read_books(folder: Path, titles: Mapping[str, str]) -> dict[str, Book]:
    """Read every workbook of a round, whatever it is called, by person.

    Args:
        folder: called as the round is.
        titles: headings of our columns, by name; a name in brackets at a heading's end is enough.

    Raises:
        UserError: one cannot be read, is of another round, or two are of one person.
    """
    names = {fold(form): name for name, title in titles.items() for form in (name, title)}
    books: dict[str, Book] = {}
    for path in sorted(path for path in folder.glob("*") if not path.name.startswith((".", "~$"))):
        if path.suffix.lower() in _OTHER_FORMATS:
            raise UserError(
                f"{path} is not read: save it as an Excel workbook (.xlsx) here and move it elsewhere. If its round "
                "was begun with an earlier version, choose another review.round"
            )
        if path.suffix.lower() == ".xlsx":
            person, book = _read(path, names)
            if person in books:
                raise UserError(
                    f"{books[person].path} and {path} are both {person}'s: keep the one that counts, and move the "
                    "other elsewhere"
                )
            books[person] = book
    return books


def _read(path: Path, names: Mapping[str, str]) -> tuple[str, Book]:
    modified = path.stat().st_mtime_ns
    people: set[str] = set()
    sheets: dict[str, Sheet] = {}
    for title, cells in _cells(path):
        sheet = _sheet(path, title, cells, names)
        owned = next((found for heading in sheet.headings if (found := _OWNER.fullmatch(heading))), None)
        if owned is None and title not in PILES:
            continue  # guidelines, or a person's own
        if owned is None or owned[2] not in PILES:
            lost = owner(path.parent.name, title, "NAME")
            raise UserError(f"{sheet.place} has lost the heading of its first column: put back {lost!r} for its NAME")
        if twice := sorted(name for name in set(sheet.columns) if name and sheet.columns.count(name) > 1):
            raise UserError(f"{sheet.place} has the column {twice[0]} twice: delete one of the two")
        if owned[1] != path.parent.name:
            raise UserError(f"{sheet.place} is of the round {owned[1]}: move the file to the folder of that round")
        if owned[2] in sheets:
            raise UserError(f"{sheet.place} is the sheet {sheets[owned[2]].title} again: delete one of the two")
        people.add(owned[3])
        sheets[owned[2]] = sheet
    if len(people) != 1:
        whose = " and ".join(sorted(people)) or "nobody"
        raise UserError(f"{path} holds records of {whose}: each person has a workbook, and nothing else lies here")
    return people.pop(), Book(path, sheets, modified)


def _sheet(path: Path, title: str, cells: list[list[str]], names: Mapping[str, str]) -> Sheet:
    while cells and not any(cells[-1]):
        cells.pop()
    headings = cells[0] if cells else []
    columns = [names.get(fold(_NAME.sub(r"\1", heading))) or names.get(fold(heading), "") for heading in headings]
    rows = (dict(zip_longest(columns, row[: len(columns)], fillvalue="")) for row in cells[1:])
    return Sheet(f"{path}, sheet {title},", title, tuple(headings), tuple(columns), tuple(rows))


def _cells(path: Path) -> list[tuple[str, list[list[str]]]]:
    """Return the title of each worksheet, and the texts of its cells by row."""
    book, found = load(path, read_only=True), []
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # some programs write wrong ones, by which cells would be passed over
        with _damage_told(path):
            found.append((sheet.title, [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]))
    return found


def _text(value: Any) -> str:
    """Return what was typed: of a formula its words, of a whole number no point, whatever a program stores it as."""
    whole = isinstance(value, float) and value.is_integer()
    text = "" if value is None else str(int(value) if whole else getattr(value, "text", value))
    return re.sub("(\r|_x000D_)\n?", "\n", text)  # the format spells a carriage return so


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file raises whatever its zip, its XML and openpyxl's types do
        raise UserError(
            f"{path} cannot be opened as a workbook ({type(error).__name__}): ask for it again, without a password, "
            "or save it anew as .xlsx"
        ) from None


def load(path: Path | None, **how: bool) -> Any:
    """Return a file as a workbook of openpyxl; without a file, one that has no worksheets yet.

    Raises:
        UserError: it cannot be opened as one.
    """
    if path is None:
        book = Workbook()
        book.remove(book.worksheets[0])
        return book
    content = io.BytesIO(path.read_bytes())
    with _damage_told(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that hold no text
        return load_workbook(content, **how)


def save(workbook: Workbook, path: Path, modified_ns: int | None) -> None:
    """Write a workbook whole or not at all; the same cells are the same bytes.

    Args:
        workbook: of openpyxl.
        path: of the file.
        modified_ns: when the file that it replaces was last changed, which it keeps; None for a new one.

    Raises:
        UserError: a spreadsheet program has the file open, or another file lies there by now.
    """
    if any(path.with_name(name).exists() for name in (f".~lock.{path.name}#", f"~${path.name}")):
        raise UserError(f"{path} is open in a spreadsheet program: ask that it be closed, and push again")
    if modified_ns is None and path.exists():
        raise UserError(f"{path} holds somebody else's records: call it as the person is called, and push again")
    if modified_ns is not None and path.stat().st_mtime_ns != modified_ns:
        raise UserError(f"{path} was saved while rows were to be added to it: push again")
    content = io.BytesIO()
    workbook.save(content)
    try:
        with replacing(path) as temporary:
            _rewrite(content, temporary)
            if modified_ns is not None:
                os.utime(temporary, ns=(modified_ns, modified_ns))
    except PermissionError:
        raise UserError(f"{path} cannot be replaced: close it where it is open, or mend its rights") from None


def _rewrite(content: io.BytesIO, path: Path) -> None:
    """Write a workbook without the moments at which openpyxl says that it was made and changed."""
    with ZipFile(content) as dated, ZipFile(path, "w") as archive:
        for name in dated.namelist():
            part = re.sub(rb"<dcterms:(created|modified).*?</dcterms:\1>", b"", dated.read(name))
            archive.writestr(ZipInfo(name), part, ZIP_DEFLATED)
