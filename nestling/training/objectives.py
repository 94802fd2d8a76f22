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
from sentence_transformers.util import batch_to_device
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from nestling.params import Strict
from nestling.retrieval.static import StaticBag, spelled
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


class _Reader(nn.Module):
    """A guide that takes the student's features, reads the text in them and cuts it in its own way."""

    def __init__(self, guide: SentenceTransformer, tokenizer: PreTrainedTokenizerFast | None) -> None:
        super().__init__()
        self.guide, self.tokenizer = guide, tokenizer

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.tokenizer is None:
            texts = spelled(features["letters"])
        else:
            texts = self.tokenizer.batch_decode(features["input_ids"], skip_special_tokens=True)
        read = batch_to_device(self.guide.preprocess(texts), self.guide.device)
        return {"sentence_embedding": self.guide(read)["sentence_embedding"].detach()}


class _Place(nn.Sequential):
    """Stands for a model while a loss is made that asks for a tokenizer which a static encoder has not."""

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({}, unk_token="")))
    max_seq_length = float("inf")


def _guided(kind: Callable[..., nn.Module], model: SentenceTransformer, guide: SentenceTransformer, **how: Any) -> Any:
    guide.eval().requires_grad_(False)
    if not any(isinstance(part[0], StaticBag) for part in (model, guide)):
        return kind(model, guide, **how)
    if isinstance(model[0], StaticBag):
        model[0].keeps_text = True
    loss = kind(_Place(nn.Identity()), _Place(nn.Identity()), **how)
    loss.model, loss.guide = model, _Reader(guide, model.tokenizer)
    return loss


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
