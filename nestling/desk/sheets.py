"""The desk without a server: for every annotator a workbook to fill in with a spreadsheet program.

`<folder>/<round>/` holds `<annotator>.xlsx`, with a worksheet a pile and guidelines beside, and `<pile>.records.jsonl`
(the ledger).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nestling.desk.interface import PILES, TO_REFEREES, Given, Pile, Pulled, Pushed, Shown, Size, Status
from nestling.desk.rounds import check_round
from nestling.desk.sheet_answers import answers_in, id_in
from nestling.desk.sheet_files import Book, Sheet, load, owner, read_books, save
from nestling.desk.sheet_forms import Form, Rows, titles
from nestling.desk.sheet_ledger import Dealt, deal, enter, read_ledger, write_ledger
from nestling.desk.wording import Wording
from nestling.errors import UserError
from nestling.params import Strict


def _names(names: list[str]) -> list[str]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
            raise ValueError(f"{name!r} is to be the name of a file: use letters, digits, '-', '_' and '.'")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("a name stands there twice, capitals or not")
    return names


class SheetParams(Strict):
    """Where the sheets lie, and whose there are."""

    kind: Literal["sheets"]
    folder: str
    annotators: Annotated[list[str], Field(min_length=1), AfterValidator(_names)]  # who judge
    referees: Annotated[list[str], AfterValidator(_names)]  # who settle what they dispute


Ledger = dict[str, Dealt]


class SheetDesk:
    """Deals piles out as workbooks, and reads them back.

    Args:
        params: where, and to whom.
        wording: of headings and guidelines.
    """

    def __init__(self, params: SheetParams, wording: Wording) -> None:
        self._params, self._wording = params, wording

    def push(self, round_name: str, piles: Sequence[Pile]) -> list[Pushed]:
        """Add the rows that are missing from people's workbooks; touch none that is there.

        Raises:
            UserError: a pile needs more people or letters than there are, or a workbook cannot be read or written.
        """
        folder, ledgers, books = self._round(round_name)
        full = [(Form(pile, self._wording), pile, self._people(pile)) for pile in piles if pile.tasks]
        added = {
            form: self._deal(pile, people, folder, ledgers.get(pile.name, {}), books) for form, pile, people in full
        }
        for person in sorted({person for rows in added.values() for person in rows}):
            path, modified = (books[person].path, books[person].modified_ns) if person in books else (None, None)
            workbook = load(path, rich_text=True)
            for form, rows in added.items():
                if person in rows:
                    sheet = books[person].sheets.get(form.pile) if person in books else None
                    form.add(workbook, sheet, owner(folder.name, form.pile, person), rows[person])
            # to be given more work is not to have answered: the file keeps its time
            save(workbook, path or folder / f"{person}.xlsx", modified)
        new = {
            form.pile: {task.record_id for more in rows.values() for task, _ in more} for form, rows in added.items()
        }
        return [_pushed(folder, pile, len(new.get(pile.name, ()))) for pile in piles]

    def pull(self, round_name: str) -> Pulled:
        """Return everything that people filled in; an answer is as old as its file.

        Raises:
            UserError: nothing was pushed, or a workbook or a worksheet is missing or cannot be read.
        """
        folder, ledgers, books = self._round(round_name)
        for lost in sorted({pile for book in books.values() for pile in book.sheets} - ledgers.keys()):
            raise UserError(
                f"{_ledger_path(folder, lost)} is missing, which tells what the letters stand for: put it back, or "
                "`nestling review push` to write it anew"
            )
        if not ledgers:
            raise UserError(f"{folder} holds no sheets: `nestling review push` writes them, or correct review.round")
        given, shown_records, sizes = [], [], {}
        for name, ledger in ledgers.items():
            self._check_whole(folder, name, ledger, books)
            told = [one for person, book in books.items() for one in self._given(book, name, person, ledger)]
            answered = {one.record_id for one in told}
            given += told
            shown_records += [record for one in ledger.values() if one.record_id in answered for record in _shown(one)]
            sizes[name] = Size(len(ledger), max(one.people for one in ledger.values()), _pending(ledger, told))
        return Pulled(given, shown_records, sizes)

    def close(self) -> None:
        """Hold nothing open, and so have nothing to let go of."""

    def _round(self, name: str) -> tuple[Path, dict[str, Ledger], dict[str, Book]]:
        """Return the folder of a round, its ledgers by pile, and its workbooks by person."""
        folder = Path(self._params.folder) / check_round(name)
        books = read_books(folder, titles(self._wording))
        return folder, {pile: ledger for pile in PILES if (ledger := read_ledger(_ledger_path(folder, pile)))}, books

    def _people(self, pile: Pile) -> list[str]:
        field = "referees" if pile.name in TO_REFEREES else "annotators"
        people: list[str] = getattr(self._params, field)
        if len(people) < pile.people:
            raise UserError(
                f"each record of the pile {pile.name} needs {pile.people} people and review.desk.{field} names "
                f"{len(people)}: name more, or ask for fewer"
            )
        return people

    def _deal(
        self, pile: Pile, people: Sequence[str], folder: Path, ledger: Ledger, books: Mapping[str, Book]
    ) -> dict[str, Rows]:
        """Deal a pile, write its ledger, and return the rows that are missing from people's worksheets."""
        tasks = {task.record_id: task for task in pile.tasks}
        sheets = {person: book.sheets[pile.name] for person, book in books.items() if pile.name in book.sheets}
        dealt = deal(tasks, self._standing(ledger, sheets, people), people, pile.people)
        entered = {name: one.model_copy(update={"people": pile.people}) for name, one in ledger.items()}
        entered |= {name: enter(tasks[name], ledger.get(name), pile.people, dealt[name]) for name in tasks}
        write_ledger(entered, _ledger_path(folder, pile.name))  # first: a row whose letters nobody knows is of no use
        missing: dict[str, Rows] = {}
        for person in people:
            there = _ids(sheets.get(person))
            rows = [(tasks[name], entered[name]) for name in tasks if person in dealt[name] and name not in there]
            missing |= {person: rows} if rows else {}
        return missing

    def _standing(self, ledger: Ledger, sheets: Mapping[str, Sheet], people: Collection[str]) -> dict[str, list[str]]:
        """Return who keeps which record; one who is no longer among the people keeps what is answered."""
        rows: dict[str, set[str]] = defaultdict(set)
        for person, sheet in sheets.items():
            answers = {} if person in people else answers_in(sheet, ledger, self._wording)
            rows[person] = _ids(sheet) if person in people else {name for name, one in answers.items() if one.complete}
        standing: dict[str, list[str]] = {}
        for name, dealt in ledger.items():
            standing[name] = [person for person in dealt.annotators if person in people or name in rows[person]]
        for person in people:  # what a lost ledger no longer tells
            for name in sorted(rows[person]):
                if person not in (holders := standing.setdefault(name, [])):
                    holders.append(person)
        return standing

    def _check_whole(self, folder: Path, pile: str, ledger: Ledger, books: Mapping[str, Book]) -> None:
        """Refuse a round in which what was dealt to somebody who still judges is not there."""
        for person in sorted({*self._params.annotators, *self._params.referees} & _holders(ledger)):
            book = books.get(person)
            if not book or pile not in book.sheets:
                lost = f"{book.path} has no sheet {pile}" if book else f"{folder}/{person}.xlsx is missing"
                raise UserError(f"{lost}: put it back, or `nestling review push` to write it anew without answers")

    def _given(self, book: Book, pile: str, person: str, ledger: Ledger) -> Iterator[Given]:
        moment = datetime.fromtimestamp(book.modified_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answers = answers_in(book.sheets[pile], ledger, self._wording) if pile in book.sheets else {}
        for record_id, one in answers.items():
            status: Status = "submitted" if one.complete else "draft"
            yield Given(record_id, pile, person, status, moment, one.values if one.complete else {})


def _pushed(folder: Path, pile: Pile, added: int) -> Pushed:
    address = f"{folder}/*.xlsx, sheet {pile.name}" if pile.tasks else ""
    return Pushed(pile.name, len(pile.tasks) - added, added, address, 0)


def _ledger_path(folder: Path, pile: str) -> Path:
    return folder / f"{pile}.records.jsonl"


def _holders(ledger: Mapping[str, Dealt]) -> set[str]:
    return {person for dealt in ledger.values() for person in dealt.annotators}


def _pending(ledger: Mapping[str, Dealt], told: Sequence[Given]) -> dict[str, int]:
    dealt = Counter(person for one in ledger.values() for person in one.annotators)
    dealt.subtract(one.annotator for one in told if one.status == "submitted")
    return {person: max(0, count) for person, count in sorted(dealt.items())}


def _ids(sheet: Sheet | None) -> set[str]:
    return {id_in(cells) for cells in sheet.rows} - {""} if sheet else set()


def _shown(dealt: Dealt) -> Iterator[Shown]:
    if dealt.passages:
        others = tuple(passage for passage in dealt.passages if passage != dealt.passage_id)
        yield Shown(dealt.record_id, dealt.text, dealt.passage_id, others)
