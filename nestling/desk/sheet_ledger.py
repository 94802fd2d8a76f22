"""The ledger of a pile: which record was shown to whom, and how; what was dealt stays dealt.

Answers name passages by letters: only the ledger knows what the letters stood for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import PositiveInt, TypeAdapter, ValidationError

from nestling.corpus.ids import content_id
from nestling.desk.interface import PairTask, RetrievalTask
from nestling.errors import UserError
from nestling.params import Strict
from nestling.tables.io import write_text


class _Dealt(Strict):
    record_id: str
    people: PositiveInt
    annotators: tuple[str, ...]


class DealtQuery(_Dealt):
    """A query; `passages` are ids in the order of their letters."""

    query: str
    passage_id: str
    passages: tuple[str, ...]


class DealtPair(_Dealt):
    """A sentence pair."""

    sentence1: str
    sentence2: str


Dealt = DealtQuery | DealtPair
_LINE: TypeAdapter[Dealt] = TypeAdapter(Dealt)


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
            dealt = _LINE.validate_json(line)
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
    if known is not None:
        if isinstance(task, RetrievalTask) and isinstance(known, DealtQuery):
            _check_same(task, known)
        return known.model_copy(update={"people": people, "annotators": tuple(annotators)})
    if isinstance(task, PairTask):
        return DealtPair(
            record_id=task.record_id,
            people=people,
            annotators=tuple(annotators),
            sentence1=task.sentence1,
            sentence2=task.sentence2,
        )
    return DealtQuery(
        record_id=task.record_id,
        people=people,
        annotators=tuple(annotators),
        query=task.query,
        passage_id=task.passage_id,
        passages=tuple(passage_id for passage_id, _ in task.passages),
    )


def _check_same(task: RetrievalTask, known: DealtQuery) -> None:
    if sorted(known.passages) != sorted(passage_id for passage_id, _ in task.passages):
        raise UserError(
            f"the record {task.record_id} was shown with other passages in this round: choose another review.round"
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
