"""What a reader of source data left out, and why, on its way to the table Rejected."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import polars as pl

from nestling.cli import say
from nestling.errors import UserError
from nestling.tables.corpus import Rejected
from nestling.tables.io import empty
from nestling.tables.sieve import EXCERPT

ALL = "all_rejected"  # the reason of a file, a suite or a source of which nothing is left: it stops the build
NOTHING = "it holds no row"
_TOLD = 3  # rejects that are told in a sentence
_USUAL = ("not_relevant", "no_qrels")  # judgements and queries that any dataset has


class Reject(NamedTuple):
    """One thing that was left out; the fields are the columns of Rejected."""

    item: str
    item_id: str
    reason: str
    detail: str = ""
    text: str = ""


class RefusedError(UserError):
    """A part of a set cannot be used; `rejects` are what was left out of it before that was seen."""

    def __init__(self, sentence: str, rejects: list[Reject]) -> None:
        super().__init__(sentence)
        self.rejects = rejects


@contextmanager
def telling(rejects: list[Reject]) -> Iterator[None]:
    """Hand on what was left out with the error that ends the block."""
    try:
        yield
    except RefusedError:
        raise
    except UserError as error:
        raise RefusedError(str(error), rejects) from None


def rejects_frame(rejects: Iterable[Reject]) -> pl.DataFrame:
    """Return the rejects as the table Rejected, of each text its beginning."""
    rows = [reject._replace(text=reject.text[:EXCERPT]) for reject in rejects]
    return pl.DataFrame(rows, schema=empty(Rejected).schema, orient="row")


def counted(rejects: Iterable[Reject]) -> str:
    """Return how many there are of each reason."""
    counts = Counter(reject.reason for reject in rejects if reject.reason != ALL)
    return ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items()))


def first_of(rejects: Iterable[Reject]) -> str:
    """Return the first reject of each reason, three at most."""
    first: dict[str, Reject] = {}
    for reject in rejects:
        if reject.reason != ALL:
            first.setdefault(reject.reason, reject)
    return "; ".join(f"{one.item_id}: {one.detail or one.reason}" for one in [*first.values()][:_TOLD])


def emptied(item: str, name: str, kept: int, rejects: Sequence[Reject]) -> list[Reject]:
    """Return the reject of a whole that was rejected in all its parts or has none; say if most of it was.

    Args:
        item: file, suite.
        name: of the whole.
        kept: how much of it is left.
        rejects: what was left out of it.
    """
    if not kept:
        return [Reject(item, name, ALL, f"{counted(rejects)}: {first_of(rejects)}" if rejects else NOTHING)]
    lost = [reject for reject in rejects if reject.reason not in (*_USUAL, ALL)]
    if len(lost) > kept:
        say(f"warning: {name}: {len(lost)} of {kept + len(lost)} were left out ({counted(lost)}): {first_of(lost)}")
    return []


def from_frame(frame: pl.DataFrame) -> list[Reject]:
    """Return the rows of the table Rejected."""
    return [Reject(*row) for row in frame.select(Reject._fields).iter_rows()]
