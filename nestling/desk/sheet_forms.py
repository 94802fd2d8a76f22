"""What a sheet shows: its columns, a task's cells, and what to do, in the annotators' language. Pure.

Machines' suggestions are not shown: what stands in a cell would pass for an answer.
"""

import re

from nestling.desk.interface import LETTERS, TO_REFEREES, PairTask, Pile, RetrievalTask, most_passages
from nestling.desk.sheet_answers import OF_PAIR, OF_QUERY
from nestling.desk.sheet_files import RECORD_ID, shown
from nestling.desk.sheet_ledger import Dealt, DealtQuery
from nestling.desk.wording import Wording

_NUMBER = re.compile(r"[0-9]+(e[0-9]+)?")  # what a spreadsheet program would round


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
    """The sheets of a pile.

    Args:
        pile: with a task at least.
        wording: of headings and guidelines.

    Raises:
        UserError: a task shows more passages than there are letters.
    """

    def __init__(self, pile: Pile, wording: Wording) -> None:
        self._pile, self._wording = pile, wording
        self._pairs = isinstance(pile.tasks[0], PairTask)
        self._passages = most_passages(pile)

    def headings(self) -> dict[str, str]:
        """Return the columns by name, in their order."""
        letters = [_passage(letter) for letter in LETTERS[: self._passages]]
        texts = ["sentence1", "sentence2"] if self._pairs else ["query", *letters]
        said = ["said"] if any(task.said for task in self._pile.tasks) else []
        known = titles(self._wording)
        asked = OF_PAIR if self._pairs else OF_QUERY
        return {name: known[name] for name in (RECORD_ID, "position", *texts, *said, *asked)}

    def guidelines(self) -> str:
        """Return what annotators, or referees, read before they begin (Markdown)."""
        words, sheet = self._wording.guidelines, self._wording.sheet
        first = [words.adjudication] if self._pile.name in TO_REFEREES else []
        rest = [words.sts, sheet.sts] if self._pairs else [words.retrieval, sheet.retrieval]
        return "\n\n".join([*first, *rest]) + "\n"

    def row(self, task: RetrievalTask | PairTask, dealt: Dealt) -> dict[str, str]:
        """Return the cells of a task by column, passages in the ledger's order; those to be filled in are left out."""
        texts = {"said": task.said} | _texts(task, dealt)
        cells = {name: shown(text, self._wording.sheet.cut) for name, text in texts.items()}
        record_id = f"'{task.record_id}" if _NUMBER.fullmatch(task.record_id) else task.record_id
        return {RECORD_ID: record_id, "position": str(task.metadata.get("position", ""))} | cells


def _texts(task: RetrievalTask | PairTask, dealt: Dealt) -> dict[str, str]:
    if isinstance(task, PairTask):
        return {"sentence1": task.sentence1, "sentence2": task.sentence2}
    texts = dict(task.passages)
    order = dealt.passages if isinstance(dealt, DealtQuery) else ()
    letters = {_passage(letter): texts[name] for letter, name in zip(LETTERS, order, strict=False)}
    return {"query": task.query} | letters


def _passage(letter: str) -> str:
    return f"passage_{letter.lower()}"
