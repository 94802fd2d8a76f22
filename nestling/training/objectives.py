"""The losses, one registry entry each, and the Matryoshka wrapper around them.

Matryoshka: Kusupati et al. 2022. Cached: gradient cache, Gao et al. 2021. GIST: Solatorio 2024, a guide encoder takes
likely false negatives out of the batch. CoSENT: Su 2022.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field, PositiveInt
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from torch import nn

from nestling.params import Strict

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
    """Ranking without the passages that the guide finds nearer to the query than its positive."""

    kind: Literal["gist"]
    temperature: float = Field(gt=0)
    guide: Guide


class CachedGist(Strict):
    """The same over large batches in little memory."""

    kind: Literal["cached_gist"]
    temperature: float = Field(gt=0)
    guide: Guide
    mini_batch: PositiveInt


class CoSent(Strict):
    """Order of graded pairs."""

    kind: Literal["cosent"]
    scale: float = Field(gt=0)


class Cosine(Strict):
    """Squared error of the cosine against the grade."""

    kind: Literal["cosine"]


LossParams = Ranking | CachedRanking | Gist | CachedGist | CoSent | Cosine
GuideLoader = Callable[[Guide], SentenceTransformer]
RANKING = ("mnrl", "cached_mnrl", "gist", "cached_gist")

OBJECTIVES: dict[str, Callable[[SentenceTransformer, Any, GuideLoader], nn.Module]] = {
    "mnrl": lambda model, params, _: losses.MultipleNegativesRankingLoss(model, scale=params.scale),
    "cached_mnrl": lambda model, params, _: losses.CachedMultipleNegativesRankingLoss(
        model, scale=params.scale, mini_batch_size=params.mini_batch
    ),
    "gist": lambda model, params, guide: losses.GISTEmbedLoss(model, guide(params.guide), temperature=params.temperature),
    "cached_gist": lambda model, params, guide: losses.CachedGISTEmbedLoss(
        model, guide(params.guide), temperature=params.temperature, mini_batch_size=params.mini_batch
    ),
    "cosent": lambda model, params, _: losses.CoSENTLoss(model, scale=params.scale),
    "cosine": lambda model, _, __: losses.CosineSimilarityLoss(model),
}


def build_loss(
    model: SentenceTransformer, params: LossParams, guide: GuideLoader, dims: Sequence[int], weights: Sequence[float]
) -> nn.Module:
    """Return the loss under a Matryoshka loss.

    Args:
        model: the student.
        params: which loss.
        guide: gives the guide encoder, for losses that want one.
        dims: Matryoshka dimensions, largest first.
        weights: of each dimension.
    """
    loss = OBJECTIVES[params.kind](model, params, guide)
    return losses.MatryoshkaLoss(model, loss, matryoshka_dims=list(dims), matryoshka_weights=list(weights))
