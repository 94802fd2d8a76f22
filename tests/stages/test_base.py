import json

import polars as pl
import pytest
import yaml

from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.retrieval.encoders import dimension, load_encoder
from nestling.tables.corpus import SPLITS, Passage
from nestling.tables.io import write_table
from stages.base import OUT, BaseParams, main

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
