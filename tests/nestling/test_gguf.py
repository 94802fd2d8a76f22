"""GGUF files: found by path or package; what cannot be converted is one sentence. A whole one: test_smollm2.py."""

import sys

import gguf
import numpy as np
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


def write_gguf(path, architecture="llama"):
    """Write a file of a size, a vocabulary and a tensor."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_block_count(1)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((2, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_is_one_sentence_wherever_it_ends(tmp_path, share):
    write_gguf(tmp_path / "a.gguf")
    whole = (tmp_path / "a.gguf").read_bytes()
    (tmp_path / "a.gguf").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"a.gguf cannot be converted \(.*\): "):
        convert(tmp_path / "a.gguf", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_an_architecture_that_is_not_known_is_one_sentence(tmp_path):
    write_gguf(tmp_path / "a.gguf", "nonsense")
    with pytest.raises(UserError, match="architecture nonsense is not supported"):
        convert(tmp_path / "a.gguf", tmp_path / "out")


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"a.gguf cannot be converted \(.*\): ") as told:
        convert(tmp_path / "a.gguf", tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
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
