"""The desk: where people judge. One interface for Argilla and for spreadsheets, and what passes over it.

What goes out are piles of tasks; what comes back is what each person said of each record, in the values of
data/annotations (docs/review.md). A desk knows nothing of rounds that came before, of files or of curation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from nestling.corpus.ids import content_id
from nestling.errors import UserError

PILES = ("audit", "active", "sts", "adjudication", "sts-adjudication")
Status = Literal["submitted", "draft", "discarded"]
STATUSES: tuple[Status, ...] = ("submitted", "draft", "discarded")
TO_REFEREES = ("adjudication", "sts-adjudication")  # piles in which a referee settles what annotators dispute
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # the names of passages, in the order shown
NONE = "none"  # the mark that says that no passage answers; the value in data/annotations is an empty list


@dataclass(frozen=True)
class Suggestion:
    """What a machine would answer.

    Attributes:
        question: query_quality or relevant.
        value: in the form of the answer: a word, or a list of passage ids.
        agent: who says so: filter, miner, or the judge's name.
        score: how sure it is, higher is surer; a list where the value is one.
    """

    question: str
    value: str | list[str]
    agent: str
    score: float | list[float] | None


@dataclass(frozen=True)
class RetrievalTask:
    """A query and the passages beside it, in the order in which they are shown.

    Attributes:
        record_id: hash of query, own passage and candidates.
        query: its words.
        passage_id: the query's own passage, which is among the passages.
        passages: passage_id and text, in an order that says nothing of rank or of which is the query's own.
        metadata: for filtering and sorting, by name: text, whole number or fraction; no entry where unknown.
        suggestions: at most one a question.
        vector: [dims] of the query, for "find similar"; None where none is wanted.
        said: what people disagree on, told to a referee; empty otherwise.
    """

    record_id: str
    query: str
    passage_id: str
    passages: tuple[tuple[str, str], ...]
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    suggestions: tuple[Suggestion, ...] = ()
    vector: np.ndarray | None = None
    said: str = ""


@dataclass(frozen=True)
class PairTask:
    """A sentence pair to be graded from 0 to 5; attributes as of RetrievalTask."""

    record_id: str
    sentence1: str
    sentence2: str
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    vector: np.ndarray | None = None
    said: str = ""


@dataclass(frozen=True)
class Pile:
    """Tasks that go out together.

    Attributes:
        name: one of PILES.
        people: how many answers a record needs.
        tasks: most worth judging first; of one kind.
    """

    name: str
    people: int
    tasks: Sequence[RetrievalTask] | Sequence[PairTask]


@dataclass(frozen=True)
class Pushed:
    """What a push did to a pile.

    Attributes:
        pile: its name.
        there: tasks that were there already.
        added: tasks that were not.
        address: where to judge them.
        past: records that nobody has answered and that are no longer in the queue; they come last.
    """

    pile: str
    there: int
    added: int
    address: str
    past: int


@dataclass(frozen=True)
class Given:
    """What one person said of one record.

    Attributes:
        record_id: of the task.
        pile: that it lay in.
        annotator: a name.
        status: submitted, draft or discarded.
        submitted_at: ISO 8601, UTC.
        values: question to value, as in data/annotations; of submitted answers alone.
        suggested: questions for which a suggestion stood there; a referee's is people's word and no machine's.
        stray: whether marks say nothing clear: of passages and of none, or of a letter without a passage.
        annotator_id: what the desk knows the person by, whatever the name becomes; "" where that is the name.
    """

    record_id: str
    pile: str
    annotator: str
    status: Status
    submitted_at: str
    values: Mapping[str, Any]
    suggested: tuple[str, ...] = ()
    stray: bool = False
    annotator_id: str = ""


@dataclass(frozen=True)
class Shown:
    """A retrieval record as it was shown: candidates without the query's own passage."""

    record_id: str
    query: str
    passage_id: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Size:
    """What a pile holds.

    Attributes:
        records: in it.
        people: how many answers each needs.
        pending: how many records wait for each person who may judge, by name.
    """

    records: int
    people: int
    pending: Mapping[str, int]


@dataclass(frozen=True)
class Pulled:
    """All that people said, the records that they saw, and the size of each pile by name."""

    given: Sequence[Given]
    shown: Sequence[Shown]
    sizes: Mapping[str, Size]


class Desk(Protocol):
    """A place where people judge."""

    def push(self, round_name: str, piles: Sequence[Pile]) -> list[Pushed]:
        """Add what is missing; touch no answer."""

    def pull(self, round_name: str) -> Pulled:
        """Return everything that people said in a round."""

    def close(self) -> None:
        """Let go of connections and files."""


def most_passages(pile: Pile) -> int:
    """Return how many passages the largest task shows.

    Raises:
        UserError: there are more than letters.
    """
    most = max((len(task.passages) for task in pile.tasks if isinstance(task, RetrievalTask)), default=0)
    if most > len(LETTERS):
        raise UserError(
            f"a record shows {most} passages and there are {len(LETTERS)} letters for them: lower select.candidates "
            "or mine.num_negatives"
        )
    return most


def contradiction(given: Given) -> str:
    """Return what in an answer does not go together, "" where all does."""
    quality, marks = given.values.get("query_quality"), given.values.get("relevant")
    if given.stray:
        return "a letter without a passage, or letters beside none"
    if quality == "good" and marks == []:
        return "good, and no passage answers"
    return "not answerable, and a passage answers" if quality == "not_answerable" and marks else ""


def shuffled(record_id: str, passages: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return passages (passage_id, text) in an order that hangs on the record's and the passages' names alone."""
    return tuple(sorted(passages, key=lambda passage: content_id("shown", record_id, passage[0])))


def marked(values: Sequence[str], passage_ids: Sequence[str]) -> list[str]:
    """Return the ids of the passages whose letters are marked, in the order shown; other letters mark nothing."""
    chosen = set(values)
    return [passage for letter, passage in zip(LETTERS, passage_ids, strict=False) if letter in chosen]
