"""A project once more, with other judgements, in a folder beside the caches, where steps run that need not run twice.

The folder holds links to the project's code and artifacts, its parameters, and a copy of what people said; stages
run in it by their own commands and write by renaming, so that nothing behind a link changes. (Vectors that the
project's embedding cache lacks for an encoder that it knows are added to it.) What a step depends on is what dvc.yaml
declares for it. A step that ended leaves a stamp; one that was killed leaves none and is run again.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import yaml

from nestling.errors import UserError
from nestling.tables.io import write_text

PIPELINE, PARAMS = Path("dvc.yaml"), Path("params.yaml")
ANNOTATIONS, EMBEDDINGS = Path("data/annotations"), Path(".cache/embeddings")
CODE = ("nestling", "stages")
_QUIET = {"DVC_STUDIO_OFFLINE": "true"}  # these trainings are nobody's experiments


@dataclass(frozen=True)
class Declared:
    """What dvc.yaml says of a stage.

    Attributes:
        deps: paths.
        outs: paths.
        params: dotted names and their values in params.yaml.
    """

    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """A piece of work that leaves a stamp.

    Attributes:
        name: of the step.
        folder: where the stamp lies.
        key: hash of all that decides the outcome.
        outs: what it makes.
        work: does it.
        after: steps that it builds on.
    """

    name: str
    folder: Path
    key: str
    outs: tuple[Path, ...]
    work: Callable[[], None]
    after: tuple["Step", ...]

    @property
    def stamp(self) -> Path:
        """The file that says that the step has ended, and under which key."""
        return self.folder / f"{self.name}.stamp"

    def done(self) -> bool:
        """Return whether the step has ended with all that it makes still there."""
        ended = self.stamp.exists() and self.stamp.read_text(encoding="utf-8") == self.key
        return ended and all(out.exists() for out in self.outs)


def build(step: Step) -> None:
    """Do a step and what it builds on, as far as that is not done."""
    if step.done():
        return
    for before in step.after:
        build(before)
    step.stamp.unlink(missing_ok=True)
    step.work()
    write_text(step.key, step.stamp)


def key_of(*parts: Any) -> str:
    """Return the hash of what can be said in JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def digest(path: Path) -> str:
    """Return the hash of a file, or of a folder's files with their names."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return key_of([[file.relative_to(path).as_posix(), digest(file)] for file in files])
    state = path.stat()
    return _file_digest(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def declared(names: Iterable[str], params: dict[str, Any]) -> dict[str, Declared]:
    """Return what dvc.yaml says of some stages.

    Args:
        names: of the stages.
        params: the tree of params.yaml.

    Raises:
        UserError: there is no dvc.yaml, or a path leads out of the project.
    """
    if not PIPELINE.exists():
        raise UserError(f"{PIPELINE} is missing: run from the root of the project")
    stages = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]
    found = {}
    for name in names:
        entry = stages[name]
        outs = [*entry.get("outs", []), *entry.get("metrics", [])]
        values = {one: _value(params, one) for one in entry.get("params", [])}
        found[name] = Declared(
            tuple(_path(one, params) for one in entry["deps"]), tuple(_path(one, params) for one in outs), values
        )
    return found


def _path(entry: Any, params: dict[str, Any]) -> str:
    path = str(next(iter(entry)) if isinstance(entry, dict) else entry)
    for key in (params.get("shared") or {}) if "${" in path else ():
        path = path.replace(f"${{shared.{key}}}", str(_value(params, f"shared.{key}")))
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise UserError(f"{path} leads out of the project: bring it in, and name it in {PARAMS} from the root")
    return path


def _value(tree: Any, name: str) -> Any:
    for step in name.split("."):
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there; never what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lay(folder: Path, stages: Mapping[str, Declared], params: dict[str, Any], annotations: Path | None) -> None:
    """Make a folder in which stages can run; what earlier steps made in it stays.

    Args:
        folder: where.
        stages: those that shall run.
        params: what params.yaml shall hold.
        annotations: the folder of what people said, to be copied; None where nobody said anything.

    Raises:
        UserError: an artifact that a stage reads is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _unlink(folder)  # before anything is put anywhere: no path in the folder may lead out of it
    for path in (*CODE, *_brought(stages)):
        _link(Path(path), folder / path)
    for vectors in EMBEDDINGS.glob("*/"):
        if not (folder / vectors).exists():
            _link(vectors, folder / vectors)
    write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), folder / PARAMS)
    remove(folder / ANNOTATIONS)
    if annotations:
        shutil.copytree(annotations, folder / ANNOTATIONS)
    else:
        (folder / ANNOTATIONS).mkdir(parents=True)


def _unlink(folder: Path) -> None:
    for place, folders, files in os.walk(folder, followlinks=False):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink():
                path.unlink()


def _brought(stages: Mapping[str, Declared]) -> list[str]:
    """Return the data that no stage of these makes, without paths that lie in another of them."""
    made = {out for stage in stages.values() for out in stage.outs}
    read = {dep for stage in stages.values() for dep in stage.deps if PurePath(dep).parts[0] not in CODE}
    brought = read - made - {str(ANNOTATIONS)}
    return sorted(path for path in brought if not {str(one) for one in PurePath(path).parents} & (brought | made))


def _link(source: Path, target: Path) -> None:
    if not source.exists():
        raise UserError(f"{source} is missing: run `dvc repro` first (or `dvc pull` for a colleague's artifacts)")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    target.symlink_to(source.absolute())


def stage_key(name: str, folder: Path, stages: Mapping[str, Declared], after: Iterable[Step]) -> str:
    """Return the key of a stage's step: its parameters, what it reads that no step makes, and the steps before."""
    made = {out for stage in stages.values() for out in stage.outs}
    read = [dep for dep in stages[name].deps if dep not in made and not {*map(str, PurePath(dep).parents)} & made]
    return key_of(
        name, stages[name].params, [[dep, digest(folder / dep)] for dep in read], [step.key for step in after]
    )


def run_stage(name: str, folder: Path, outs: Iterable[str], guard: int) -> None:
    """Run a stage in a folder, where what it left before is removed, as DVC does.

    Args:
        name: of the stage.
        folder: as `lay` made it.
        outs: what the stage writes, by its path in the folder.
        guard: file descriptor that the stage holds open as long as it lives.

    Raises:
        UserError: the stage failed; with its own last sentence.
    """
    for out in outs:
        remove(folder / out)
    log = folder / f"{name}.log"
    with log.open("wb") as told:
        ran = subprocess.run(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=folder,
            env={**os.environ, **_QUIET},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            pass_fds=[guard],
            check=False,
        )
    if ran.returncode:
        raise UserError(f"{name} {folder.name} judgements failed: {_last(log, ran.returncode)}")


def _last(log: Path, code: int) -> str:
    if code < 0:
        return f"it was ended by signal {-code} ({log} has what it said)"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return told[-1] if told else f"{lines[-1] if lines else f'exit code {code}'} ({log} has all that it said)"


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Hold a folder's lock, and yield its file descriptor; a stage that outlives a kill of its command holds it on.

    Raises:
        UserError: another is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"somebody is at work in {folder}: wait until that run has ended, or end it") from None
        yield lock.fileno()
