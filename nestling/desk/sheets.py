"""The desk without a server: for every pile and annotator a CSV file to fill in with a spreadsheet program.

`<folder>/<round>/` holds `<pile>.<annotator>.csv`, `<pile>.md` (what to do) and `<pile>.records.jsonl` (the ledger).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nestling.desk.interface import PILES, TO_REFEREES, Given, Pile, Pulled, Pushed, Shown, Size
from nestling.desk.rounds import check_round
from nestling.desk.sheet_answers import Answered, answers_in, id_in
from nestling.desk.sheet_files import Sheet, add_rows, new_sheet, read_sheet
from nestling.desk.sheet_forms import Form, titles
from nestling.desk.sheet_ledger import Dealt, DealtQuery, deal, enter, read_ledger, write_ledger
from nestling.desk.wording import Wording
from nestling.errors import UserError
from nestling.params import Strict
from nestling.tables.io import write_text


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


class SheetDesk:
    """Deals piles out as sheets, and reads them back.

    Args:
        params: where, and to whom.
        wording: of headings and guidelines.
    """

    def __init__(self, params: SheetParams, wording: Wording) -> None:
        self._params, self._wording = params, wording

    def push(self, round_name: str, piles: Sequence[Pile]) -> list[Pushed]:
        """Add the rows that are missing from people's sheets; touch none that is there.

        Raises:
            UserError: a pile needs more people or letters than there are, or a sheet cannot be read or written.
        """
        folder = Path(self._params.folder) / check_round(round_name)
        return [self._push(folder, pile) for pile in piles]

    def pull(self, round_name: str) -> Pulled:
        """Return everything that people filled in; an answer is as old as its file.

        Raises:
            UserError: nothing was pushed, or a file is missing or cannot be read.
        """
        folder = Path(self._params.folder) / check_round(round_name)
        ledgers = {name: ledger for name in PILES if (ledger := _whole_ledger(folder, name))}
        if not ledgers:
            raise UserError(f"{folder} holds no sheets: `nestling review push` writes them, or correct review.round")
        given, shown_records, sizes = [], [], {}
        for name, ledger in ledgers.items():
            told = list(self._given(folder, name, ledger))
            answered = {one.record_id for one in told}
            given += told
            shown_records += [record for one in ledger.values() if one.record_id in answered for record in _shown(one)]
            sizes[name] = Size(len(ledger), max(one.people for one in ledger.values()), _pending(ledger, told))
        return Pulled(given, shown_records, sizes)

    def close(self) -> None:
        """Hold nothing open, and so have nothing to let go of."""

    def _push(self, folder: Path, pile: Pile) -> Pushed:
        tasks = {task.record_id: task for task in pile.tasks}
        if not tasks:
            return Pushed(pile.name, 0, 0, "", 0)
        people, form = self._people(pile), Form(pile, self._wording)
        ledger = read_ledger(_ledger_path(folder, pile.name))
        sheets = self._sheets(folder, pile.name, {*people, *_holders(ledger)})
        dealt = deal(tasks, self._standing(ledger, sheets, people), people, pile.people)
        entered = {name: one.model_copy(update={"people": pile.people}) for name, one in ledger.items()}
        entered |= {name: enter(tasks[name], ledger.get(name), pile.people, dealt[name]) for name in tasks}
        write_ledger(entered, _ledger_path(folder, pile.name))  # first: a row whose letters nobody knows is of no use
        write_text(form.guidelines(), folder / f"{pile.name}.md")
        added: set[str] = set()
        for person in people:
            there = _ids(sheets[person])
            missing = [name for name in tasks if person in dealt[name] and name not in there]
            rows = [form.row(tasks[name], entered[name]) for name in missing]
            self._add(_sheet_path(folder, pile.name, person), sheets[person], form.headings(), rows)
            added.update(missing)
        return Pushed(pile.name, len(tasks) - len(added), len(added), f"{folder}/{pile.name}.*.csv", 0)

    def _people(self, pile: Pile) -> list[str]:
        field = "referees" if pile.name in TO_REFEREES else "annotators"
        people: list[str] = getattr(self._params, field)
        if len(people) < pile.people:
            raise UserError(
                f"each record of the pile {pile.name} needs {pile.people} people and review.desk.{field} names "
                f"{len(people)}: name more, or ask for fewer"
            )
        return people

    def _add(
        self, path: Path, sheet: Sheet | None, headings: Mapping[str, str], rows: Sequence[Mapping[str, str]]
    ) -> None:
        if not rows:
            return
        if sheet is None:
            new_sheet(path, headings, self._wording.sheet.delimiter, rows)
        else:
            add_rows(sheet, headings, rows)

    def _sheets(self, folder: Path, pile: str, people: Collection[str]) -> dict[str, Sheet | None]:
        headings = titles(self._wording)
        return {person: read_sheet(_sheet_path(folder, pile, person), headings) for person in sorted(people)}

    def _standing(
        self, ledger: Mapping[str, Dealt], sheets: Mapping[str, Sheet | None], people: Collection[str]
    ) -> dict[str, list[str]]:
        """Return who keeps which record; one who is no longer among the people keeps what is answered."""
        rows = {person: _ids(sheet) for person, sheet in sheets.items()}
        for person in sheets.keys() - set(people):
            rows[person] = {name for name, one in self._answers(sheets[person], ledger).items() if one.complete}
        standing: dict[str, list[str]] = {}
        for name, dealt in ledger.items():
            standing[name] = [person for person in dealt.annotators if person in people or name in rows[person]]
        for person in people:  # what a lost ledger no longer tells
            for name in sorted(rows[person]):
                if person not in (holders := standing.setdefault(name, [])):
                    holders.append(person)
        return standing

    def _given(self, folder: Path, pile: str, ledger: Mapping[str, Dealt]) -> Iterator[Given]:
        current = {*self._params.annotators, *self._params.referees}
        holders = _holders(ledger)
        for person, sheet in self._sheets(folder, pile, current | holders).items():
            if sheet is None and person in current & holders:
                raise UserError(
                    f"{_sheet_path(folder, pile, person)} is missing: put it back, or `nestling review push` to write "
                    "it anew without answers"
                )
            if sheet is not None:
                yield from self._given_in(sheet, pile, person, ledger)

    def _given_in(self, sheet: Sheet, pile: str, person: str, ledger: Mapping[str, Dealt]) -> Iterator[Given]:
        moment = sheet.modified_at()
        for record_id, one in self._answers(sheet, ledger).items():
            if one.complete:
                yield Given(record_id, pile, person, "submitted", moment, one.values)
            else:
                yield Given(record_id, pile, person, "draft", moment, {})

    def _answers(self, sheet: Sheet | None, ledger: Mapping[str, Dealt]) -> dict[str, Answered]:
        return answers_in(sheet, ledger, self._wording) if sheet else {}


def _whole_ledger(folder: Path, pile: str) -> dict[str, Dealt]:
    ledger = read_ledger(_ledger_path(folder, pile))
    if not ledger and any(folder.glob(f"{pile}.*.csv")):
        raise UserError(
            f"{_ledger_path(folder, pile)} is missing, which tells what the letters stand for: put it back, or "
            "`nestling review push` to write it anew"
        )
    return ledger


def _ledger_path(folder: Path, pile: str) -> Path:
    return folder / f"{pile}.records.jsonl"


def _sheet_path(folder: Path, pile: str, person: str) -> Path:
    return folder / f"{pile}.{person}.csv"


def _holders(ledger: Mapping[str, Dealt]) -> set[str]:
    return {person for dealt in ledger.values() for person in dealt.annotators}


def _pending(ledger: Mapping[str, Dealt], told: Sequence[Given]) -> dict[str, int]:
    dealt = Counter(person for one in ledger.values() for person in one.annotators)
    dealt.subtract(one.annotator for one in told if one.status == "submitted")
    return {person: max(0, count) for person, count in sorted(dealt.items())}


def _ids(sheet: Sheet | None) -> set[str]:
    return {id_in(cells) for _, cells in sheet.cells()} - {""} if sheet else set()


def _shown(dealt: Dealt) -> Iterator[Shown]:
    if isinstance(dealt, DealtQuery):
        others = tuple(passage for passage in dealt.passages if passage != dealt.passage_id)
        yield Shown(dealt.record_id, dealt.query, dealt.passage_id, others)
