"""How files come to lie in a set: built beside it, then moved in, so that a kill leaves nothing half written."""

import filecmp
import io
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from nestling.cli import say
from nestling.corpus.settings import FILE, Scale, Settings, checked, read_settings
from nestling.errors import UserError
from nestling.params import with_param
from nestling.tables.io import write_text

RAW, PARAMS = Path("data/raw"), Path("params.yaml")

_SET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_WIDE = 1000  # characters of a line of set.yaml that are not broken
_GIT_LIMIT = 5_000_000  # bytes of a set up to which git is the place for it


@dataclass(frozen=True)
class Target:
    """The set that files go to, and what its set.yaml shall say."""

    name: str
    replace: bool = False  # put the new file in the place of one with other content
    use: bool = False  # make it the set that is built
    licence: str | None = None
    language: str | None = None
    scales: dict[str, list[float]] = field(default_factory=dict)  # of files of pairs: lowest and highest score

    @property
    def folder(self) -> Path:
        """Return data/raw/<set>."""
        return RAW / self.name


def slug(text: str) -> str:
    """Return `text` as a name may be: lower case ASCII letters, digits, - and _."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")


def set_name(given: str | None, otherwise: str) -> str:
    """Return the name of a set: the given one, or one made of `otherwise`.

    Raises:
        UserError: the name cannot be a set's, or this is not the root of a project.
    """
    if not PARAMS.is_file():
        raise UserError(f"{PARAMS} is missing: run from the root of the project")
    name = slug(otherwise) if given is None else given
    if not _SET_NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot name a set: choose lower case letters, digits, - and _ with --set")
    return name


@contextmanager
def landing(target: Target) -> Iterator[Path]:
    """Yield an empty folder to build in; when the block ends well, its files move into the set, all or none.

    Raises:
        UserError: a file is already in the set with other content, and the target does not allow to replace it.
    """
    checked(_wanted(target), "--licence, --language")
    params = with_param(PARAMS, "shared.set", target.name) if target.use else None
    _sweep(target)
    staging = RAW / f".{target.name}.{os.getpid()}.tmp"
    staging.mkdir(parents=True)
    try:
        yield staging
        _write_settings(target, staging)
        _move(target, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if params is not None:
        write_text(params, PARAMS)
    _say_next(target)


def _sweep(target: Target) -> None:
    """Remove what killed runs left behind."""
    for left in RAW.glob(f".{target.name}.*.tmp"):
        pid = left.suffixes[-2].removeprefix(".") if len(left.suffixes) > 1 else ""
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)


def _write_settings(target: Target, staging: Path) -> None:
    """Put licence and language into set.yaml; they speak for the whole set, so they must not relabel what is there."""
    said = read_settings(target.folder)
    new = {key: value for key, value in _wanted(target).items() if getattr(said, key) != value}
    scales = _scales(target, said)
    if not new and scales == said.sts_scale:
        return
    if new and (target.folder / "documents").exists() and not target.replace:
        key, value = next(iter(new.items()))
        raise UserError(
            f"{target.folder / FILE} does not say `{key}: {value}`, and it speaks for what is there too: "
            "choose another set, or --replace if it holds for all"
        )
    changes = {**new, **({} if scales == said.sts_scale else {"sts_scale": scales})}
    write_text(_with_settings(target.folder / FILE, changes), staging / FILE)


def _wanted(target: Target) -> dict[str, str]:
    wanted = {"licence": target.licence, "language": target.language}
    return {key: value for key, value in wanted.items() if value is not None}


def _with_settings(path: Path, changes: dict[str, Any]) -> str:
    """Return the text of set.yaml with other values, and comments and all else as they are."""
    editor, text = YAML(), io.StringIO()
    editor.preserve_quotes, editor.width, editor.allow_duplicate_keys = True, _WIDE, True
    tree = editor.load(path.read_text(encoding="utf-8")) if path.exists() else None
    tree = CommentedMap() if tree is None else tree
    for name, value in changes.items():
        key = "license" if name == "licence" and "license" in tree else name
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            tree[key].update({file: scale for file, scale in value.items() if tree[key].get(file) != scale})
        else:
            odd = isinstance(value, str) and value.isalnum() and yaml.safe_load(value) != value  # `no`, which is false
            tree[key] = DoubleQuotedScalarString(value) if odd else value
    editor.dump(tree, text)
    return text.getvalue().rstrip("\n") + "\n"


def _scales(target: Target, said: Settings) -> Scale | dict[str, Scale] | None:
    """Return the scales that set.yaml shall name: those there, and those of new files."""
    new = {name: scale for name, scale in target.scales.items() if said.scale(name) != scale}
    if not new:
        return said.sts_scale
    if isinstance(said.sts_scale, list):
        raise UserError(
            f"{target.folder / FILE} says sts_scale: {said.sts_scale} for all files: name there the scale of each, "
            f"such as {{{next(iter(new))}: {next(iter(new.values()))}}}"
        )
    return {**(said.sts_scale or {}), **new}


def _move(target: Target, staging: Path) -> None:
    files = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    changed = [name for name in files if not _same(staging / name, target.folder / name)]
    if blocked := [name for name in changed if _is_blocked(target.folder, name)]:
        raise UserError(
            f"{target.folder / blocked[0]} cannot be: a file and a folder have one name; nothing was changed"
        )
    # set.yaml is not the new files' but the set's: `_write_settings` saw to it that it says of old files what it said
    clashes = [name.as_posix() for name in changed if (target.folder / name).exists() and name != Path(FILE)]
    if clashes and not target.replace:
        shown = ", ".join(clashes[:3]) + (" ..." if len(clashes) > 3 else "")
        raise UserError(
            f"{target.folder} already has {len(clashes)} of these files with other content ({shown}): "
            "nothing was changed; add --replace to overwrite, or choose another --set"
        )
    if target.folder.exists():
        _move_in(target.folder, staging, changed)
    else:
        staging.rename(target.folder)


def _move_in(folder: Path, staging: Path, names: list[Path]) -> None:
    aside = staging / ".replaced"
    moved: list[Path] = []
    try:
        for name in names:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (folder / name).exists():
                (folder / name).replace(aside / name)
            moved.append(name)
            (staging / name).replace(folder / name)
    except BaseException:  # a full disk, missing rights, Ctrl-C: the set stays as it was
        for name in reversed(moved):
            (folder / name).unlink(missing_ok=True)
            if (aside / name).exists():
                (aside / name).replace(folder / name)
        raise


def _is_blocked(folder: Path, name: Path) -> bool:
    return (folder / name).is_dir() or any((folder / parent).is_file() for parent in name.parents)


def _same(new: Path, old: Path) -> bool:
    return old.is_file() and filecmp.cmp(new, old, shallow=False)


def _say_next(target: Target) -> None:
    size = sum(path.stat().st_size for path in target.folder.rglob("*") if path.is_file())
    keep = "dvc add" if size > _GIT_LIMIT else "git add"
    say(f"{target.folder}: {size / 1e6:.1f} MB; keep it: {keep} {target.folder}")
    if target.use:
        say(f"{PARAMS} now says shared.set: {target.name}; next: dvc repro")
    else:
        say(f"next: set shared.set: {target.name} in {PARAMS} (or add --use here), then dvc repro")
