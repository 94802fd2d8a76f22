import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nestling.errors import UserError
from nestling.llm.backend import ModelParams
from nestling.llm.weights import check_length, check_memory, context_length, free_memory, locate, needed_bytes
from nestling.models import fingerprint
from tests.tiny_llm import tiny_llm

POSITIONS = 512
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return tiny_llm(tmp_path_factory.mktemp("weights") / "tiny", POSITIONS, seed=1)


@pytest.fixture
def folder(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "tiny"))


def pinned(folder):
    return ModelParams(name=str(folder), revision=fingerprint(folder))


def rewrite(file, **changes):
    tree = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in tree.items() if value is not None}))


def test_a_folder_is_found_by_the_fingerprint_that_pins_it(folder):
    assert locate(pinned(folder)) == folder


def test_the_same_model_is_built_in_the_same_bytes(folder, tmp_path):
    assert fingerprint(tiny_llm(tmp_path / "again", POSITIONS, seed=1)) == fingerprint(folder)
    assert fingerprint(tiny_llm(tmp_path / "other", POSITIONS, seed=2)) != fingerprint(folder)


@pytest.mark.parametrize("revision", ["", "0" * 64])
def test_a_folder_with_another_fingerprint_says_its_own(folder, revision):
    with pytest.raises(UserError, match=f"has the fingerprint {fingerprint(folder)}.*generate.llm.model.revision"):
        locate(ModelParams(name=str(folder), revision=revision))


@pytest.mark.parametrize("name", ["/nowhere/model", "./nowhere", "../no/where", "~/nowhere", "nowhere", "a/b/c"])
def test_a_folder_that_is_missing_is_named(name):
    with pytest.raises(UserError, match=r"there is no folder .*: correct generate.llm.model.name .*owner/name"):
        locate(ModelParams(name=name, revision="0" * 64))


@pytest.mark.parametrize("name", ["m.Q4_K_M.gguf", "/nowhere/m.GGUF", "casa/modello-GGUF", "casa/modello/m.gguf"])
def test_a_gguf_file_is_told_how_to_be_converted(name):
    with pytest.raises(UserError, match=r"is GGUF, .*`python -m nestling.llm.gguf FILE FOLDER`.*docs/llm.md"):
        locate(ModelParams(name=name, revision="0" * 64))


def test_a_folder_with_nothing_but_gguf_is_told_the_same_and_one_with_both_is_a_model(folder):
    (folder / "model.gguf").touch()
    assert locate(pinned(folder)) == folder
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"is GGUF"):
        locate(pinned(folder))


@pytest.mark.parametrize("revision", ["", "main", "v1.0", COMMIT[:-1], COMMIT.upper(), "0" * 64])
def test_a_model_of_the_hub_wants_a_commit(revision):
    with pytest.raises(UserError, match=r"generate.llm.model.revision is '.*': .*40 digits"):
        locate(ModelParams(name="casa/modello", revision=revision))


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "loads no pickled weights"),
        ("tokenizer.json", "holds no tokenizer"),
        ("chat_template.jinja", "holds no chat template"),
    ],
)
def test_a_part_that_is_missing_is_named(folder, lost, sentence):
    (folder / "pytorch_model.bin").touch()
    (folder / lost).unlink()
    with pytest.raises(UserError, match=f"^generate.llm.model: {folder} .*{sentence}"):
        locate(pinned(folder))


def test_a_chat_template_may_stand_in_the_tokenizers_config(folder):
    rewrite(folder / "tokenizer_config.json", chat_template=(folder / "chat_template.jinja").read_text())
    (folder / "chat_template.jinja").unlink()
    assert locate(pinned(folder)) == folder


def test_code_of_its_own_is_never_run(folder):
    rewrite(folder / "config.json", auto_map={"AutoModel": "modeling.Model"})
    with pytest.raises(UserError, match="asks for code of its own"):
        locate(pinned(folder))


def test_a_broken_config_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json is not valid JSON .*: bring the model anew"):
        locate(pinned(folder))


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, POSITIONS),
        ({"max_position_embeddings": None, "n_positions": 64}, 64),
        ({"max_position_embeddings": None, "text_config": {"max_position_embeddings": 128}}, 128),
        ({"rope_parameters": {"rope_type": "linear", "factor": 4.0}}, 4 * POSITIONS),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 2 * POSITIONS),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, POSITIONS),
    ],
)
def test_the_context_length_is_the_configs(folder, changes, length):
    rewrite(folder / "config.json", **changes)
    assert context_length(folder) == length


def test_a_config_without_a_length_is_told(folder):
    rewrite(folder / "config.json", max_position_embeddings=None)
    with pytest.raises(UserError, match="tells no max_position_embeddings"):
        context_length(folder)


def test_no_prompt_may_be_longer_than_the_model_reads(folder):
    check_length(folder, POSITIONS)
    with pytest.raises(UserError, match=f"max_model_len is {POSITIONS + 1}, but the model ends at {POSITIONS} tokens"):
        check_length(folder, POSITIONS + 1)


@pytest.mark.parametrize(("dtype", "share"), [("float32", 1.0), ("bfloat16", 0.5), ("float16", 0.5), ("auto", 0.5)])
def test_weights_are_weighed_as_they_will_stand_in_memory(folder, dtype, share):
    stored = (folder / "model.safetensors").stat().st_size
    assert needed_bytes(folder, dtype) == pytest.approx(stored * share, rel=0.01)


def test_a_quantised_model_takes_what_it_takes_on_disk(folder):
    save_file(
        {"packed": torch.zeros(10, 10, dtype=torch.uint8), "scales": torch.zeros(10)}, folder / "model.safetensors"
    )
    assert needed_bytes(folder, "bfloat16") == 100 + 10 * 2
    rewrite(folder / "config.json", quantization_config={"quant_method": "awq"})
    assert needed_bytes(folder, "bfloat16") == 100 + 10 * 4


def test_only_the_files_of_the_index_count(folder):
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    alone = needed_bytes(folder, "auto") // 2
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    assert needed_bytes(folder, "auto") == alone
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model.safetensors is missing: bring the model whole"):
        needed_bytes(folder, "auto")


@pytest.mark.parametrize(("bytes_left", "sentence"), [(0, "is not a safetensors"), (50, "is not"), (-1, "is cut")])
def test_a_file_that_is_cut_is_named(folder, bytes_left, sentence):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:bytes_left])
    with pytest.raises(UserError, match=f"model.safetensors {sentence}.*: bring the model anew"):
        needed_bytes(folder, "auto")


def test_weights_that_do_not_fit_are_told_with_the_ways_out():
    check_memory(2**30, 2**30)
    with pytest.raises(UserError, match=r"take 14.0 GiB, and 7.5 GiB are free: take a smaller .* a server"):
        check_memory(14 * 2**30, 15 * 2**29)


def test_what_is_free_is_known_and_gpus_that_are_not_there_are_told():
    assert free_memory(1) > 2**20
    with pytest.raises(UserError, match=r"tensor_parallel is 99, but \d+ GPUs are visible: lower it"):
        free_memory(99)
