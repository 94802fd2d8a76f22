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
from nestling.corpus.sources import read_rows, row_documents
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
    source, end = folder.resolve(), target.folder.resolve()
    if source.is_relative_to(end) or end.is_relative_to(source):
        raise UserError(f"{folder} and {target.folder} lie one in the other: give a folder outside data/raw")
    taken, left = choose(walk(folder, folder), _largest())
    rows = {found: _count(found) for found in taken if kind_of(found.name) in ROW_FORMATS}
    empty = {found: rejects for found, (documents, rejects) in rows.items() if not documents}
    taken = [found for found in taken if found not in empty]
    left += [_emptied(found, rejects) for found, rejects in empty.items()]
    if not taken:
        raise UserError(f"{folder} has no file that can be read{_reasons(left)}: see docs/sets.md for the formats")
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


def _count(found: Found) -> tuple[int, list[Reject]]:
    """Return how many documents a file of rows holds, and the rows that hold none."""
    rows = read_rows(found, kind_of(found.name), MAX_ROW)
    documents, rejects = 0, list[Reject]()
    for one in row_documents(rows, found.name, MAX_ROW, Settings()):
        if not isinstance(one, Reject):
            documents += 1
        elif one.reason != ALL:
            rejects.append(one)
    return documents, rejects


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
