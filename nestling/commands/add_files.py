"""Copy a folder of documents into a set, and say what was taken, what was left and why."""

import shutil
from collections import Counter
from pathlib import Path

from nestling.cli import say
from nestling.commands.landing import PARAMS, Target, landing
from nestling.corpus.formats import FILE_FORMATS, kind_of
from nestling.corpus.walk import Found, walk
from nestling.errors import UserError
from nestling.params import read_params

_SHOWN = 3  # names given for each reason


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
    if not taken:
        raise UserError(f"{folder} has no file that can be read{_reasons(left)}: see docs/sets.md for the formats")
    with landing(target) as staging:
        for found in taken:
            copy = staging / "documents" / found.path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.path, copy)
        counts = Counter(kind_of(found.name) for found in taken)
        say(f"took {len(taken)} files: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())))
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


def _largest() -> int | None:
    section = read_params(PARAMS).get("prepare")
    megabytes = section.get("max_document_mb") if isinstance(section, dict) else None
    return int(megabytes * 1_000_000) if isinstance(megabytes, (int, float)) else None


def _reasons(left: list[Found]) -> str:
    names: dict[str, list[str]] = {}
    for found in left:
        names.setdefault(found.reason, []).append(found.name)
    parts = [
        f"{len(group)} {reason} ({', '.join(group[:_SHOWN])}{' ...' if len(group) > _SHOWN else ''})"
        for reason, group in sorted(names.items())
    ]
    return f": {'; '.join(parts)}" if parts else ""
