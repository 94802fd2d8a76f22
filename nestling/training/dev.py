"""How good the model is on the dev sets, so that the best checkpoint can be kept.

Measured as a suite is: a query finds documents, each scoring as its best passage, and every document that it names
answers. The negatives that an encoder mined are not sought out: it would be judged by its own choice.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
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
_BLOCK = 512  # queries whose scores are in memory at once


@dataclass(frozen=True)
class DevSettings:
    """How dev sets are measured.

    Attributes:
        dims: Matryoshka dimensions.
        size: passages searched at most; more only where the documents that answer a query are all longer.
        seed: of what is drawn.
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
        passages: all passages. Queries are drawn, origins in turn, while there is room for the documents that answer
            them; other documents fill it up.
        settings: how.

    Attributes:
        left_out: queries that no room was found for.
    """

    def __init__(self, rows: pl.DataFrame, pairs: pl.DataFrame, passages: pl.DataFrame, settings: DevSettings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dims, self.precision, self.pairs = list(settings.dims), settings.precision, pairs
        self.graded = pairs.height > 2 and pairs["score"].n_unique() > 1  # else there is nothing to correlate with
        holder = dict(passages.select("passage_id", "document_id").iter_rows())
        draw = random.Random(settings.seed)
        asked = _asked(rows, holder, draw)
        lengths = Counter(holder.values())
        others = [[name] for name in draw.sample(sorted(lengths), len(lengths))]
        documents = _fitting(asked["answers"].to_list(), others, lengths, settings.size)
        searched = passages.filter(pl.col("document_id").is_in([*documents])).sort("document_id", maintain_order=True)
        self.texts = searched["text"].to_list()
        names, self.first = np.unique(searched["document_id"].to_list(), return_index=True)
        place = {name: number for number, name in enumerate(names)}
        kept = asked.filter(pl.Series([documents.issuperset(each) for each in asked["answers"]], dtype=pl.Boolean))
        self.left_out = asked.height - kept.height
        self.origins = kept["origin"].to_numpy()
        self.queries = kept["anchor"].to_list()
        self.answers = [{place[name] for name in each} for each in kept["answers"]]
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
        there = has_direction(searched)
        found: list[float] = []
        for start in range(0, len(asked), _BLOCK):
            some = asked[start : start + _BLOCK]
            scores = np.where(has_direction(some)[:, None] & there, some @ searched.T, -np.inf)
            best = np.maximum.reduceat(scores, self.first, axis=1)
            found += map(_ndcg_at_10, best, self.answers[start : start + _BLOCK])
        each = np.array(found)
        return float(np.mean([each[self.origins == origin].mean() for origin in np.unique(self.origins)]))


def _asked(rows: pl.DataFrame, holder: Mapping[str, str], draw: random.Random) -> pl.DataFrame:
    """Return origin, anchor and `answers`, document ids, in an order that is drawn: of each origin one in turn."""
    asked = rows.group_by("origin", "anchor", maintain_order=True).agg(pl.col("answer_ids").explode())
    answers = [sorted({holder[name] for name in names}) for names in asked["answer_ids"]]
    lot = pl.Series(draw.sample(range(asked.height), asked.height), dtype=pl.UInt32)
    drawn = asked.select("origin", "anchor", answers=pl.Series(answers, dtype=pl.List(pl.String)), lot=lot).sort("lot")
    return drawn.sort(pl.int_range(pl.len()).over("origin"), maintain_order=True)


def _fitting(
    answers: Sequence[Sequence[str]], others: Sequence[Sequence[str]], lengths: Mapping[str, int], size: int
) -> set[str]:
    """Return the documents that find room in `size` passages: what answers, then others; some that answer at least."""
    fewest = min((sum(lengths[name] for name in group) for group in answers), default=0)
    taken: set[str] = set()
    room = max(size, fewest)
    for group in [*answers, *others]:
        wanted = sum(lengths[name] for name in {*group} - taken)
        if wanted <= room:
            taken.update(group)
            room -= wanted
    return taken


def _ndcg_at_10(scores: np.ndarray, answers: set[int]) -> float:
    """Return nDCG@10 of the scores of all documents, expected over the orders of ties; -inf was not found."""
    gain = 0.0
    for score in scores[sorted(answers)]:
        if np.isfinite(score):
            above = int((scores > score + NOISE).sum())
            tied = int((scores >= score - NOISE).sum()) - above
            gain += _DISCOUNTS[above : above + tied].sum() / tied
    return float(gain / _DISCOUNTS[: len(answers)].sum())
