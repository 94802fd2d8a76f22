"""Encode texts once: vectors are kept by weights, text, length and precision, so that only new texts are encoded.

The cache lies outside the outputs of any stage, because DVC removes those before it runs one. A shard is written to a
temporary folder and renamed, so a kill leaves a whole shard or none.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import PositiveInt
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.params import Strict
from nestling.retrieval.encoders import DTYPES, Precision, code_version, dimension, load_encoder

CACHE = Path(".cache/embeddings")
_ROUNDING = 1e-4  # of a unit vector: float32 rounds each number to 1e-7, and a sum of a thousand to some 3e-6
_SHARD = 16_384  # texts encoded between two writes: what a kill can cost

Role = Literal["query", "document", "pair"]
Prompt = Literal["query", "document"]
# Which prompt stands before a text. Sentence pairs take the query's: multilingual-e5-small has .830 with it on the
# Italian STS-B and .801 with the passage's (docs/log.md); an encoder without prompts knows no difference.
PROMPTS: Mapping[Role, Prompt] = {"query": "query", "document": "document", "pair": "query"}


class EncodeParams(Strict):
    """How texts are encoded."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Precision
    batch_size: PositiveInt


def pick_device(name: str) -> str:
    """Return the device to work on.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("shared.encode.device is cuda, but torch sees no GPU: write auto or cpu")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of a list of texts, gathered a block at a time from shards on disk.

    Attributes:
        shards: arrays [rows, dims] float32, memory-mapped.
        shard, row: where each text's vector lies.
    """

    shards: list[np.ndarray]
    shard: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return [stop - start, dims] float32 in memory."""
        return self.take(np.arange(start, min(stop, len(self))))

    def take(self, places: np.ndarray) -> np.ndarray:
        """Return [len(places), dims] float32 of the texts at `places`."""
        out = np.empty((len(places), self.shards[0].shape[1]), dtype=np.float32)
        for number in np.unique(self.shard[places]):
            here = np.flatnonzero(self.shard[places] == number)
            out[here] = self.shards[number][self.row[places[here]]]
        return out


class Encoder:
    """An encoder in a folder, with the cache of what it has encoded."""

    def __init__(self, folder: str | Path, params: EncodeParams, cache: Path = CACHE) -> None:
        self.folder, self.params, self.cache = Path(folder), params, cache
        self.device = pick_device(params.device)
        if self.device == "cpu" and params.precision == "fp16":
            raise UserError("shared.encode.precision is fp16, which a CPU does not do well: write bf16 or fp32")
        self.model: SentenceTransformer = load_encoder(folder, self.device)
        self.weights, self.code = fingerprint(self.folder), code_version(self.model)
        self.fresh = 0  # texts encoded and not found in the cache

    @property
    def dims(self) -> int:
        """The number of dimensions."""
        return dimension(self.model)

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the unit vectors of `texts`, encoding only those that the cache lacks."""
        if not texts:
            return Vectors([np.empty((0, self.dims), np.float32)], np.empty(0, np.int64), np.empty(0, np.int64))
        folder = self.cache / self._key(role)
        keys = [_digest(text) for text in texts]
        known = _places(folder)
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
        alone = len(missing) <= self.params.batch_size
        with tqdm(total=len(missing), desc=f"encode {role}", unit="text", disable=alone) as bar:
            for start in range(0, len(missing), _SHARD):
                self._write_shard(folder, missing[start : start + _SHARD], role, bar.update)
        self.fresh += len(missing)
        known = _places(folder) if missing else known
        names = sorted({known[key][0] for key in keys})
        numbers = {name: number for number, name in enumerate(names)}
        shards = [np.load(folder / name / "vectors.npy", mmap_mode="r") for name in names]
        shard = np.array([numbers[known[key][0]] for key in keys], dtype=np.int64)
        return Vectors(shards, shard, np.array([known[key][1] for key in keys], dtype=np.int64))

    def _key(self, role: Role) -> str:
        side = PROMPTS[role]
        prompt = self.model.prompts.get(side) or ""
        kept = str(self.model.dtype)  # of the weights as they were loaded, not as they are stored
        how = (self.device, str(self.model.max_seq_length), kept, self.params.precision)
        parts = (self.weights, self.code, *how, side if prompt else "", prompt)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def _write_shard(
        self, folder: Path, items: list[tuple[bytes, str]], role: Role, done: Callable[[int], object]
    ) -> None:
        texts = [text for _, text in items]
        vectors = encode_texts(self.model, texts, role, self.params.precision, self.params.batch_size, done)
        digests = np.frombuffer(b"".join(key for key, _ in items), dtype=np.uint8).reshape(len(items), -1)
        name = hashlib.sha256(digests.tobytes()).hexdigest()[:24]
        temporary = folder / f".{name}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _save(digests, temporary / "keys.npy")
            _save(vectors, temporary / "vectors.npy")
            _settle(temporary, folder / name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def encode_texts(
    model: SentenceTransformer,
    texts: Sequence[str],
    role: Role,
    precision: Precision,
    batch_size: int,
    done: Callable[[int], object] = lambda _: None,
) -> np.ndarray:
    """Return [texts, dims] float32 on the unit sphere, whatever the precision of the arithmetic.

    Args:
        model: as `load_encoder` gives it, its weights in fp32.
        texts: in any order; those of like length are encoded together.
        role: decides the prompt.
        precision: of the arithmetic.
        batch_size: texts at once.
        done: is told of every batch how many texts it had.
    """
    encode = model.encode_query if PROMPTS[role] == "query" else model.encode_document
    vectors = np.zeros((len(texts), dimension(model)), dtype=np.float32)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    with torch.autocast(model.device.type, dtype=DTYPES[precision], enabled=precision != "fp32"):
        for start in range(0, len(texts), batch_size):
            places = order[start : start + batch_size]
            batch = [texts[place] for place in places]
            found = encode(batch, batch_size=len(batch), show_progress_bar=False, convert_to_tensor=True)
            vectors[places] = found.float().cpu().numpy()
            done(len(batch))
    return shrink(vectors, vectors.shape[1])


def _save(array: np.ndarray, path: Path) -> None:
    memory = BytesIO()  # straight into a file numpy would not say why it fails: a full disk has to be told as one
    np.save(memory, array)
    path.write_bytes(memory.getbuffer())


def _settle(temporary: Path, shard: Path) -> None:
    try:
        temporary.rename(shard)
    except OSError:
        if not shard.is_dir():  # if it is one, another process was quicker with the same texts
            raise


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def _places(folder: Path) -> dict[bytes, tuple[str, int]]:
    places: dict[bytes, tuple[str, int]] = {}
    for shard in sorted(path for path in folder.glob("[!.]*") if path.is_dir()):
        for row, key in enumerate(np.load(shard / "keys.npy")):
            places[key.tobytes()] = (shard.name, row)
    return places


def has_direction(vectors: np.ndarray) -> np.ndarray:
    """Return [n], whether a vector of [n, dims] points anywhere: is finite, and longer than rounding leaves of one."""
    length = np.linalg.norm(vectors, axis=1)
    return np.asarray(np.isfinite(length) & (length > _ROUNDING))


def shrink(vectors: np.ndarray, dim: int) -> np.ndarray:
    """Return the Matryoshka prefix of `dim` numbers of unit vectors [n, dims], back on the unit sphere.

    A prefix without direction becomes zero: brought to unit length, rounding would rank passages.

    Raises:
        ValueError: there are fewer dimensions than `dim`.
    """
    if dim > vectors.shape[1]:
        raise ValueError(f"cannot shrink {vectors.shape[1]} dimensions to {dim}")
    head = np.where(has_direction(vectors[:, :dim])[:, None], vectors[:, :dim], 0)
    return np.asarray(head / np.maximum(np.linalg.norm(head, axis=1, keepdims=True), _ROUNDING), dtype=np.float32)
