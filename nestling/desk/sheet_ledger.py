"""The ledger of a pile: which record was shown to whom, and how; what was dealt stays dealt.

Answers name passages by letters: only the ledger knows what the letters stood for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import PositiveInt, ValidationError

from nestling.corpus.ids import content_id
from nestling.desk.interface import PairTask, RetrievalTask
from nestling.errors import UserError
from nestling.params import Strict
from nestling.tables.io import write_text


class Dealt(Strict):
    """A record, and who got it.

    Attributes:
        people: how many it needs.
        annotators: who have it.
        text: the query, or the first sentence of a pair.
        passage_id: the query's own passage; "" for a pair.
        passages: ids in the order of their letters; none for a pair.
    """

    record_id: str
    people: PositiveInt
    annotators: tuple[str, ...]
    text: str
    passage_id: str
    passages: tuple[str, ...]


def read_ledger(path: Path) -> dict[str, Dealt]:
    """Return what was dealt, by record_id; nothing if there is no such file.

    Raises:
        UserError: a line is not what was written.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    ledger = {}
    for number, line in enumerate(lines, start=1):
        try:
            dealt = Dealt.model_validate_json(line)
        except ValidationError:
            raise UserError(
                f"{path}: line {number} is damaged: put the file back as it was (no one but `nestling review push` "
                "writes it), or delete it and push again"
            ) from None
        ledger[dealt.record_id] = dealt
    return ledger


def write_ledger(ledger: Mapping[str, Dealt], path: Path) -> None:
    """Write a ledger whole or not at all, in the order in which records were dealt."""
    write_text("".join(f"{dealt.model_dump_json()}\n" for dealt in ledger.values()), path)


def enter(task: RetrievalTask | PairTask, known: Dealt | None, people: int, annotators: Sequence[str]) -> Dealt:
    """Return the line of a task: as it was first shown, in the hands of `annotators`.

    Raises:
        UserError: its passages are not those that were shown.
    """
    text, passage_id, passages = (
        (task.sentence1, "", ())
        if isinstance(task, PairTask)
        else (task.query, task.passage_id, tuple(name for name, _ in task.passages))
    )
    if known and sorted(known.passages) != sorted(passages):
        raise UserError(
            f"the record {task.record_id} was shown with other passages in this round: choose another review.round"
        )
    return Dealt(
        record_id=task.record_id,
        people=people,
        annotators=tuple(annotators),
        text=text,
        passage_id=passage_id,
        passages=known.passages if known else passages,
    )


def deal(
    record_ids: Iterable[str], standing: Mapping[str, Sequence[str]], people: Sequence[str], wanted: int
) -> dict[str, tuple[str, ...]]:
    """Return who judges each record: so many different people, those with the least work first.

    Args:
        record_ids: in the order in which they are dealt.
        standing: by record_id, who has it already; stays as it is, and counts as work.
        people: to whom more may be dealt.
        wanted: people a record; those who stand included.
    """
    work = Counter(name for names in standing.values() for name in names)
    dealt = {}
    for record_id in record_ids:
        held = tuple(standing.get(record_id, ()))
        # the hash mixes who judges together with whom
        free = sorted(set(people) - set(held), key=lambda name: (work[name], content_id("dealt", record_id, name)))
        more = free[: max(0, wanted - len(held))]
        work.update(more)
        dealt[record_id] = (*held, *more)
    return dealt
