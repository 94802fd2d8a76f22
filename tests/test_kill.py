"""Law 5: kill any stage at any moment and run `dvc repro` again, and it ends with the same artifacts.

A person who comes back after a kill types `dvc repro`, nothing else. DVC finds that the process in .dvc/tmp/rwlock is
dead and clears its entry; .dvc/tmp/lock is a lock of the kernel, which dies with its process.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.project import REPOSITORY, Project

STAGES = list(yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
CHEAP = {"prepare", "generate", "curate", "balance", "report"}  # those that load no encoder
CHECKPOINTS = Path(".cache/train")

pytestmark = pytest.mark.slow


def forget(project: Project, name: str) -> None:
    """Make a stage one that never ran to its end; what it left behind stays."""
    file = project.root / "dvc.lock"
    lock = yaml.safe_load(file.read_text(encoding="utf-8"))
    lock["stages"].pop(name, None)
    file.write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")


def kill(project: Project, name: str, reached: Callable[[], bool], delay: float) -> float:
    """Run a stage through DVC and kill all of it `delay` seconds after a moment is reached; return when that was."""
    command, began = ["dvc", "repro", "--no-run-cache", "--single-item", name], time.monotonic()
    with (project.root / "killed.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=project.root, env=project.environment, stdout=log, stderr=log, start_new_session=True
        )
    while process.poll() is None and not reached():
        time.sleep(0.002)
    moment = time.monotonic() - began
    time.sleep(delay)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return moment


def writes(project: Project, name: str) -> Callable[[], bool]:
    """Return what tells whether the stage has begun to write: DVC clears its outputs before it runs one."""
    outs = [project.root / out for out in project.outs(name)]
    folders, before = {out.parent for out in outs}, None

    def began() -> bool:
        nonlocal before
        if before is None:
            before = None if any(out.exists() for out in outs) else _listed(folders)
        return before is not None and _listed(folders) != before

    return began


def _listed(folders: set[Path]) -> set[str]:
    return {str(path) for folder in folders for path in folder.glob("*")}


def checkpointed(project: Project) -> Callable[[], bool]:
    return lambda: any((project.root / CHECKPOINTS).rglob("whole"))


def kill_often(project: Project, name: str, chance: random.Random) -> None:
    """Kill near the writes, at any time before, and, where a stage is short or keeps checkpoints, more often."""
    first = kill(project, name, writes(project, name), chance.uniform(0, 0.05))
    forget(project, name)
    kill(project, name, lambda: True, chance.uniform(0, first))
    for _ in range(2 if name in CHEAP else 0):
        forget(project, name)
        kill(project, name, writes(project, name), chance.uniform(0, 0.5))
    for _ in range(3 if name == "train" else 0):
        forget(project, name)
        kill(project, name, checkpointed(project), chance.uniform(0, 0.3))


@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_ends_with_the_same_bytes_when_run_again(name, built, tmp_path):
    project = built.copy(tmp_path / "killed", without=[".dvc/cache", ".cache", *built.outs(name)])
    forget(project, name)
    kill_often(project, name, random.Random(name))
    assert project.repro() in ([name], [])  # what follows sees no other byte, so it does not run
    assert project.digests(project.outs()) == built.digests(built.outs())
