"""The losses, one registry entry each, and the Matryoshka wrapper around them.

Matryoshka: Kusupati et al. 2022. Cached: gradient cache, Gao et al. 2021. GIST: Solatorio 2024, a guide encoder takes
likely false negatives out of the batch. CoSENT: Su 2022.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from torch import nn

from nestling.params import Strict
from nestling.training.nested import NestedRankingLoss

Guide = Literal["base", "current"]


class Ranking(Strict):
    """Multiple negatives ranking: softmax over the batch's passages at `scale` times the cosine."""

    kind: Literal["mnrl"]
    scale: float = Field(gt=0)


class CachedRanking(Strict):
    """The same over large batches in little memory."""

    kind: Literal["cached_mnrl"]
    scale: float = Field(gt=0)
    mini_batch: PositiveInt


class Gist(Strict):
    """Ranking without the passages that the guide finds nearer to the query than its positive; for transformers."""

    kind: Literal["gist"]
    temperature: float = Field(gt=0)
    guide: Guide


class CachedGist(Strict):
    """The same over large batches in little memory."""

    kind: Literal["cached_gist"]
    temperature: float = Field(gt=0)
    guide: Guide
    mini_batch: PositiveInt


class NestedRanking(Strict):
    """Ranking in which the smaller dimensions also learn from the full one; see nestling/training/nested.py."""

    kind: Literal["nested_mnrl"]
    scale: float = Field(gt=0)
    distil: float = Field(ge=0, le=1)


class CoSent(Strict):
    """Order of graded pairs."""

    kind: Literal["cosent"]
    scale: float = Field(gt=0)


class Cosine(Strict):
    """Squared error of the cosine against the grade."""

    kind: Literal["cosine"]


LossParams = Ranking | CachedRanking | NestedRanking | Gist | CachedGist | CoSent | Cosine
GuideLoader = Callable[[Guide], SentenceTransformer]
RANKING = ("mnrl", "cached_mnrl", "nested_mnrl", "gist", "cached_gist")

OBJECTIVES: dict[str, Callable[[SentenceTransformer, Any, GuideLoader], nn.Module]] = {
    "mnrl": lambda model, params, _: losses.MultipleNegativesRankingLoss(model, scale=params.scale),
    "cached_mnrl": lambda model, params, _: losses.CachedMultipleNegativesRankingLoss(
        model, scale=params.scale, mini_batch_size=params.mini_batch
    ),
    "gist": lambda model, params, guide: _guided(
        losses.GISTEmbedLoss, model, guide(params.guide), temperature=params.temperature
    ),
    "cached_gist": lambda model, params, guide: _guided(
        losses.CachedGISTEmbedLoss,
        model,
        guide(params.guide),
        temperature=params.temperature,
        mini_batch_size=params.mini_batch,
    ),
    "cosent": lambda model, params, _: losses.CoSENTLoss(model, scale=params.scale),
    "cosine": lambda model, _, __: losses.CosineSimilarityLoss(model),
}


def _guided(kind: Callable[..., nn.Module], model: SentenceTransformer, guide: SentenceTransformer, **how: Any) -> Any:
    return kind(model, guide.eval().requires_grad_(False), **how)


class Weighted(nn.Module):
    """A loss times a constant, so that tasks of one phase can be set against each other."""

    def __init__(self, loss: nn.Module, weight: float) -> None:
        super().__init__()
        self.loss, self.weight = loss, weight

    def forward(self, sentence_features: Any, labels: Any) -> Any:
        """Return the weighted loss."""
        return self.weight * self.loss(sentence_features, labels)


def build_loss(
    model: SentenceTransformer,
    params: LossParams,
    guide: GuideLoader,
    dims: Sequence[int],
    weights: Sequence[float],
    answers: np.ndarray | None = None,
) -> nn.Module:
    """Return the loss at every Matryoshka dimension.

    Args:
        model: the student.
        params: which loss.
        guide: gives the guide encoder, for losses that want one.
        dims: Matryoshka dimensions, largest first.
        weights: of each dimension.
        answers: [pairs, 2] of queries and of passages that are no negatives of them, for the loss that knows them.
    """
    if isinstance(params, NestedRanking):
        return NestedRankingLoss(model, dims, weights, params.scale, params.distil, answers)
    loss = OBJECTIVES[params.kind](model, params, guide)
    return losses.MatryoshkaLoss(model, loss, matryoshka_dims=list(dims), matryoshka_weights=list(weights))
