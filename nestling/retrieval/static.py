"""The static encoder: a bag of feature vectors whose pooling saturates, made from the corpus itself.

A text is counted in features: whole words, word beginnings and character n-grams, each view with its weight. A
repeated feature saturates as a term does in BM25 (Robertson and Walker 1994); features are weighted by inverse
document frequency; vectors come from a truncated SVD of that matrix (latent semantic analysis, Deerwester et al.
1990), so the first dimensions carry the most and the encoder is nested before any training. Training turns a linear
map behind the bag, which begins as the identity; `folded` merges it into the vectors.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import InputModule
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn
from torch.nn import functional

from nestling.corpus.cleaning import folded_words

# what decides a static vector beside the weights; part of the embedding cache's key
CODE = (Path(__file__), *(Path(__file__).parents[1] / f"corpus/{name}.py" for name in ("cleaning", "segmentation")))
_EXACT_ROWS = 6000  # up to so many passages the SVD is exact, by the eigenvectors of their Gram matrix
_FLAT = 1e-6  # of the strongest: what is weaker is no direction but rounding
_NOTHING = 1e-12
_REMEMBERED = 200_000  # words whose features are kept at hand
_REMEMBERED_TEXTS = 10_000  # texts likewise: a passage comes back with each of its queries


class Features:
    """Cuts text into the features of each view.

    Args:
        views: view -> weight. `word` is the whole word; `prefix5` its first five letters, of longer words;
            `gram4` its character 4-grams, edges marked.
        saturation: k in n * (k + 1) / (n + k), what n occurrences in a text count for.
    """

    def __init__(self, views: Mapping[str, float], saturation: float) -> None:
        self.views, self.saturation = dict(views), saturation
        self._known: dict[str, list[str]] = {}

    def of_word(self, word: str) -> list[str]:
        """Return the features of one word, each with its view's first letter and size before it."""
        found = self._known.get(word)
        if found is None:
            found = [feature for view in self.views for feature in _cut(view, word)]
            if len(self._known) < _REMEMBERED:
                self._known[word] = found
        return found

    def counts(self, text: str) -> Counter[str]:
        """Return how often each feature stands in `text`."""
        return Counter(feature for word in folded_words(text) for feature in self.of_word(word))

    def weight(self, feature: str) -> float:
        """Return the weight of the feature's view."""
        return self.views[feature.partition(" ")[0]]

    def saturated(self, count: np.ndarray) -> np.ndarray:
        """Return what a feature counts for that occurs `count` times."""
        return np.asarray(count * (self.saturation + 1) / (count + self.saturation), dtype=np.float32)


def _cut(view: str, word: str) -> Iterable[str]:
    if view == "word":
        return [f"word {word}"]
    size = int(view[-1])
    if view.startswith("prefix"):
        return [f"{view} {word[:size]}"] if len(word) > size else []
    edged = f"^{word}$"
    return [f"{view} {edged[at : at + size]}" for at in range(max(1, len(edged) - size + 1))]


class StaticBag(InputModule):
    """The sentence-transformers module of a static encoder: features in, unit vectors out.

    Args:
        vocabulary: the features, one a row of `vectors`.
        vectors: [features, dims] float32, weights folded in.
        features: how text is cut.
        rarest: inverse document frequency of a feature that stands in a single passage of the corpus.
        turn: [dims, dims] float32, the trainable map; identity where nothing is given.
    """

    modalities = ["text"]  # noqa: RUF012 - the library's own declaration
    config_keys = ["views", "saturation", "rarest"]  # noqa: RUF012

    def __init__(
        self,
        vocabulary: Sequence[str],
        vectors: Tensor,
        features: Features,
        rarest: float,
        turn: Tensor | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.vocabulary, self.features = list(vocabulary), features
        self.views, self.saturation, self.rarest = features.views, features.saturation, rarest
        self.place = {feature: row for row, feature in enumerate(self.vocabulary)}
        self.register_buffer("vectors", vectors)
        self.turn = nn.Parameter(torch.eye(vectors.shape[1]) if turn is None else turn)
        self._rows: dict[str, list[int]] = {}
        self._bags: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.tokenizer = None  # type: ignore[assignment] # the library asks; there is none of its kind

    def preprocess(  # type: ignore[override] # texts alone
        self, inputs: list[str], prompt: str | None = None, **_: Any
    ) -> dict[str, Tensor]:
        """Return `input_ids` and `weights`, both [texts, longest]; padding has weight 0."""
        bags = [self._remembered(f"{prompt or ''}{text}") for text in inputs]
        longest = max([1, *(len(ids) for ids, _ in bags)])
        ids = np.zeros((len(bags), longest), dtype=np.int64)
        weights = np.zeros((len(bags), longest), dtype=np.float32)
        for row, (found, counted) in enumerate(bags):
            ids[row, : len(found)], weights[row, : len(found)] = found, counted
        return {"input_ids": torch.from_numpy(ids), "weights": torch.from_numpy(weights)}

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """Add `sentence_embedding`, [texts, dims] on the unit sphere; a text without a known feature is zero."""
        bag = functional.embedding_bag(
            features["input_ids"],
            self.vectors,
            mode="sum",
            per_sample_weights=features["weights"].to(self.vectors.dtype),
        )
        if self.training or not self._is_folded():  # without the product a vector depends on its text, not its batch
            bag = bag @ self.turn.to(bag.dtype)
        if self.training:  # the gradient of a cosine has no bound at zero, where a text without a known feature lies
            bag = torch.where(bag.detach().abs().amax(dim=1, keepdim=True) > 0, bag, torch.ones_like(bag))
        features["sentence_embedding"] = functional.normalize(bag, dim=-1)
        return features

    def _is_folded(self) -> bool:
        return bool(torch.equal(self.turn, torch.eye(len(self.turn), device=self.turn.device)))

    def _remembered(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        found = self._bags.get(text)
        if found is None:
            if len(self._bags) >= _REMEMBERED_TEXTS:
                self._bags.clear()
            found = self._bags[text] = self._bag(text)
        return found

    def _bag(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        counts = Counter(row for word in folded_words(text) for row in self._word_rows(word))
        return np.fromiter(counts, dtype=np.int64), self.features.saturated(
            np.fromiter(counts.values(), dtype=np.float32)
        )

    def _word_rows(self, word: str) -> list[int]:
        rows = self._rows.get(word)
        if rows is None:
            rows = [self.place[feature] for feature in self.features.of_word(word) if feature in self.place]
            if len(self._rows) < _REMEMBERED:
                self._rows[word] = rows
        return rows

    @property
    def max_seq_length(self) -> float:
        """No limit: a bag has no positions."""
        return float("inf")

    def get_embedding_dimension(self) -> int:
        """Return the number of dimensions."""
        return int(self.vectors.shape[1])

    def folded(self) -> Self:
        """Return the same encoder with the map merged into the vectors, and a map that is the identity again."""
        with torch.no_grad():
            return type(self)(self.vocabulary, self.vectors @ self.turn, self.features, self.rarest)

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write config.json, vocabulary.json and model.safetensors."""
        folder = Path(output_path)
        self.save_config(output_path)
        (folder / "vocabulary.json").write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        save_file(
            {"vectors": self.vectors.contiguous(), "turn": self.turn.detach().contiguous()},
            folder / "model.safetensors",
        )

    @classmethod
    def load(  # type: ignore[override] # from a folder alone
        cls, model_name_or_path: str, subfolder: str = "", **_: Any
    ) -> Self:
        """Read what `save` wrote."""
        folder = Path(model_name_or_path, subfolder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
        features = Features(config["views"], config["saturation"])
        return cls(vocabulary, tensors["vectors"], features, config["rarest"], tensors["turn"])


def build_static(
    texts: Sequence[str], sentences: Sequence[str], features: Features, dims: int, max_features: int, seed: int
) -> StaticBag:
    """Make a static encoder from unlabelled passages.

    Args:
        texts: the passages, as the encoder will see them.
        sentences: those that the passages are made of; they give the last dimensions to a corpus of fewer passages
            than `dims`, whose own directions are fewer.
        features: how to cut them.
        dims: of the vectors; fewer come out when passages and sentences together have fewer directions.
        max_features: the most frequent are kept.
        seed: of the random start of the SVD.
    """
    counted = [features.counts(text) for text in texts]
    frequency: Counter[str] = Counter()
    for counts in counted:
        frequency.update(counts.keys())
    vocabulary = sorted(frequency, key=lambda feature: (-frequency[feature], feature))[:max_features]
    place = {feature: column for column, feature in enumerate(vocabulary)}
    weight = np.array(
        [inverse_frequency(frequency[feature], len(texts)) * features.weight(feature) for feature in vocabulary]
    )
    directions = _directions(_unit_rows(counted, place, weight, features), dims, seed)
    if directions.shape[1] < dims:
        parts = [features.counts(sentence) for sentence in sentences]
        more = _further_directions(_unit_rows(parts, place, weight, features), directions, dims)
        directions = np.concatenate([directions, more], axis=1)
    vectors = np.ascontiguousarray(weight[:, None] * directions, dtype=np.float32)
    return StaticBag(vocabulary, torch.from_numpy(vectors), features, inverse_frequency(1, len(texts)))


def inverse_frequency(frequency: int, texts: int) -> float:
    """Return the weight of a feature that stands in `frequency` of `texts` texts, as BM25 has it."""
    return float(np.log1p((texts - frequency + 0.5) / (frequency + 0.5)))


def _unit_rows(
    counted: Sequence[Counter[str]], place: Mapping[str, int], weight: np.ndarray, features: Features
) -> sp.csr_matrix:
    columns: list[int] = []
    values: list[int] = []
    borders = [0]
    for counts in counted:
        known = sorted((place[feature], number) for feature, number in counts.items() if feature in place)
        columns += [column for column, _ in known]
        values += [number for _, number in known]
        borders.append(len(columns))
    data = features.saturated(np.asarray(values, dtype=np.float32)).astype(np.float64)
    matrix = sp.csr_matrix((data, columns, borders), shape=(len(counted), len(place))) @ sp.diags(weight)
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1.0 / np.maximum(lengths, _NOTHING)) @ matrix)


def _directions(unit: sp.csr_matrix, dims: int, seed: int) -> np.ndarray:
    """Return [features, at most dims], the right singular vectors of `unit`, strongest first."""
    if unit.shape[0] <= _EXACT_ROWS:
        return _signed(_from_gram(unit, (unit @ unit.T).toarray(), dims))
    _, _, rows = randomized_svd(
        unit, n_components=min(dims, *unit.shape), n_iter=4, power_iteration_normalizer="QR", random_state=seed
    )
    return _signed(rows.T)


def _further_directions(unit: sp.csr_matrix, found: np.ndarray, dims: int) -> np.ndarray:
    """Return [features, at most dims less those found]: what is strongest in `unit` off the directions found."""
    unit = unit[:_EXACT_ROWS]
    inside = unit @ found
    gram = (unit @ unit.T).toarray() - inside @ inside.T
    raw = _from_gram(unit, gram, dims - found.shape[1])
    free = raw - found @ (found.T @ raw)
    return _signed(free / np.maximum(np.linalg.norm(free, axis=0), _NOTHING))


def _from_gram(unit: sp.csr_matrix, gram: np.ndarray, most: int) -> np.ndarray:
    values, vectors = np.linalg.eigh(gram)
    kept = np.flatnonzero(values[::-1] > _FLAT * values.max(initial=_NOTHING))[:most]
    right = unit.T @ vectors[:, ::-1][:, kept]
    return np.asarray(right / np.maximum(np.linalg.norm(right, axis=0), _NOTHING))


def _signed(directions: np.ndarray) -> np.ndarray:
    # a singular vector has no sign of its own: its largest entry is made positive
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    return np.asarray(directions * np.where(signs == 0, 1.0, signs))
