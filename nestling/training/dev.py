"""How good the model is on the dev sets, so that the best checkpoint can be kept."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator

from nestling.evaluation.metrics import NOISE, spearman
from nestling.retrieval.embeddings import Role, encode_texts, has_direction, shrink
from nestling.retrieval.encoders import Precision

NDCG, SPEARMAN = "dev_ndcg@10", "dev_spearman"
_DISCOUNTS = 1 / np.log2(np.arange(2, 12))  # of the first ten places
_BATCH = 32  # texts encoded at once: it decides time alone


@dataclass(frozen=True)
class DevSettings:
    """How dev sets are measured.

    Attributes:
        dims: Matryoshka dimensions.
        size: passages searched at most.
        seed: of their sample.
        precision: of the arithmetic, as in training.
    """

    dims: Sequence[int]
    size: int
    seed: int
    precision: Precision


class DevEvaluator(BaseEvaluator):
    """nDCG@10 of dev queries and Spearman of dev pairs, each the mean over the Matryoshka dimensions.

    Each origin of queries counts the same, so that a few that people wrote are not drowned by many cut from the text.

    Args:
        rows: retrieval rows of the dev split.
        pairs: sentence pairs of the dev split.
        passages: all passages; dev queries search their own positives and negatives and a sample of the rest.
        settings: how.
    """

    def __init__(self, rows: pl.DataFrame, pairs: pl.DataFrame, passages: pl.DataFrame, settings: DevSettings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dims, self.precision, self.pairs = list(settings.dims), settings.precision, pairs
        self.graded = pairs.height > 2 and pairs["score"].n_unique() > 1  # else there is nothing to correlate with
        needed = {*rows["positive_id"], *(name for names in rows["negative_ids"].to_list() for name in names)}
        others = [name for name in passages["passage_id"] if name not in needed]
        room = max(0, min(len(others), settings.size - len(needed)))
        sample = random.Random(settings.seed).sample(others, room)
        searched = passages.filter(pl.col("passage_id").is_in([*needed, *sample]))
        self.texts = searched["text"].to_list()
        place = {name: number for number, name in enumerate(searched["passage_id"])}
        asked = rows.group_by("origin", "anchor", maintain_order=True).agg("positive_id")
        self.origins = np.array(asked["origin"].to_list())
        self.queries = asked["anchor"].to_list()
        self.answers = [{place[name] for name in names} for names in asked["positive_id"].to_list()]
        self.primary_metric = NDCG if self.queries else SPEARMAN

    @property
    def measures(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self.queries) or self.graded

    def __call__(self, model: SentenceTransformer, *_: Any, **__: Any) -> dict[str, float]:  # type: ignore[override]
        """Return the metrics of the model as it is."""

        def encode(texts: list[str], role: Role) -> np.ndarray:
            return encode_texts(model, texts, role, self.precision, _BATCH)

        found: dict[str, float] = {}
        if self.queries:
            asked, texts = encode(self.queries, "query"), encode(self.texts, "document")
            found[NDCG] = float(np.mean([self._ndcg(asked, texts, dim) for dim in self.dims]))
        if self.graded:
            left, right = (encode(self.pairs[side].to_list(), "pair") for side in ("sentence1", "sentence2"))
            gold = self.pairs["score"].to_numpy()
            cosines = [(shrink(left, dim) * shrink(right, dim)).sum(1) for dim in self.dims]
            found[SPEARMAN] = float(np.mean([spearman(each, gold) if np.ptp(each) > 0 else 0.0 for each in cosines]))
        return found

    def _ndcg(self, queries: np.ndarray, texts: np.ndarray, dim: int) -> float:
        asked, searched = shrink(queries, dim), shrink(texts, dim)
        scores = np.where(has_direction(asked)[:, None] & has_direction(searched), asked @ searched.T, -np.inf)
        each = np.array([_ndcg_at_10(row, answers) for row, answers in zip(scores, self.answers, strict=True)])
        return float(np.mean([each[self.origins == origin].mean() for origin in np.unique(self.origins)]))


def _ndcg_at_10(scores: np.ndarray, answers: set[int]) -> float:
    """Return nDCG@10 of the scores of all texts, expected over the orders of ties; -inf was not found."""
    gain = 0.0
    for score in scores[sorted(answers)]:
        if np.isfinite(score):
            above = int((scores > score + NOISE).sum())
            tied = int((scores >= score - NOISE).sum()) - above
            gain += _DISCOUNTS[above : above + tied].sum() / tied
    return float(gain / _DISCOUNTS[: len(answers)].sum())
