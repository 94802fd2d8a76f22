"""Copy a folder of documents into a set, and say what was taken, what was left and why."""

import shutil
from collections import Counter
from pathlib import Path

from nestling.cli import say
from nestling.commands.landing import PARAMS, Target, landing
from nestling.corpus.formats import FILE_FORMATS, ROW_FORMATS, kind_of
from nestling.corpus.rejects import ALL, Reject, counted, first_of
from nestling.corpus.rows import MAX_ROW
from nestling.corpus.settings import Settings
from nestling.corpus.sources import Raw, read_rows, repeat, row_documents
from nestling.corpus.walk import Found, walk
from nestling.errors import UserError
from nestling.params import read_params

_SHOWN = 3  # names given for each reason
_PLAIN = ("hidden", "outside_the_set", "too_large", "unsupported")  # reasons that say all


def bring_files(folder: Path, target: Target) -> None:
    """Copy every supported file below `folder` to the set's documents/, under the same relative name.

    Raises:
        UserError: there is no such folder, it overlaps the set, or nothing in it is supported.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds the documents")
    given, folder, end = folder, folder.resolve(), target.folder.resolve()  # it may be a link
    if folder.is_relative_to(end) or end.is_relative_to(folder):
        raise UserError(f"{given} and {target.folder} lie one in the other: give a folder outside data/raw")
    largest = _largest()
    taken, left = choose(walk(folder, folder), largest)
    rows = _counts(taken, largest or MAX_ROW)
    empty = {found: rejects for found, (documents, rejects) in rows.items() if not documents}
    taken = [found for found in taken if found not in empty]
    left += [_emptied(found, rejects) for found, rejects in empty.items()]
    if not taken:
        raise UserError(f"{given} has no file that can be read{_reasons(left)}: see docs/sets.md for the formats")
    with landing(target) as staging:
        for found in taken:
            copy = staging / "documents" / found.path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.path, copy)
        counts = Counter(kind_of(found.name) for found in taken)
        say(f"took {len(taken)} files: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())))
        for found, (documents, rejects) in rows.items():
            if documents:
                unused = f" ({counted(rejects)}; {first_of(rejects)})" if rejects else ""
                say(f"read {found.name}: {documents} documents, {len(rejects)} rows that cannot be used{unused}")
        if left:
            say(f"left {len(left)}{_reasons(left)}")


def choose(there: list[Found], largest: int | None) -> tuple[list[Found], list[Found]]:
    """Return what can be read and what is left, with its reason; only a file that is one document can be too large."""
    taken: list[Found] = []
    left: list[Found] = []
    for found in there:
        kind = kind_of(found.name)
        reason = found.reason or ("" if kind else "unsupported")
        if not reason and kind in FILE_FORMATS and largest is not None and found.path.stat().st_size > largest:
            reason = "too_large"
        (left if reason else taken).append(found._replace(reason=reason))
    return taken, left


def _counts(taken: list[Found], max_bytes: int) -> dict[Found, tuple[int, list[Reject]]]:
    """Return of each file of rows, in the order in which `prepare` reads them, what `_count` does."""
    kept: dict[str, Raw] = {}
    return {found: _count(found, kept, max_bytes) for found in taken if kind_of(found.name) in ROW_FORMATS}


def _count(found: Found, kept: dict[str, Raw], max_bytes: int) -> tuple[int, list[Reject]]:
    """Return how many documents a file of rows adds to those that are `kept`, and the rows that add none."""
    rows = read_rows(found, kind_of(found.name), max_bytes)
    documents, rejects = len(kept), list[Reject]()
    for one in row_documents(rows, found.name, max_bytes, Settings()):
        left = one if isinstance(one, Reject) else repeat(one, kept)
        if left and left.reason != ALL:
            rejects.append(left)
    return len(kept) - documents, rejects


def _emptied(found: Found, rejects: list[Reject]) -> Found:
    whole = rejects[0].reason if len(rejects) == 1 else ALL
    return found._replace(reason=whole, detail=first_of(rejects).removeprefix(f"{found.name}: "))


def _largest() -> int | None:
    section = read_params(PARAMS).get("prepare")
    megabytes = section.get("max_document_mb") if isinstance(section, dict) else None
    return int(megabytes * 1_000_000) if isinstance(megabytes, (int, float)) else None


def _reasons(left: list[Found]) -> str:
    names: dict[str, list[str]] = {}
    for found in left:
        said = f": {found.detail}" if found.detail and found.reason not in _PLAIN else ""
        names.setdefault(found.reason, []).append(found.name + said)
    parts = [
        f"{len(group)} {reason} ({', '.join(group[:_SHOWN])}{' ...' if len(group) > _SHOWN else ''})"
        for reason, group in sorted(names.items())
    ]
    return f": {'; '.join(parts)}" if parts else ""
