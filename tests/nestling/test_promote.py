"""The tuned model becomes the current encoder: copied, under DVC, named in params.yaml; or nothing changes."""

import subprocess
import sys

import pytest

from nestling.commands.promote import PROMOTED, TUNED, promote
from nestling.errors import UserError

PARAMS = "shared:\n  set: sample\n  current: models/base       # the encoder that mines\nmine:\n  depth: 3\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    (tmp_path / "params.yaml").write_text(PARAMS)
    TUNED.mkdir(parents=True)
    (TUNED / "model.safetensors").write_bytes(b"first")
    return tmp_path


def test_the_tuned_model_becomes_the_current_one(project):
    promote()
    assert (PROMOTED / "model.safetensors").read_bytes() == b"first"
    assert "models/promoted       # the encoder that mines" in (project / "params.yaml").read_text()
    assert (project / "models/promoted.dvc").exists()


def test_promoting_again_replaces_it_and_leaves_nothing_behind(project):
    promote()
    (TUNED / "model.safetensors").write_bytes(b"second")
    before = (project / "models/promoted.dvc").read_text()
    promote()
    assert (PROMOTED / "model.safetensors").read_bytes() == b"second"
    assert (project / "models/promoted.dvc").read_text() != before
    assert sorted(path.name for path in PROMOTED.parent.iterdir() if "tmp" in path.name) == []


def test_without_a_tuned_model_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no models/tuned to promote"):
        promote()


def test_where_dvc_fails_the_current_one_stays(project):
    promote()
    (TUNED / "model.safetensors").write_bytes(b"second")
    (project / ".dvc/config").write_text("[core\n")
    with pytest.raises(UserError, match="dvc add"):
        promote()
    assert (PROMOTED / "model.safetensors").read_bytes() == b"first"


def test_what_a_kill_left_aside_comes_back(project):
    promote()
    PROMOTED.rename(PROMOTED.with_name(".promoted.1.old.tmp"))
    TUNED.rename(TUNED.with_name("gone"))
    with pytest.raises(UserError):
        promote()
    TUNED.with_name("gone").rename(TUNED)
    promote()
    assert (PROMOTED / "model.safetensors").read_bytes() == b"first"
