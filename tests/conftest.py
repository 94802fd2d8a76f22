"""What more than two files of tests use."""

from pathlib import Path

import pytest

from tests.argilla import argilla
from tests.project import Project, clone

__all__ = ["argilla"]  # a fixture


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the tiny project after `dvc repro`, committed; work on a copy."""
    project = clone(tmp_path_factory.mktemp("built"))
    project.repro()
    project.commit()
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Return a copy of the tiny project, to be changed at will."""
    return built.copy(tmp_path / "project")
