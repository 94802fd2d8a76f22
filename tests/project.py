"""A project in a temporary folder: the repository's own code and DVC files, and a set of thirty documents."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
CLONED = (
    "nestling",
    "stages",
    "dvc.yaml",
    "params.yaml",
    ".gitignore",
    "data/.gitignore",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvc/plots",
)
THEMES, EACH, PAIRS = ("comune", "cucina", "mare"), 10, 60
SMALL = {
    "shared.set": "tiny",
    "prepare.dev_share": 0.1,
    "prepare.test_share": 0.1,
    "base.encoder.dims": 64,
    "generate.sources.1.keywords": 3,
    "select.audit": 10,
    "select.active": 10,
    "select.clusters": 4,
    "select.pairs": 5,
    "curate.replicates": 100,
    "train.dims": [64, 32],
    "train.weights": [1.0, 1.0],
    "train.phases.0.epochs": 1.0,
    "train.phases.0.batch_size": 64,
    "evaluate.replicates": 200,
    "report.quote_examples": True,
}


@dataclass(frozen=True)
class Project:
    """A folder that holds what a clone holds, and ways to work in it."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """One thread, no network, and nothing of DVC, git or Python that belongs to somebody else."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("DVC", "GIT_", "PYTHON"))}
        person = {f"GIT_{who}_{what}": "a@b.it" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        apart = {"DVC_SITE_CACHE_DIR": f"{self.root}/.dvc/tmp/site", "DVC_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{mine.get('PATH', '')}"
        return mine | person | apart | {"OMP_NUM_THREADS": "1", "PATH": tools}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; unless told otherwise it must end well."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def stage(self, name: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one stage without DVC."""
        return self.run("python", "-m", f"stages.{name}", check=check)

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro` and return the stages that ran."""
        return self.ran(self.run("dvc", "repro", *arguments).stdout)

    @staticmethod
    def ran(said: str) -> list[str]:
        """Return the stages that ran, from what `dvc repro` said."""
        return [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def params(self) -> dict[str, Any]:
        """Return params.yaml."""
        return dict(yaml.safe_load((self.root / "params.yaml").read_text(encoding="utf-8")))

    def change(self, values: dict[str, Any]) -> None:
        """Set parameters, each named by its dotted path."""
        tree: Any = self.params()
        for path, value in values.items():
            *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
            place = tree
            for step in steps:
                place = place[step]
            place[last] = value
        self.write_params(tree)

    def write_params(self, tree: dict[str, Any]) -> None:
        """Write params.yaml."""
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        (self.root / "params.yaml").write_text(text, encoding="utf-8")

    def declared(self) -> dict[str, dict[str, Any]]:
        """Return the stages of dvc.yaml with the parameters put into its paths."""
        text = (self.root / "dvc.yaml").read_text(encoding="utf-8")
        for key, value in self.params()["shared"].items():
            text = text.replace("${shared." + key + "}", str(value))
        return dict(yaml.safe_load(text)["stages"])

    def outs(self, *names: str) -> list[str]:
        """Return the declared outputs of stages, or of all stages."""
        stages = self.declared()
        entries = [
            entry for name in names or stages for kind in ("outs", "metrics") for entry in stages[name].get(kind, [])
        ]
        return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]

    def kept(self, name: str) -> list[str]:
        """Return the outputs of a stage that DVC leaves standing when it runs it."""
        entries = [entry for entry in self.declared()[name].get("outs", []) if isinstance(entry, dict)]
        return [path for entry in entries for path, how in entry.items() if how.get("persist")]

    def digests(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of every file at or below the paths."""
        found = [
            file for path in paths for file in (self.root / path, *(self.root / path).rglob("*")) if file.is_file()
        ]
        return {
            file.relative_to(self.root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found
        }

    def copy(self, folder: Path, without: Iterable[str] = ()) -> "Project":
        """Return a copy of the project that lacks some paths."""
        shutil.copytree(self.root, folder, dirs_exist_ok=True)
        for path in without:
            remove(folder / path)
        return Project(folder)


def cached(project: Project) -> list[str]:
    """Return the keys of the responses that the project's cache holds; read-only, so that a stage is left alone."""
    path = project.root / "data/response_cache/responses.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as database:
        there = database.execute("SELECT name FROM sqlite_master").fetchall()
        return [key for (key,) in database.execute("SELECT key FROM responses")] if there else []


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def take(source: Path, target: Path) -> None:
    """Copy a file or a folder, without compiled Python."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


def clone(folder: Path) -> Project:
    """Return a new project: what a clone holds, with the tiny set in place of the sample, and git's first commit.

    DVCLive needs a commit to stand on.
    """
    project = Project(folder)
    for path in CLONED:
        take(REPOSITORY / path, folder / path)
    write_tiny_set(folder / "data/raw/tiny")
    (folder / "data/annotations").mkdir()
    (folder / "data/annotations/.gitkeep").touch()
    project.change(SMALL)
    project.run("git", "init", "--quiet")
    project.commit()
    return project


def write_tiny_set(folder: Path) -> None:
    """Write three themes of the sample: 30 documents, their recorded and gold queries, some pairs."""
    sample, ids = REPOSITORY / "data/raw/sample", set[str]()
    for theme in THEMES:
        lines = _lines(sample / f"documents/{theme}.jsonl")[:EACH]
        ids |= {json.loads(line)["_id"] for line in lines}
        _write(folder / f"documents/{theme}.jsonl", lines)
    head, *judged = _lines(sample / "eval/gold/qrels/test.tsv")
    judged = [line for line in judged if line.split("\t")[1] in ids]
    asked = {line.split("\t")[0] for line in judged}
    gold = [line for line in _lines(sample / "eval/gold/queries.jsonl") if json.loads(line)["_id"] in asked]
    recorded = [line for line in _lines(sample / "queries.jsonl") if json.loads(line)["document_id"] in ids]
    _write(folder / "eval/gold/qrels/test.tsv", [head, *judged])
    _write(folder / "eval/gold/queries.jsonl", gold)
    _write(folder / "queries.jsonl", recorded)
    _write(folder / "eval/sts.csv", _lines(sample / "eval/sts.csv")[: PAIRS // 2])
    _write(folder / "sts/train.csv", _lines(sample / "sts/train.csv")[:PAIRS])
    shutil.copy(sample / "set.yaml", folder)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
