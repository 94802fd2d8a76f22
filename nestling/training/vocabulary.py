"""Words that only queries hold: a static encoder learns them from the passages that answer those queries.

A search log says "portafoglio rubato" where the corpus says "furto del documento". Such a word stands in no passage, so
the encoder made from passages has no vector for it. It begins as the mean vector of the passages that its queries ask for,
as a new document is folded into a latent semantic space (Deerwester et al. 1990); training goes on from there.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from nestling.retrieval.static import StaticBag


def grown(bag: StaticBag, queries: Sequence[str], passages: Sequence[str], share: float) -> StaticBag:
    """Return the encoder with the features of `queries` that it does not know.

    Args:
        bag: the encoder.
        queries: training queries.
        passages: what answers each of them.
        share: weight of a new feature against one that stands in a single passage of the corpus.

    Returns:
        The same encoder where there is no new feature or `share` is 0.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for row, query in enumerate(queries):
        for feature in bag.features.counts(query):
            if feature not in bag.place:
                asked[feature].append(row)
    if not asked or not share:
        return bag
    names = sorted(asked)
    answers = _embedded(bag, passages)
    mean = np.stack([answers[asked[name]].mean(axis=0) for name in names])
    weight = np.array([bag.features.weight(name) for name in names])
    fresh = torch.from_numpy((share * bag.rarest * weight[:, None] * mean).astype(np.float32))
    return StaticBag([*bag.vocabulary, *names], torch.cat([bag.vectors, fresh]), bag.features, bag.rarest)


def _embedded(bag: StaticBag, texts: Sequence[str]) -> np.ndarray:
    unique = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(unique)}
    with torch.no_grad():
        parts = [
            bag.eval()(bag.preprocess(unique[start : start + 512]))["sentence_embedding"]
            for start in range(0, len(unique), 512)
        ]
    return torch.cat(parts).numpy()[[place[text] for text in texts]]
