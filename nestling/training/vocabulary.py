"""Teach a static encoder the words of those who ask: what queries say and their passages do not.

A search log says "portafoglio rubato" where the corpus says "furto del documento". A word that stands in no passage
has no vector in an encoder made from passages; one that stands in others points elsewhere. Both are moved towards the
mean of the passages that their queries ask for: one step of Rocchio's (1971) feedback, taken on the words instead of
the query, or the folding-in of latent semantic analysis (Deerwester et al. 1990). Training goes on from there.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from nestling.params import Strict
from nestling.retrieval.static import StaticBag, inverse_frequency


class FoldingParams(Strict):
    """How far words are moved, against the weight of a feature that stands in a single passage; 0 leaves them."""

    origins: list[str]  # whose queries teach; extractive ones have no words but their passage's
    new_features: float = Field(ge=0)
    known_features: float = Field(ge=0)


@dataclass(frozen=True)
class _Lesson:
    """A feature that queries hold and their passages do not, with the rows of those passages."""

    feature: str
    queries: int
    rows: list[int]


def folded_in(bag: StaticBag, queries: Sequence[str], passages: Sequence[str], params: FoldingParams) -> StaticBag:
    """Return the encoder with the words of `queries` moved towards `passages`.

    Args:
        bag: the encoder; stays as it is.
        queries: training queries.
        passages: what answers each of them.
        params: how far.
    """
    pairs = list(dict.fromkeys(zip(queries, passages, strict=True)))
    answers, texts = _embedded(bag, [passage for _, passage in pairs])
    lessons = _lessons(bag, pairs, texts)
    fresh = sorted(lesson.feature for lesson in lessons if lesson.feature not in bag.place and params.new_features)
    place = bag.place | {feature: len(bag.vocabulary) + row for row, feature in enumerate(fresh)}
    vectors = torch.cat([bag.vectors, bag.vectors.new_zeros(len(fresh), bag.vectors.shape[1])])
    asked = len({query for query, _ in pairs})
    for lesson in lessons:
        if lesson.feature in place:
            share = params.known_features if lesson.feature in bag.place else params.new_features
            rarity = inverse_frequency(lesson.queries, asked) / inverse_frequency(1, asked)
            length = share * bag.rarest * rarity * bag.features.weight(lesson.feature)
            vectors[place[lesson.feature]] += torch.from_numpy(length * answers[lesson.rows].mean(axis=0)).float()
    return StaticBag([*bag.vocabulary, *fresh], vectors, bag.features, bag.rarest)


def _lessons(bag: StaticBag, pairs: Sequence[tuple[str, str]], texts: dict[str, int]) -> list[_Lesson]:
    told = {text: frozenset(bag.features.counts(text)) for text in texts}
    rows: dict[str, list[int]] = defaultdict(list)
    asked: dict[str, set[str]] = defaultdict(set)
    for query, passage in pairs:
        for feature in bag.features.counts(query).keys() - told[passage]:
            rows[feature].append(texts[passage])
            asked[feature].add(query)
    return [_Lesson(feature, len(asked[feature]), sorted(found)) for feature, found in sorted(rows.items())]


def _embedded(bag: StaticBag, texts: Sequence[str]) -> tuple[np.ndarray, dict[str, int]]:
    unique = list(dict.fromkeys(texts))
    with torch.no_grad():
        parts = [
            bag.eval()(bag.preprocess(unique[start : start + 512]))["sentence_embedding"]
            for start in range(0, len(unique), 512)
        ]
    vectors = torch.cat(parts).numpy() if parts else np.empty((0, bag.vectors.shape[1]), np.float32)
    return vectors, {text: row for row, text in enumerate(unique)}
