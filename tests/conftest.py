"""What more than two files of tests use."""

from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.argilla import argilla
from tests.project import Project, clone

__all__ = ["argilla"]  # a fixture

settings.register_profile("nestling", deadline=None)  # what else the machine does is no failure
settings.load_profile("nestling")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """Return the tiny project after `dvc repro`, committed; work on a copy.

    Where tests run in several processes, the first that needs it builds it and the others wait for it.
    """
    own = tmp_path_factory.mktemp("built")
    shared = tmp_path_factory.getbasetemp().parent / "built" if worker_id != "master" else own / "project"
    with FileLock(shared.with_name("built.lock")):
        if not (shared / "dvc.lock").exists():
            project = clone(own / "making")
            project.repro()
            project.commit()
            project.root.rename(shared)
    return Project(shared).copy(own / "copy")


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Return a copy of the tiny project, to be changed at will."""
    return built.copy(tmp_path / "project")
