"""A ranking loss for nested encoders: every dimension learns from the labels and from the full dimension.

Multiple negatives ranking at each Matryoshka dimension (Henderson et al. 2017; Kusupati et al. 2022), and for the
smaller ones a share of distillation: their distribution over the batch is drawn to that of the full dimension as it is
now. The full vector knows which wrong passages are nearly right; a short prefix, told so, spends its few numbers
better. docs/log.md has the measurements.
"""

from collections.abc import Iterable, Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

_SAME = 0.9999  # cosine from which two passages of a batch are taken for one text
_NEVER = -1e4


class NestedRankingLoss(nn.Module):
    """Ranking over the batch at every dimension, with self-distillation into the smaller ones.

    A passage that stands in the batch twice, as another row's positive or negative, is no negative of its own query;
    nor is another positive of a query that stands in the batch twice.

    Args:
        model: the student.
        dims: Matryoshka dimensions, largest first.
        weights: of each dimension.
        scale: factor of the cosine.
        distil: share of the distillation in the loss of all dimensions but the first, 0 to 1.
    """

    def __init__(
        self, model: SentenceTransformer, dims: Sequence[int], weights: Sequence[float], scale: float, distil: float
    ) -> None:
        super().__init__()
        self.model, self.dims, self.weights = model, list(dims), list(weights)
        self.scale, self.distil = scale, distil

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch whose columns are anchor, positive and any number of negatives."""
        anchors, *passages = [self.model(features)["sentence_embedding"] for features in sentence_features]
        candidates = torch.cat(passages)
        targets = torch.arange(len(anchors), device=anchors.device)
        hidden = _repeats(anchors, passages, targets)
        teacher: Tensor | None = None
        total: Tensor = anchors.new_zeros(())
        for dim, weight in zip(self.dims, self.weights, strict=True):
            scores = _cosines(anchors[:, :dim], candidates[:, :dim]) * self.scale
            scores = scores.masked_fill(hidden, _NEVER)
            loss = functional.cross_entropy(scores, targets)
            if teacher is None:
                teacher = scores.detach().softmax(dim=1)
            elif self.distil:
                drawn = functional.kl_div(scores.log_softmax(dim=1), teacher, reduction="batchmean")
                loss = (1 - self.distil) * loss + self.distil * drawn
            total = total + weight * loss
        return total


def _cosines(left: Tensor, right: Tensor) -> Tensor:
    return functional.normalize(left, dim=-1) @ functional.normalize(right, dim=-1).T


def _repeats(anchors: Tensor, passages: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return [rows, candidates], true where a candidate is a positive of the row's query, but not the row's target."""
    with torch.no_grad():
        same: Tensor = _cosines(passages[0], torch.cat(list(passages))) > _SAME
        same[:, : len(anchors)] |= _cosines(anchors, anchors) > _SAME
        same[targets, targets] = False
        return same
