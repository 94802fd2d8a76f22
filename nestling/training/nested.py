"""A ranking loss for nested encoders: every dimension learns from the labels and from the full dimension.

Multiple negatives ranking at each Matryoshka dimension (Henderson et al. 2017; Kusupati et al. 2022), and for the
smaller ones a share of distillation: their distribution over the batch is drawn to that of the full dimension as it is
now. The full vector knows which wrong passages are nearly right; a short prefix, told so, spends its few numbers
better. docs/log.md has the measurements.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

_NEVER = -1e4
_STRIDE = 2**31  # of query numbers in a pair's key; passage numbers are below it


class NestedRankingLoss(nn.Module):
    """Ranking over the batch at every dimension, with self-distillation into the smaller ones.

    A passage that stands in the batch twice, as another row's positive or negative, is no negative of its own query;
    nor is another positive of a query that stands in the batch twice, nor what `answers` names. Texts are
    compared by what the encoder reads of them: dropout makes two vectors of one text differ.

    Args:
        model: the student.
        dims: Matryoshka dimensions, largest first.
        weights: of each dimension.
        scale: factor of the cosine.
        distil: share of the distillation in the loss of all dimensions but the first, 0 to 1.
        answers: [pairs, 2] numbers of a query and of a passage that may answer it, as labels name them; see
            `nestling.training.examples.may_answer`. None where nothing is known.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        dims: Sequence[int],
        weights: Sequence[float],
        scale: float,
        distil: float,
        answers: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.model, self.dims, self.weights = model, list(dims), list(weights)
        self.scale, self.distil = scale, distil
        pairs = torch.empty((0, 2), dtype=torch.int64) if answers is None else torch.from_numpy(answers)
        self.answers = (pairs[:, 0] * _STRIDE + pairs[:, 1]).sort().values

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch whose columns are anchor, positive and any number of negatives.

        Args:
            sentence_features: of each column.
            labels: [rows, 1 + passages of a row], the numbers of the row's query and of its passages, positive first.
                None, or a grade a row, where none are known.
        """
        columns = list(sentence_features)
        hidden = self._hidden(columns, labels)  # before the model, which adds to the features
        anchors, *passages = [self.model(features)["sentence_embedding"] for features in columns]
        # half precision is too coarse for the differences of cosines, which `scale` enlarges
        with torch.autocast(anchors.device.type, enabled=False):
            return self._loss(anchors.float(), torch.cat(passages).float(), hidden.to(anchors.device))

    def _hidden(self, columns: Sequence[Mapping[str, Tensor]], labels: Tensor | None) -> Tensor:
        """Return [rows, candidates], true where a candidate may answer the row's query, but is not the row's target.

        What may answer: the positives of all rows that ask the same, whatever the label names, and what is known.
        """
        texts = [_texts(features) for features in columns]
        numbers: dict[Hashable, int] = {}
        asked, *passages = [
            torch.tensor([numbers.setdefault(text, len(numbers)) for text in column]) for column in texts
        ]
        alike = _equal(passages[0], torch.cat(passages))
        if len(self.answers) and labels is not None and labels.dim() == 2:
            query, *shown = labels.cpu().T.long()
            pairs = query[:, None] * _STRIDE + torch.cat(shown)[None, :]
            alike |= self.answers[torch.searchsorted(self.answers, pairs).clamp(max=len(self.answers) - 1)] == pairs
        same = (_equal(asked, asked).float() @ alike.float()) > 0
        rows = torch.arange(len(asked))
        same[rows, rows] = False
        return same

    def _loss(self, anchors: Tensor, candidates: Tensor, hidden: Tensor) -> Tensor:
        targets = torch.arange(len(anchors), device=anchors.device)
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


def _equal(left: Tensor, right: Tensor) -> Tensor:
    return left[:, None] == right[None, :]


def _texts(features: Mapping[str, Tensor]) -> list[Hashable]:
    """Return what the encoder reads of each text: its tokens without padding, or what stands in its bag."""
    ids = features["input_ids"].cpu()
    for borders in ("offsets", "cu_seq_lens_q"):  # texts end to end: of static embeddings, of flash attention
        if borders in features:
            starts = features[borders].cpu().long()
            parts = ids.flatten().tensor_split(starts[1:] if borders == "offsets" else starts[1:-1])
            return [tuple(part.tolist()) for part in parts]
    if "weights" in features:  # a bag has no order
        pairs = zip(ids.tolist(), features["weights"].tolist(), strict=True)
        return [frozenset((one, many) for one, many in zip(*row, strict=True) if many) for row in pairs]
    read = features["attention_mask"].cpu().bool() if "attention_mask" in features else torch.ones_like(ids).bool()
    return [tuple(row[kept].tolist()) for row, kept in zip(ids, read, strict=True)]
