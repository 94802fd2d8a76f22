"""What people typed into a sheet, as the values of data/annotations; what cannot be read is told cell by cell.

Forgiving of capitals, blanks, separators and full-width letters; never guesses, and takes nothing from a worksheet in
which a cell cannot be read.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nestling.desk.interface import LETTERS, NONE, marked
from nestling.desk.sheet_files import RECORD_ID, Sheet, fold, shown
from nestling.desk.sheet_ledger import Dealt
from nestling.desk.wording import Wording
from nestling.errors import UserError
from nestling.tables.review import QUALITIES

OF_QUERY = ("query_quality", "relevant", "rewrite", "comment")
OF_PAIR = ("similarity", "comment")
_OPTIONAL = ("rewrite", "comment")
_TOLD = 10  # problems of a worksheet
_QUOTED = 60  # characters of a cell
_TYPED_GUARD = re.compile("^'(?=[=+@-])")  # which people type, lest a program take a text for a formula


@dataclass(frozen=True)
class Answered:
    """What stands in a row: question to value, and whether no required answer lacks."""

    values: dict[str, Any]
    complete: bool


class _UnreadableError(Exception):
    """A cell holds no answer; the message says what would be one."""


def answers_in(sheet: Sheet, ledger: Mapping[str, Dealt], wording: Wording) -> dict[str, Answered]:
    """Return what was answered, by record_id; rows without a word are left out.

    Raises:
        UserError: a column is missing, or cells cannot be read; at most 10 are told.
    """
    columns = [name for dealt in ledger.values() for name in _questions(dealt)]
    if lacking := [name for name in dict.fromkeys(columns) if name not in sheet.columns]:
        raise UserError(
            f"{sheet.place} has no column {lacking[0]}: put its heading back, with [{lacking[0]}] at the end"
        )
    reader = _Reader(sheet, ledger, wording)
    for number, cells in enumerate(sheet.rows, start=2):
        reader.take(number, cells)
    if problems := reader.problems:
        more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        raise UserError(f"{sheet.place} cannot be taken as it is: " + "; ".join(problems[:_TOLD]) + more)
    return reader.answered


def _questions(dealt: Dealt) -> tuple[str, ...]:
    return OF_QUERY if dealt.passages else OF_PAIR


class _Reader:
    """Goes through the rows of a sheet, and keeps what was answered and what is wrong."""

    def __init__(self, sheet: Sheet, ledger: Mapping[str, Dealt], wording: Wording) -> None:
        self._sheet, self._ledger, self._wording = sheet, ledger, wording
        self._rows: dict[str, int] = {}
        self.answered: dict[str, Answered] = {}
        self.problems: list[str] = []

    def take(self, number: int, cells: Mapping[str, str]) -> None:
        """Take one row."""
        given = {name: cells[name] for name in (*OF_QUERY, *OF_PAIR) if cells.get(name, "").strip()}
        if not given:
            return
        name = id_in(cells)
        dealt = self._ledger.get(name)
        if dealt is None:
            self._tell(number, RECORD_ID, name, "a record of this pile: put back the id that stood there")
        elif self._is_of_another(dealt, cells):
            opening = _opening(dealt)
            said = f"what record {name} shows: was only a part of the sheet sorted, or the cell changed? Put it back"
            self._tell(number, opening, cells[opening], said)
        else:
            self._keep(number, dealt, given)

    def _keep(self, number: int, dealt: Dealt, given: Mapping[str, str]) -> None:
        values, told = {}, len(self.problems)
        for question in [name for name in _questions(dealt) if name in given]:
            try:
                values[question] = _value(question, given[question], dealt, self._wording)
            except _UnreadableError as error:
                self._tell(number, question, given[question], str(error))
        if len(self.problems) > told:
            return
        whole = all(name in values or name in _OPTIONAL for name in _questions(dealt))
        answered = Answered(values, whole)
        if self.answered.setdefault(dealt.record_id, answered) != answered:
            first = self._rows[dealt.record_id]
            self.problems.append(f"rows {first} and {number} answer the same record differently: delete one of them")
        self._rows.setdefault(dealt.record_id, number)

    def _is_of_another(self, dealt: Dealt, cells: Mapping[str, str]) -> bool:
        """Return whether a row shows another record's text."""
        there = cells.get(_opening(dealt))
        return there is not None and fold(there) != fold(shown(dealt.text, self._wording.sheet.cut))

    def _tell(self, number: int, column: str, found: str, wanted: str) -> None:
        heading = self._sheet.heading(column)
        self.problems.append(f"row {number}, column {heading!r}: {found.strip()[:_QUOTED]!r} is not {wanted}")


def id_in(cells: Mapping[str, str]) -> str:
    """Return the record's name in a row."""
    return cells[RECORD_ID].strip()


def _opening(dealt: Dealt) -> str:
    return "query" if dealt.passages else "sentence1"


def _value(question: str, cell: str, dealt: Dealt, wording: Wording) -> Any:
    if question == "query_quality":
        return _quality(cell, wording)
    if question == "relevant":
        return _relevant(cell, dealt.passages, wording)
    return _similarity(cell) if question == "similarity" else _TYPED_GUARD.sub("", cell)


def _quality(cell: str, wording: Wording) -> str:
    labels = wording.questions.query_quality.labels
    words = {fold(form): quality for quality in QUALITIES for form in (quality, labels[quality])}
    if fold(cell) not in words:
        raise _UnreadableError(f"one of {', '.join(labels[quality] for quality in QUALITIES)}")
    return words[fold(cell)]


def _relevant(cell: str, passages: tuple[str, ...], wording: Wording) -> list[str]:
    if fold(cell) in {NONE, fold(wording.sheet.none), fold(wording.questions.relevant.none)}:
        return []
    cell = unicodedata.normalize("NFKC", cell)
    letters, tokens = LETTERS[: len(passages)], [token for token in re.split(r"[\s,;、]+", cell) if token]
    known = all(len(token) == 1 and token.upper() in letters for token in tokens)
    if not tokens or not known or _joined(cell):
        accepted = letters[0] if len(letters) == 1 else f"{letters[0]} to {letters[-1]}"
        raise _UnreadableError(f"letters from {accepted} with commas between them, or {wording.sheet.none}")
    return marked([token.upper() for token in tokens], passages)


def _joined(cell: str) -> bool:
    """Return whether a small letter may be a word: "A e C" is A and C in Italian, and "A i C" in Catalan."""
    return re.search(r"[A-Za-z][\s,;]+[aeiouy]\s+[A-Za-z]", cell) is not None


def _similarity(cell: str) -> int | float:
    number = unicodedata.normalize("NFKC", cell).strip().replace(",", ".")
    if not re.fullmatch(r"[0-5](\.[0-9]+)?", number) or float(number) > 5:
        raise _UnreadableError("a number from 0 to 5")
    return int(float(number)) if float(number).is_integer() else float(number)
