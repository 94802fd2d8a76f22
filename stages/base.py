"""Make the base encoder: from the corpus itself, from the hub, or from a folder. All later stages load it from here.

Reads   data/prepared/passages.parquet (Passage)
Writes  models/base/, reports/base.json
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from pydantic import Field
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer

from nestling.cli import run, say
from nestling.corpus.passages import body_of, sentences_of
from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.params import StageParams, read_params
from nestling.plausible import Machine, Traits, cautions, faults
from nestling.retrieval.encoders import (
    EncoderParams,
    dimension,
    imitates_bf16,
    make_encoder,
    save_encoder,
    traits_of,
)
from nestling.tables.corpus import Passage
from nestling.tables.io import read_table, write_json

OUT = Path("models/base")
_SAMPLE = 4  # passages by which the speed of this machine is told


class BaseParams(StageParams, section="base", shared=("seed",)):
    seed: int
    encoder: EncoderParams = Field(discriminator="kind")


def must_be_plausible(tree: dict[str, Any], traits: Traits) -> None:
    """Raise a UserError where this encoder cannot be trained as params.yaml says.

    The section `train` is looked at and not declared to DVC: nothing that is written here depends on it, and a change
    of it must not make the encoder again. The stage `train`, which then runs first, looks at it likewise.
    """
    if wrong := faults(tree, traits):
        raise UserError("; ".join(wrong))


def foretell(tree: dict[str, Any], model: SentenceTransformer, texts: Sequence[str]) -> None:
    """Say what training this encoder will cost more than somebody may expect."""
    machine = Machine(_memory(), _speed(model, texts), imitates_bf16())
    for caution in cautions(tree, traits_of(model), machine, len(texts)):
        say(f"base: {caution}")


def _memory() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().total)


def _speed(model: SentenceTransformer, texts: Sequence[str]) -> float | None:
    """Return the tokens a second that a transformer reads here, by a few passages; None where that is no matter."""
    sample = list(texts[:_SAMPLE])
    if torch.cuda.is_available() or not sample or not isinstance(model[0], Transformer):
        return None
    tokens = int(model.preprocess(sample)["attention_mask"].sum())
    began = time.perf_counter()
    model.encode(sample, batch_size=_SAMPLE, show_progress_bar=False)
    return tokens / max(time.perf_counter() - began, 1e-9)


def main() -> None:
    params = BaseParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    bodies = passages.select("title", "text", "language").iter_rows()
    sentences = [sentence for title, text, code in bodies for sentence in sentences_of(body_of(title, text), code)]
    model = make_encoder(params.encoder, passages["text"].to_list(), sentences, params.seed)
    tree = read_params(Path("params.yaml"))
    must_be_plausible(tree, traits_of(model))
    save_encoder(model, OUT)
    report = {
        "kind": params.encoder.kind,
        "dims": dimension(model),
        "parameters": sum(tensor.numel() for tensor in model.state_dict().values()),
        "sha256": fingerprint(OUT),
    }
    write_json(report, "reports/base.json")
    say(f"base: {report['kind']} encoder of {report['dims']} dimensions")
    foretell(tree, model, passages["text"].to_list())  # last: a tokenizer that has been used is saved in other bytes


if __name__ == "__main__":
    run(main)
