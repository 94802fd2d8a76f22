"""The folder of an LLM, before any engine opens it: where it lies, whether it can be trusted, whether it fits."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

from nestling.errors import UserError
from nestling.llm.backend import ModelParams
from nestling.models import fetch, fingerprint

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_FLOATS = ("F64", "F32", "BF16", "F16")
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}  # of a number; an engine left free halves 32 bits
_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
GGUF = "is GGUF, which vLLM does not load"
FROM_GGUF = "`python -m nestling.llm.gguf FILE FOLDER` makes a folder of it (docs/llm.md)"
_MEMINFO = Path("/proc/meminfo")
_LONGEST_HEADER = 100_000_000  # of a safetensors file; the format's own limit
_GIB = 2**30


def is_gguf(name: str) -> bool:
    """Return whether a model's name is that of a GGUF file or repository, or of a folder with no other weights."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return any(folder.glob("*.gguf")) and not any(folder.glob("*.safetensors"))
    return name.lower().endswith((".gguf", "-gguf"))


def locate(model: ModelParams) -> Path:
    """Return the folder of a model, fetched from the hub where its name is no folder; it holds all that chat needs.

    Raises:
        UserError: it cannot be had, is not what was pinned, lacks something, or asks for code of its own.
    """
    folder = Path(model.name).expanduser()
    if is_gguf(model.name):
        raise UserError(f"generate.llm.model: {model.name} {GGUF}: {FROM_GGUF}; a server may have it as it is")
    if folder.is_dir():
        found = fingerprint(folder)
        if found != model.revision:
            raise UserError(
                f"generate.llm.model: {model.name} has the fingerprint {found}, not {model.revision or 'an empty one'}"
                ": if this is the model you want, write its fingerprint into generate.llm.model.revision"
            )
    elif model.name.startswith(("/", "./", "../", "~")) or not _HUB_ID.fullmatch(model.name):
        raise UserError(
            f"generate.llm.model: there is no folder {model.name}: correct generate.llm.model.name "
            "(a model of the hub is named owner/name)"
        )
    elif not _COMMIT.fullmatch(model.revision):
        raise UserError(
            f"generate.llm.model.revision is {model.revision!r}: a model of the hub is pinned by the 40 digits of a "
            "commit, which its page shows under Files, History"
        )
    else:
        folder = fetch(model.name, model.revision, "generate.llm.model")
    _check(folder, f"generate.llm.model: {model.name}")
    return folder


def _check(folder: Path, what: str) -> None:
    if not (folder / "config.json").exists():
        raise UserError(f"{what} holds no config.json: it is not a model that transformers knows")
    if "auto_map" in _told(folder, "config.json"):
        raise UserError(f"{what} asks for code of its own (auto_map in config.json), which nestling never runs")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{what} holds no *.safetensors: nestling loads no pickled weights; convert the model first")
    if not any((folder / name).exists() for name in _TOKENIZERS):
        raise UserError(f"{what} holds no tokenizer ({', '.join(_TOKENIZERS)}): bring the model whole")
    if not (folder / "chat_template.jinja").exists() and not _told(folder, "tokenizer_config.json").get(
        "chat_template"
    ):
        raise UserError(f"{what} holds no chat template: choose a model that was taught to chat (instruct, chat, it)")


def _told(folder: Path, name: str) -> dict[str, Any]:
    file = folder / name
    try:
        tree = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}): bring the model anew") from None
    return dict(tree)


def context_length(folder: Path) -> int:
    """Return how many tokens a model can read and write in one conversation.

    Raises:
        UserError: its config.json does not say.
    """
    config = _told(folder, "config.json")
    for tree in (config, config.get("text_config") or {}):
        for name in _LENGTHS:
            if name in tree:
                return int(tree[name] * _stretched(tree))
    raise UserError(f"{folder}/config.json tells no {_LENGTHS[0]}: nestling cannot know how long its prompts may be")


def _stretched(config: dict[str, Any]) -> float:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type"))
    if kind == "yarn" and (before := rope.get("original_max_position_embeddings")):
        return float(before * rope["factor"] / config.get("max_position_embeddings", before * rope["factor"]))
    return float(rope["factor"]) if kind in ("linear", "dynamic") else 1.0  # the others count it in already


def check_length(folder: Path, wanted: int) -> None:
    """Raise a UserError where `max_model_len` is more than the model can read."""
    if wanted > (limit := context_length(folder)):
        raise UserError(
            f"generate.llm.backend: max_model_len is {wanted}, but the model ends at {limit} tokens: lower it"
        )


def needed_bytes(folder: Path, dtype: str) -> int:
    """Return how many bytes the weights will take in memory; a quantised model takes what it takes on disk.

    Args:
        folder: of the model; only the headers of its files are read.
        dtype: that the engine is asked for.

    Raises:
        UserError: a file of weights is missing or is cut.
    """
    quantised = bool(_told(folder, "config.json").get("quantization_config"))
    return sum(_in_memory(tensor, quantised, dtype) for file in _files(folder) for tensor in _tensors(file))


def _in_memory(tensor: dict[str, Any], quantised: bool, dtype: str) -> int:
    begin, end = tensor["data_offsets"]
    if quantised or tensor["dtype"] not in _FLOATS:
        return int(end - begin)
    return int(math.prod(tensor["shape"]) * _BYTES[dtype])


def _files(folder: Path) -> list[Path]:
    index = _told(folder, "model.safetensors.index.json").get("weight_map")
    files = sorted({folder / name for name in index.values()}) if index else sorted(folder.glob("*.safetensors"))
    if missing := [file for file in files if not file.exists()]:
        raise UserError(f"{missing[0]} is missing: bring the model whole")
    return files


def _tensors(file: Path) -> list[dict[str, Any]]:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(min(length, _LONGEST_HEADER)))
        except ValueError:
            raise UserError(f"{file} is not a safetensors file: bring the model anew") from None
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    if file.stat().st_size < 8 + length + max((tensor["data_offsets"][1] for tensor in tensors), default=0):
        raise UserError(f"{file} is cut: bring the model anew")
    return tensors


def check_memory(needed: int, free: int) -> None:
    """Raise a UserError where weights of `needed` bytes do not go into `free` bytes."""
    if needed > free:
        raise UserError(
            f"generate.llm.backend: the weights take {needed / _GIB:.1f} GiB, and {free / _GIB:.1f} GiB are free: "
            "take a smaller or a quantised model, more GPUs with tensor_parallel, or a server that has the model"
        )


def free_memory(tensor_parallel: int) -> int:
    """Return the bytes that are free for a model: of the first GPUs together, or, without a GPU, of the machine.

    Raises:
        UserError: there are fewer GPUs than asked for.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if tensor_parallel > max(gpus, 1):
        raise UserError(
            f"generate.llm.backend: tensor_parallel is {tensor_parallel}, but {gpus} GPUs are visible: lower it"
        )
    if not gpus:
        return _free_ram()
    return min(torch.cuda.mem_get_info(gpu)[0] for gpu in range(tensor_parallel)) * tensor_parallel


def _free_ram() -> int:
    if not _MEMINFO.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    (line,) = (line for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024
