"""Law 6: kill any stage at any moment and run `dvc repro` again, and it ends with the same artifacts.

Who comes back after a kill types `dvc repro` and nothing else: DVC sees that the process named in .dvc/tmp/rwlock is
dead and clears its entries, and .dvc/tmp/lock is a lock of the kernel, which ends with its process. (Only where the
number of the dead process was given to a new one, as happens in containers, does DVC ask to remove .dvc/tmp/rwlock.)

Two gaps are DVC's: it writes .dvc/tmp/rwlock and dvc.lock in place, so a kill in just those moments tears them. The
next `dvc repro` names the file; the way out is `rm .dvc/tmp/rwlock`, or `git checkout dvc.lock`, and `dvc repro`.
"""

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import yaml

from tests.project import REPOSITORY, Project, clone, remove

STAGES = list(yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
SHORT = {"prepare", "generate", "curate", "balance", "report"}  # those that load no encoder: three more kills each
CACHING = {
    "filter": 1,
    "mine": 1,
    "select": 1,
    "train": 4,
    "evaluate": 1,
}  # kills while embeddings or checkpoints form

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """A clone in which nothing has run."""
    return clone(tmp_path_factory.mktemp("victim"))


def restore_lock(project: Project) -> None:
    """Take dvc.lock as it was committed; before the first commit there is none."""
    if project.run("git", "checkout", "--", "dvc.lock", check=False).returncode:
        remove(project.root / "dvc.lock")


def come_back(project: Project, *targets: str) -> list[str]:
    """Do what a person does after a kill, and what DVC asks for if it was torn itself; return the stages that ran."""
    done = project.run("dvc", "repro", *targets, check=False)
    if "dvc/tmp/rwlock'. JSON structure is corrupted" in done.stderr:
        remove(project.root / ".dvc/tmp/rwlock")
        return come_back(project, *targets)
    if done.returncode and "dvc.lock" in done.stderr:
        restore_lock(project)
        return project.repro(*targets)
    assert done.returncode == 0, done.stderr
    return project.ran(done.stdout)


def forget(project: Project) -> None:
    """Let DVC know nothing of the stage that was killed, should it have ended before; what lies on the disk stays."""
    restore_lock(project)
    remove(project.root / ".dvc/cache/runs")
    rwlock = project.root / ".dvc/tmp/rwlock"
    if rwlock.exists() and not rwlock.read_text(encoding="utf-8"):
        remove(rwlock)  # torn


def kill(project: Project, name: str, reached: Callable[[], bool], delay: float) -> float:
    """Run up to a stage and kill all processes `delay` seconds after a moment is reached; return when that was."""
    forget(project)
    began = time.monotonic()
    with project.root.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            ["dvc", "repro", name],
            cwd=project.root,
            env=project.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while process.poll() is None and not reached():
        time.sleep(0.002)
    moment = time.monotonic() - began
    time.sleep(delay)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return moment


def writing(project: Project, name: str) -> Callable[[], bool]:
    """Return what tells whether a stage has begun to write: DVC removes its outputs before it starts one."""
    outs = [project.root / out for out in project.outs(name) if out not in project.kept(name)]
    beside = {out.parent for out in outs}
    before: list[set[str]] = []

    def began() -> bool:
        now = {str(path) for folder in beside for path in folder.glob("*")}
        if not before and not any(out.exists() for out in outs):
            before.append(now)
        return bool(before) and now != before[0]

    return began


def caching(project: Project) -> Callable[[], bool]:
    """Return what tells whether a stage has begun to write checkpoints or embeddings."""
    folder = project.root / ".cache"
    before = set(folder.rglob("*"))
    return lambda: not set(folder.rglob("*")) <= before


def kill_often(project: Project, name: str, chance: random.Random) -> None:
    """Kill at the writes into .cache, at the first output and soon after, and at any time before."""
    for _ in range(CACHING.get(name, 0)):
        kill(project, name, caching(project), chance.uniform(0, 0.5 if name == "train" else 0.02))
    first = kill(project, name, writing(project, name), chance.uniform(0, 0.03))
    kill(project, name, lambda: True, chance.uniform(0, first))
    for _ in range(3 if name in SHORT else 0):
        kill(project, name, writing(project, name), chance.uniform(0, 0.5))


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_ends_with_the_same_bytes_when_run_again(name, victim, built):
    kill_often(victim, name, random.Random(name))
    come_back(victim, name)
    victim.commit()  # so that the next kills find everything before their stage done
    assert victim.digests(victim.outs(name)) == built.digests(built.outs(name))


def test_after_all_those_kills_nothing_is_left_to_run_and_nothing_differs(victim, built):
    come_back(victim)
    assert victim.repro() == []
    assert victim.digests(victim.outs()) == built.digests(built.outs())


def test_a_torn_lock_file_comes_back_from_git_and_no_stage_runs_again(project, built):
    (project.root / "dvc.lock").write_text("", encoding="utf-8")
    assert "dvc.lock" in project.run("dvc", "repro", check=False).stderr
    assert come_back(project) == []
    assert project.digests([*project.outs(), "dvc.lock"]) == built.digests([*built.outs(), "dvc.lock"])


def test_a_kill_leaves_no_half_file_in_the_cache_of_dvc(victim):
    files = [path for path in (victim.root / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    named = {path: (path.parent.name + path.name).removesuffix(".dir") for path in files}
    assert files
    assert [path for path, name in named.items() if hashlib.md5(path.read_bytes()).hexdigest() != name] == []
