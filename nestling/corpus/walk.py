"""Which files lie in a folder of a set, in an order that no file system decides; links that lead out are not read."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Found(NamedTuple):
    """A file, or something else with the reason why it is not to be read."""

    path: Path
    name: str  # relative to the root, with slashes
    reason: str = ""  # hidden, outside_the_set, unreadable, unsupported; empty for a file
    detail: str = ""


def walk(folder: Path, root: Path) -> list[Found]:
    """Return what lies in `folder`, at any depth, sorted by name; nothing where there is no such folder.

    Names that begin with a dot and DVC's own pointers (`*.dvc`) count as hidden, and hidden folders are not entered.
    """
    if folder.is_symlink() or not folder.is_dir():
        return [judge(folder, root)] if folder.is_symlink() or folder.exists() else []
    return sorted(_visit(folder, root), key=lambda found: found.name)


def name_of(path: Path, root: Path) -> str:
    """Return the name of a file below `root`, with slashes; bytes that are not UTF-8 become replacement marks."""
    return path.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _visit(folder: Path, root: Path) -> Iterator[Found]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _visit(path, root)
        else:
            yield judge(path, root)


def judge(path: Path, root: Path) -> Found:
    """Return a file as it was found below `root`, with the reason if it is not to be read."""
    name = name_of(path, root)
    if path.name.startswith(".") or path.suffix == ".dvc":
        return Found(path, name, "hidden")
    if path.is_symlink():
        return _judge_link(path, name, root)
    return Found(path, name) if path.is_file() else Found(path, name, "unsupported", "not a file")


def _judge_link(path: Path, name: str, root: Path) -> Found:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop, up to Python 3.12
        return Found(path, name, "unreadable", "a link that leads nowhere")
    if not target.is_relative_to(root.resolve()):
        return Found(path, name, "outside_the_set", "a link that leads out of the set")
    return Found(path, name) if target.is_file() else Found(path, name, "unsupported", "a link to a folder")
