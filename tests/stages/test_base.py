import json
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.retrieval.encoders import dimension, load_encoder
from nestling.tables.corpus import SPLITS, Passage
from nestling.tables.io import write_table
from stages.base import OUT, BaseParams, main
from tests.encoders import tiny_bert

STATIC = {"kind": "static", "dims": 4, "views": {"word": 1.0}, "saturation": 1.2, "max_features": 100}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with two passages of two sentences each."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, STATIC)
    one = pl.lit(1, dtype=pl.UInt32)
    text = ["Mulino\nIl mulino macina. Il grano cresce.", "Baita\nLa baita apre. La neve cade."]
    passages = pl.DataFrame(
        {"passage_id": [f"{n:020x}" for n in range(2)], "title": ["Mulino", "Baita"], "text": text}
    )
    whole = passages.with_columns(
        document_id="title", group_id="title", start=one, end=one + 1, language=pl.lit("it"),
        licence=pl.lit(None, dtype=pl.String), split=pl.lit("train").cast(pl.Enum(SPLITS)),
    )  # fmt: skip
    write_table(whole, "data/prepared/passages.parquet", Passage)
    return tmp_path


def write_params(folder, encoder):
    (folder / "params.yaml").write_text(yaml.safe_dump({"shared": {"seed": 1}, "base": {"encoder": encoder}}))


def test_an_encoder_is_made_from_the_passages_and_their_sentences(project):
    main()
    model = load_encoder(OUT)
    report = json.loads((project / "reports/base.json").read_text())
    assert dimension(model) == report["dims"] == 4  # two passages have two directions, their sentences the others
    assert report["sha256"] == fingerprint(OUT)
    query, mill, hut = model.encode(["grano", "Il mulino macina. Il grano cresce.", "La baita apre."])
    assert query @ mill > query @ hut


def test_making_it_again_gives_the_same_bytes(project):
    main()
    first = fingerprint(OUT)
    main()
    assert fingerprint(OUT) == first


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        (STATIC | {"kind": "statc"}, "base.encoder.kind is 'statc': there are 'static', 'hub', 'path'"),
        (STATIC | {"dims": 0}, "base.encoder.dims is 0: input should be greater than 0"),
        (STATIC | {"views": {"wrd": 1.0}}, "'wrd': string should match pattern"),
        (STATIC | {"views": {}}, "base.encoder.views is {}: dictionary should have at least 1 item"),
        (STATIC | {"dim": 3}, "base.encoder.dim is not a parameter"),
    ],
)
def test_a_mistaken_encoder_is_one_sentence(project, encoder, sentence):
    write_params(project, encoder)
    with pytest.raises(UserError, match=sentence):
        BaseParams.load()


def with_train(folder, encoder, **train):
    write_params(folder, encoder)
    file = folder / "params.yaml"
    phase = {"name": "one", "learning_rate": 1.0e-5, "batch_size": 4, "tasks": []}
    tree = yaml.safe_load(file.read_text()) | {"train": {"dims": [4], "phases": [phase]} | train}
    file.write_text(yaml.safe_dump(tree))


def by_path(folder):
    prompts = {"query_prompt": "query: ", "passage_prompt": "passage: "}
    return {"kind": "path", "folder": str(folder), "sha256": fingerprint(folder), "max_tokens": 32, **prompts}


def test_more_dimensions_than_it_came_out_with_are_told_at_once(project):
    with_train(project, STATIC | {"dims": 64}, dims=[64, 4])
    with pytest.raises(
        UserError, match=r"train.dims holds 64, but the encoder has \d dimensions: lower train.dims, or give"
    ):
        main()
    assert not OUT.exists()
    assert not (project / "reports").exists()


def test_a_transformer_is_not_begun_with_a_static_encoder_s_settings(project):
    tiny_bert().save_pretrained(str(project / "bert"), create_model_card=False)
    phase = {"name": "one", "learning_rate": 5.0e-4}
    with_train(project, by_path(project / "bert"), dims=[768, 8], phases=[phase])
    with pytest.raises(UserError, match=r"train.dims holds 768, .* has 16 .*; train.phases one: learning_rate 0.0005"):
        main()
    assert not OUT.exists()


def test_what_training_a_transformer_costs_is_said_and_decides_nothing(project, capsys, monkeypatch):
    tiny_bert().save_pretrained(str(project / "bert"), create_model_card=False)
    task = {"data": "retrieval", "negatives": 1, "loss": {"kind": "nested_mnrl"}}
    phase = {"name": "one", "learning_rate": 1.0e-5, "batch_size": 10**9, "epochs": 10**9, "tasks": [task]}
    with_train(project, by_path(project / "bert"), dims=[8], phases=[phase])
    main()
    said = capsys.readouterr().err
    assert "base: train.phases one: a step may want" in said
    assert dimension(load_encoder(OUT)) == 16
    first = fingerprint(OUT)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)  # there nothing is timed
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=2**60))
    main()
    assert fingerprint(OUT) == first
