"""Get an encoder by name, keep it in a folder, load it from there: safetensors only, remote code never."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import sentence_transformers
import torch
import transformers
from pydantic import Field, PositiveInt
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer

from nestling.errors import UserError
from nestling.models import fetch, fingerprint
from nestling.params import Strict
from nestling.plausible import Traits, dims_fault, of_transformer
from nestling.retrieval.static import CODE, Features, StaticBag, build_static

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DIMS = "matryoshka.json"
View = Annotated[str, Field(pattern=r"^(word|prefix[1-9]|gram[1-9])$")]
_OURS = f"{StaticBag.__module__}.{StaticBag.__qualname__}"
_PICKLED = ("pytorch_model*.bin", "adapter_model*.bin")


class StaticParams(Strict):
    """An encoder made from the corpus itself; no download."""

    kind: Literal["static"]
    dims: PositiveInt
    views: dict[View, float] = Field(min_length=1)  # word, prefix<n>, gram<n> -> weight
    saturation: float = Field(gt=0)
    max_features: PositiveInt


class HubParams(Strict):
    """An encoder of the Hugging Face hub, at a revision that cannot move."""

    kind: Literal["hub"]
    model: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    max_tokens: PositiveInt
    query_prompt: str
    passage_prompt: str


class PathParams(Strict):
    """An encoder in a local folder, pinned by the hash of what is in it."""

    kind: Literal["path"]
    folder: str
    sha256: str
    max_tokens: PositiveInt
    query_prompt: str
    passage_prompt: str


EncoderParams = StaticParams | HubParams | PathParams


def make_encoder(
    params: EncoderParams, texts: Sequence[str], sentences: Sequence[str], seed: int
) -> SentenceTransformer:
    """Make or fetch the encoder that the parameters name.

    Args:
        params: one of the kinds.
        texts: the passages, for encoders that are made from them.
        sentences: of those passages.
        seed: of the making.

    Raises:
        UserError: the model cannot be had, is not in safetensors, needs code of its own, or is not what was pinned.
    """
    if isinstance(params, StaticParams):
        features = Features(params.views, params.saturation)
        bag = build_static(texts, sentences, features, params.dims, params.max_features, seed)
        return _assemble(bag, {})
    prompts: dict[str, str | None] = {"query": params.query_prompt, "document": params.passage_prompt}
    if isinstance(params, PathParams):
        if not Path(params.folder).is_dir():
            raise UserError(f"base.encoder: there is no folder {params.folder}: correct base.encoder.folder")
        found = fingerprint(Path(params.folder))
        if found != params.sha256:
            raise UserError(
                f"base.encoder: {params.folder} has the hash {found}, not {params.sha256 or 'an empty one'}: "
                "if this is the encoder you want, write its hash into base.encoder.sha256"
            )
        model = load_encoder(params.folder)
    else:
        model = load_encoder(fetch(params.model, params.revision, "base.encoder"))
    limit_tokens(model, min(params.max_tokens, model.max_seq_length or params.max_tokens))
    model.prompts = prompts
    return model


def limit_tokens(model: SentenceTransformer, tokens: int) -> int:
    """Have a transformer read so many tokens of a text, and return how many it read before; a bag has no limit."""
    before = model.max_seq_length or tokens
    if isinstance(model[0], Transformer):
        model.max_seq_length = tokens
    return before


def _assemble(bag: StaticBag, prompts: dict[str, str]) -> SentenceTransformer:
    return SentenceTransformer(modules=[bag], device="cpu", prompts=prompts or None, similarity_fn_name="cosine")


def load_encoder(folder: str | Path, device: str = "cpu") -> SentenceTransformer:
    """Load an encoder from a folder, its weights in fp32 whatever they are stored in.

    Half precision is a matter of the arithmetic (autocast), in training and in encoding: an AdamW step of 2e-5 is lost
    on most weights that are kept in bf16, and vectors that bf16 has normalised are no unit vectors.

    Raises:
        UserError: there is none, its weights are not safetensors, or it asks for code of its own.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"there is no encoder at {path}: run `dvc repro`, or `dvc pull` for a colleague's")
    if not any(path.rglob("*.safetensors")):
        raise UserError(f"{path} holds no *.safetensors: nestling loads no pickled weights; convert the model first")
    if pickled := next(_without_twin(path), None):
        raise UserError(f"{pickled} is pickled and has no *.safetensors beside it: convert it first")
    kinds = [module["type"] for module in _told(path, "modules.json", [])]
    if kinds == [_OURS]:
        prompts = _told(path, "config_sentence_transformers.json", {}).get("prompts", {})
        return _assemble(StaticBag.load(str(path)), prompts).to(device).float()
    if foreign := [kind for kind in kinds if not kind.startswith("sentence_transformers.")]:
        raise UserError(f"{path} asks for code of its own ({foreign[0]}), which nestling never runs")
    try:
        return SentenceTransformer(
            str(path),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        ).float()  # the modules behind the transformer, too
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not an encoder that sentence-transformers loads: {' '.join(str(error).split())[:300]}"
        ) from None


def _without_twin(folder: Path) -> Iterator[Path]:
    pickled = (file for name in _PICKLED for file in folder.rglob(name))
    return (file for file in pickled if not any(file.parent.glob("*.safetensors")))


def _told(folder: Path, name: str, otherwise: Any) -> Any:
    file = folder / name
    if not file.exists():
        return otherwise
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}): bring the encoder anew") from None


def save_encoder(model: SentenceTransformer, folder: str | Path, dims: Sequence[int] = ()) -> None:
    """Save whole or not at all; without the model card that would quote training texts.

    Args:
        model: to save.
        folder: where.
        dims: Matryoshka dimensions it was trained for, if it was.
    """
    target = Path(folder)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        model.save_pretrained(str(temporary), create_model_card=False, safe_serialization=True)
        if dims:
            write_dims(temporary, dims)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_dims(folder: Path, dims: Sequence[int]) -> None:
    """Keep the Matryoshka dimensions that an encoder was trained for in its folder."""
    (folder / DIMS).write_text(json.dumps({"dims": list(dims)}) + "\n", encoding="utf-8")


def trained_dims(folder: Path) -> list[int]:
    """Return the Matryoshka dimensions that an encoder was trained for, largest first."""
    return sorted(json.loads((folder / DIMS).read_text(encoding="utf-8"))["dims"], reverse=True)


def dimension(model: SentenceTransformer) -> int:
    """Return the number of dimensions of the encoder's vectors."""
    return int(model.get_embedding_dimension() or 0)


def check_dims(dims: Sequence[int], model: SentenceTransformer, where: str) -> None:
    """Raise a UserError when a Matryoshka dimension lies above what the encoder has."""
    if fault := dims_fault(dims, dimension(model), where, static=isinstance(model[0], StaticBag)):
        raise UserError(fault)


def traits_of(model: SentenceTransformer) -> Traits:
    """Return what decides how an encoder can be trained."""
    weights = sum(tensor.numel() for tensor in model.parameters())
    if not isinstance(model[0], Transformer):
        return Traits(dimension(model), weights=weights)
    return of_transformer(model[0].config, dimension(model), model.max_seq_length or 0, weights)


def imitates_bf16() -> bool:
    """Whether torch works in bf16 without the processor's help here, which makes it slower than fp32."""
    return not torch.cuda.is_available() and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def code_version(model: SentenceTransformer) -> str:
    """Return what, beside its weights, decides an encoder's vectors: our code for ours, the libraries' versions."""
    libraries = (sentence_transformers.__version__, transformers.__version__, torch.__version__)
    digest = hashlib.sha256(" ".join(libraries).encode())
    if isinstance(model[0], StaticBag):
        for file in CODE:
            digest.update(file.read_bytes())
    return digest.hexdigest()
