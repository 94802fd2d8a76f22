"""What more than two files of tests use."""

import pytest

from tests.project import Project, clone


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the tiny project after `dvc repro`, committed; work on a copy."""
    project = clone(tmp_path_factory.mktemp("built"))
    project.repro()
    project.commit()
    return project
