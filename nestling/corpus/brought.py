"""A whole set as it was brought, and the refusal of one of which a part left nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nestling.cli import say
from nestling.corpus.qrels import Known
from nestling.corpus.recorded import Suites, check_scales, read_recorded, read_sts, read_suites
from nestling.corpus.rejects import ALL, RefusedError, Reject, counted, first_of, from_frame, rejects_frame
from nestling.corpus.sources import read_documents
from nestling.errors import UserError
from nestling.tables.corpus import Rejected
from nestling.tables.io import write_table

_TOLD = 5  # files that are named in warnings
_HOW = {"unreadable": "left out", "unsupported": "left out", "damaged": "read in part"}


@dataclass(frozen=True)
class Brought:
    """What a set holds, before cleaning."""

    documents: pl.DataFrame  # Document
    recorded: pl.DataFrame  # RecordedQuery
    pairs: pl.DataFrame  # sentence1, sentence2, score (0 to 1)
    suites: Suites


def read_set(folder: Path, max_bytes: int, left_out: list[pl.DataFrame]) -> Brought:
    """Read a set, and add what was left out (Rejected) to `left_out` as it is found.

    Args:
        folder: data/raw/<set>.
        max_bytes: a document with a longer text (UTF-8) is left out.
        left_out: tables of rejects, so that they are there should the set be refused.

    Raises:
        UserError: there is no such set, it has no document, or a part of it cannot be used.
    """
    documents, unread = read_documents(folder, max_bytes)
    left_out.append(unread)
    rejects = from_frame(unread)
    if documents.is_empty():
        why = f" ({counted(rejects)})" if rejects else ""
        more = f"; first {first_of(rejects)}" if rejects else ""
        raise UserError(f"{folder} has no document{why}: bring some with `nestling add`, see docs/sets.md{more}")
    known = Known.of(documents["document_id"], rejects, "document")
    recorded, unmatched = read_recorded(folder, known)
    left_out.append(unmatched)
    _warn([*rejects, *from_frame(unmatched)])
    check_scales(folder)
    pairs, unscored = read_sts(folder)
    left_out.append(unscored)
    suites = read_suites(folder, known)
    left_out.append(suites.rejected)
    return Brought(documents, recorded, pairs, suites)


def _warn(rejects: list[Reject]) -> None:
    """Name the files and sheets of which nothing could be read, and those that lie where they are not read."""
    whole = [one for one in rejects if one.item in ("file", "sheet") and one.reason in _HOW]
    lost = [one for one in whole if one.reason != "unsupported" or not one.item_id.startswith("documents/")]
    for one in lost[:_TOLD]:
        say(f"warning: {one.item_id} is {_HOW[one.reason]}: {one.detail}")
    if len(lost) > _TOLD:
        say(f"warning: {len(lost) - _TOLD} more files are left out")


def check_left(folder: Path, left_out: pl.DataFrame, passages: pl.DataFrame) -> None:
    """Make sure that something is left of the set and of every file, suite and source of queries in it.

    Raises:
        UserError: nothing is; says of what, and the first reasons.
    """
    rejects = from_frame(left_out)
    if whole := "; ".join(f"{one.item} {one.item_id} ({one.detail})" for one in rejects if one.reason == ALL):
        raise UserError(f"{folder}: nothing is left of {whole}: mend it or take it out of the set")
    if passages.is_empty():
        raise UserError(
            f"{folder} leaves no passage ({counted(rejects)}): check shared.languages and the section prepare; "
            f"first {first_of(rejects)}"
        )


@contextmanager
def keeping(left_out: list[pl.DataFrame], path: Path) -> Iterator[None]:
    """Write the table Rejected also where the set is refused: there its owner sees why, row by row."""
    try:
        yield
    except UserError as error:
        rejects = [*left_out, *([rejects_frame(error.rejects)] if isinstance(error, RefusedError) else [])]
        if not any(part.height for part in rejects):
            raise
        write_table(pl.concat(rejects).sort(pl.all()), path, Rejected)
        raise UserError(f"{error}; every row that was left out is in {path}") from None
