"""GGUF files: found by path or package; what cannot be converted is one sentence. A whole one: test_smollm2.py."""

import sys

import pytest

from nestling.errors import UserError
from nestling.llm.gguf import convert, located, main


def test_a_file_is_found_by_its_path_or_by_the_package_that_holds_it(tmp_path, monkeypatch):
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('is never run')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="package some_weights holds 0 GGUF files: name the file itself"):
        located("some_weights")
    (package / "a.gguf").touch()
    assert located("some_weights") == located(str(package / "a.gguf")) == package / "a.gguf"
    (package / "b.gguf").touch()
    with pytest.raises(UserError, match="holds 2 GGUF files"):
        located("some_weights")


@pytest.mark.parametrize("name", ["nowhere", "./nowhere.gguf", "no.where", ""])
def test_what_is_not_there_is_told(name):
    with pytest.raises(UserError, match="there is no file or package"):
        located(name)


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    pytest.importorskip("gguf", reason="gguf is not installed: pip install -e '.[gguf]'")
    (tmp_path / "a.gguf").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"a.gguf cannot be converted \(.*\): ") as told:
        convert(tmp_path / "a.gguf", tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    pytest.importorskip("gguf", reason="gguf is not installed: pip install -e '.[gguf]'")
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="is not empty: name a new folder"):
        convert(tmp_path / "a.gguf", tmp_path)


def test_without_the_package_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UserError, match=r"needs the package gguf: pip install .*\[gguf\]"):
        convert(tmp_path / "a.gguf", tmp_path / "out")


def test_the_command_says_how_it_is_used(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gguf"])
    with pytest.raises(UserError, match=r"python -m nestling\.llm\.gguf FILE FOLDER"):
        main()
