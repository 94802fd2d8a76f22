"""Make the base encoder: from the corpus itself, from the hub, or from a folder. All later stages load it from here.

Reads   data/prepared/passages.parquet (Passage)
Writes  models/base/, reports/base.json
"""

from pathlib import Path

from pydantic import Field

from nestling.cli import run, say
from nestling.corpus.passages import body_of, sentences_of
from nestling.models import fingerprint
from nestling.params import StageParams
from nestling.retrieval.encoders import EncoderParams, dimension, make_encoder, save_encoder
from nestling.tables.corpus import Passage
from nestling.tables.io import read_table, write_json

OUT = Path("models/base")


class BaseParams(StageParams, section="base", shared=("seed",)):
    seed: int
    encoder: EncoderParams = Field(discriminator="kind")


def main() -> None:
    params = BaseParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    bodies = passages.select("title", "text", "language").iter_rows()
    sentences = [sentence for title, text, code in bodies for sentence in sentences_of(body_of(title, text), code)]
    model = make_encoder(params.encoder, passages["text"].to_list(), sentences, params.seed)
    save_encoder(model, OUT)
    report = {
        "kind": params.encoder.kind,
        "dims": dimension(model),
        "parameters": sum(tensor.numel() for tensor in model.state_dict().values()),
        "sha256": fingerprint(OUT),
    }
    write_json(report, "reports/base.json")
    say(f"base: {report['kind']} encoder of {report['dims']} dimensions")


if __name__ == "__main__":
    run(main)
