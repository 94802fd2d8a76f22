"""What a worksheet shows: its columns, a task's cells, drop-downs, and what to do, in the annotators' language.

Machines' suggestions are not shown: what stands in a cell would pass for an answer.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby

from openpyxl import Workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Font, PatternFill, Protection
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from nestling.desk.interface import LETTERS, TO_REFEREES, PairTask, Pile, RetrievalTask, most_passages
from nestling.desk.sheet_answers import OF_PAIR, OF_QUERY
from nestling.desk.sheet_files import RECORD_ID, Sheet, shown
from nestling.desk.sheet_ledger import Dealt
from nestling.desk.wording import Wording
from nestling.tables.review import QUALITIES

Rows = list[tuple[RetrievalTask | PairTask, Dealt]]  # a task, and how it was dealt

_WIDTHS = {"position": 6, "query": 36, "query_quality": 20, "relevant": 14, "similarity": 14}  # in characters
_WIDTHS |= {"said": 30, "rewrite": 40, "comment": 40}
_WIDTH = 70  # of passages, sentences and guidelines
_TOP = Alignment(wrap_text=True, vertical="top")
_ANSWER, _HEADING = (PatternFill("solid", fgColor=color) for color in ("FFF8DC", "E7E6E6"))


def titles(wording: Wording) -> dict[str, str]:
    """Return the heading of every column that there may be; those to be filled in end with their names."""
    words, asked = wording.fields, wording.questions
    return (
        {RECORD_ID: RECORD_ID, "position": wording.sheet.position}
        | {name: getattr(words, name) for name in ("query", "sentence1", "sentence2", "said")}
        | {_passage(letter): words.passage.format(letter=letter) for letter in LETTERS}
        | {name: f"{getattr(asked, name).title} [{name}]" for name in (*OF_QUERY, *OF_PAIR)}
    )


class Form:
    """The worksheets of a pile.

    Args:
        pile: with a task at least.
        wording: of headings and guidelines.

    Raises:
        UserError: a task shows more passages than there are letters.
    """

    def __init__(self, pile: Pile, wording: Wording) -> None:
        self.pile, self._wording = pile.name, wording
        self._pairs = isinstance(pile.tasks[0], PairTask)
        letters = [_passage(letter) for letter in LETTERS[: most_passages(pile)]]
        said = ["said"] if any(task.said for task in pile.tasks) else []
        # what is answered most stands beside the query, where it stays in sight while passages scroll
        of_query = ["query", "query_quality", "relevant", *letters, *said, "rewrite", "comment"]
        columns = ["sentence1", "sentence2", *said, *OF_PAIR] if self._pairs else of_query
        self._columns = [RECORD_ID, "position", *columns]

    def add(self, book: Workbook, sheet: Sheet | None, heading: str, rows: Rows) -> None:
        """Add rows below those of a worksheet, and columns that it lacks at the right; every cell that is there stays.

        Args:
            book: to which it belongs; the worksheet and its guidelines are made if they are not there.
            sheet: as it was read; None if there is none.
            heading: of the hidden column of ids.
            rows: to be added.
        """
        self._add_guidelines(book)
        page = book[sheet.title] if sheet else self._page(book)
        places = {name: number for number, name in enumerate(sheet.columns if sheet else (), 1) if name}
        known = titles(self._wording) | {RECORD_ID: heading}
        for name in self._columns:
            if name not in places:
                places[name] = page.max_column + 1 if places else 1
                _head(page, places[name], known[name], _WIDTHS.get(name, _WIDTH))
        areas = [area.max_row for area in page.merged_cells.ranges]
        first = max([len(sheet.rows) + 1 if sheet else 1, *areas]) + 1
        for number, (task, dealt) in enumerate(rows, first):
            self._fill(page, number, places, _texts(task, dealt) | {RECORD_ID: task.record_id, "said": task.said})
            page.cell(number, places["position"]).value = task.metadata.get("position")
        self._offer(page, first, [len(dealt.passages) for _, dealt in rows], places)

    def _page(self, book: Workbook) -> Worksheet:
        page: Worksheet = book.create_sheet(self.pile)
        _lock(page)
        page.freeze_panes = "C2" if self._pairs else "F2"
        page.column_dimensions["A"].hidden = True
        return page

    def _fill(self, page: Worksheet, number: int, places: Mapping[str, int], texts: Mapping[str, str]) -> None:
        for name in self._columns:
            cell = page.cell(number, places[name])
            cell.alignment, cell.number_format = _TOP, "General" if name == "position" else "@"
            if name in (*OF_QUERY, *OF_PAIR):
                cell.protection, cell.fill = Protection(locked=False), _ANSWER
            elif text := texts.get(name, ""):
                _write(cell, shown(text, self._wording.sheet.cut))

    def _offer(self, page: Worksheet, first: int, passages: Sequence[int], places: Mapping[str, int]) -> None:
        """Give drop-downs to the answers of rows; where several letters may be typed, nothing is refused."""
        labels, none = self._wording.questions.query_quality.labels, self._wording.sheet.none
        rows = range(first, first + len(passages))
        if self._pairs:
            _drop_down(page, places["similarity"], rows, "012345", strict=False)
            return
        _drop_down(page, places["query_quality"], rows, [labels[quality] for quality in QUALITIES], strict=True)
        for size, run in groupby(rows, lambda row: passages[row - first]):
            _drop_down(page, places["relevant"], list(run), [*LETTERS[:size], none], strict=False)

    def _add_guidelines(self, book: Workbook) -> None:
        """Add what annotators, or referees, read before they begin, a line of Markdown a row, unless it is there."""
        words, sheet = self._wording.guidelines, self._wording.sheet
        title = sheet.guidelines if self.pile in ("audit", "active") else f"{sheet.guidelines} {self.pile}"
        if title in book.sheetnames:
            return
        page = book.create_sheet(title)
        _lock(page)
        for letter in "ABC":
            page.column_dimensions[letter].width = _WIDTH
        first = [words.adjudication] if self.pile in TO_REFEREES else []
        rest = [words.sts, sheet.sts] if self._pairs else [words.retrieval, sheet.retrieval]
        lines = re.sub(r"\|---.*\n", "", "\n\n".join([*first, *rest])).split("\n")
        for number, line in enumerate(lines, 1):
            for column, text in enumerate(filter(None, line.split("|")), 1):
                cell = page.cell(number, column)
                _write(cell, re.sub("^- ", "• ", text.strip("# ").replace("*", "")))
                cell.alignment, cell.font = _TOP, Font(bold=line.startswith("#"), size=11)


def _texts(task: RetrievalTask | PairTask, dealt: Dealt) -> dict[str, str]:
    """Return the texts of a task by column, passages in the ledger's order."""
    if isinstance(task, PairTask):
        return {"sentence1": task.sentence1, "sentence2": task.sentence2}
    texts = dict(task.passages)
    letters = {_passage(letter): texts[name] for letter, name in zip(LETTERS, dealt.passages, strict=False)}
    return {"query": task.query} | letters


def _passage(letter: str) -> str:
    return f"passage_{letter.lower()}"


def _write(cell: Cell | MergedCell, text: str) -> None:
    cell.value = text
    cell.data_type = "s"  # openpyxl takes = for a formula and #N/A for an error: here all is text


def _head(page: Worksheet, column: int, title: str, width: int) -> None:
    cell = page.cell(1, column)
    _write(cell, title)
    cell.alignment, cell.fill, cell.font = _TOP, _HEADING, Font(bold=True)
    page.column_dimensions[get_column_letter(column)].width = width


def _lock(page: Worksheet) -> None:
    """Lock what is not to be edited; who must can unlock it, for there is no password."""
    page.protection.sheet = True
    page.protection.formatColumns = page.protection.formatRows = False  # not forbidden: to make room


def _drop_down(page: Worksheet, column: int, rows: Sequence[int], words: Sequence[str], *, strict: bool) -> None:
    """Offer words in the cells of a column; rows that are offered the same share a list."""
    letter, choice = get_column_letter(column), f'"{",".join(words)}"'
    known = [one for one in page.data_validations.dataValidation if one.formula1 == choice]
    if not known:
        known = [DataValidation(type="list", formula1=choice, allow_blank=True, showErrorMessage=strict)]
        page.add_data_validation(known[0])
    known[0].add(f"{letter}{rows[0]}:{letter}{rows[-1]}")
