"""Exact search in blocks: every passage is scored for every query, and memory does not grow with the corpus.

A vector without direction (zero, or not finite) is no evidence: a query that has none finds nothing, and a passage
that has none is not found.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from nestling.retrieval.embeddings import has_direction

BLOCK = (512, 8192)  # queries, passages: a block of scores is 16 MiB


class Blocks(Protocol):
    """Unit vectors that can be had a block at a time."""

    def __len__(self) -> int:
        """Return how many vectors there are."""

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return [stop - start, dims] float32."""


@dataclass(frozen=True)
class Hits:
    """The nearest passages of each query, best first; equal scores in the passages' order.

    Attributes:
        passage: [queries, depth] int64, the place of the passage; -1 where no more were found.
        score: [queries, depth] float32, cosine; -inf where no more were found.
    """

    passage: np.ndarray
    score: np.ndarray


def _hits(places: np.ndarray, scores: np.ndarray) -> Hits:
    return Hits(np.where(np.isneginf(scores), -1, places), scores)


class _Asked:
    """A block of queries on the device, and what they score."""

    def __init__(self, vectors: np.ndarray, device: str) -> None:
        self.device = device
        self.vectors, self.heard = self._put(vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def _put(self, vectors: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(vectors).to(self.device), torch.from_numpy(has_direction(vectors)).to(self.device)

    def scores(self, passages: np.ndarray) -> torch.Tensor:
        """Return [queries, passages] cosines, -inf where either has no direction."""
        vectors, heard = self._put(passages)
        found = self.vectors @ vectors.T
        if not (heard.all() and self.heard.all()):
            found.masked_fill_(~(self.heard[:, None] & heard), -torch.inf)
        return found

    def own_scores(self, passages: Blocks, own: np.ndarray) -> torch.Tensor:
        """Return [queries], the cosine of each query with a passage of its own, -inf where either has no direction."""
        vectors, heard = self._put(np.concatenate([passages.block(int(place), int(place) + 1) for place in own]))
        return (self.vectors * vectors).sum(1).masked_fill(~(self.heard & heard), -torch.inf)


def top_k(queries: Blocks, passages: Blocks, depth: int, device: str = "cpu", block: tuple[int, int] = BLOCK) -> Hits:
    """Return the `depth` nearest passages of each query; fewer where no more have a direction."""
    depth = min(depth, len(passages))
    places = np.empty((len(queries), depth), dtype=np.int64)
    scores = np.empty((len(queries), depth), dtype=np.float32)
    for start in range(0, len(queries), block[0]):
        asked = _Asked(queries.block(start, start + block[0]), device)
        best = torch.empty((len(asked), 0), device=device)
        where = torch.empty((len(asked), 0), dtype=torch.int64, device=device)
        for first in range(0, len(passages), block[1]):
            found = asked.scores(passages.block(first, first + block[1]))
            here = torch.arange(first, first + found.shape[1], device=device).expand(len(asked), -1)
            best, where = _merge(torch.cat([best, found], 1), torch.cat([where, here], 1), depth)
        places[start : start + len(asked)], scores[start : start + len(asked)] = (
            where.cpu().numpy(),
            best.cpu().numpy(),
        )
    return _hits(places, scores)


def _merge(scores: torch.Tensor, places: torch.Tensor, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    # columns of equal score come in the passages' order and leave in it, whatever the size of a block
    if depth < scores.shape[1]:
        columns = _best(scores, depth)
        scores, places = scores.gather(1, columns), places.gather(1, columns)
    order = scores.argsort(dim=1, descending=True, stable=True)
    return scores.gather(1, order), places.gather(1, order)


def _best(scores: torch.Tensor, depth: int) -> torch.Tensor:
    """Return the columns [rows, depth] of each row's best scores, ascending; of equal scores the first are taken."""
    values, columns = scores.topk(depth + 1, dim=1)
    last = values[:, depth - 1 : depth]
    tied = (values[:, depth:] == last).any(1)
    columns = columns[:, :depth].sort(dim=1).values
    if tied.any():  # topk takes any of them
        some, least = scores[tied], last[tied]
        room = depth - (some > least).sum(1, keepdim=True)
        equal = some == least
        taken = (some > least) | (equal & (equal.cumsum(1) <= room))
        columns[tied] = taken.nonzero()[:, 1].view(-1, depth)
    return columns


def ranks(
    queries: Blocks, passages: Blocks, own: np.ndarray, device: str = "cpu", block: tuple[int, int] = BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """Return at which rank each query finds its own passage among all, and its score.

    Args:
        queries: one a row.
        passages: all of them.
        own: [queries] the place of each query's own passage.
        device: where to compute.
        block: how many queries and passages are compared at once.

    Returns:
        rank [queries], 1 is first, ties counted in the passage's favour; score [queries]. Where the query or its
        passage has no direction the rank is one more than there are passages, and the score 0.
    """
    rank = np.ones(len(queries), dtype=np.int64)
    score = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), block[0]):
        asked = _Asked(queries.block(start, start + block[0]), device)
        target = asked.own_scores(passages, own[start : start + len(asked)])
        above = torch.zeros(len(asked), dtype=torch.int64, device=device)
        for first in range(0, len(passages), block[1]):
            found = asked.scores(passages.block(first, first + block[1]))
            above += (found > target[:, None] + 1e-6).sum(1)
        rank[start : start + len(asked)] += above.cpu().numpy()
        score[start : start + len(asked)] = target.cpu().numpy()
    lost = np.isneginf(score)
    return np.where(lost, len(passages) + 1, rank), np.where(lost, np.float32(0), score)


def top_documents(
    queries: Blocks,
    passages: Blocks,
    owner: np.ndarray,
    depth: int,
    device: str = "cpu",
    block: tuple[int, int] = BLOCK,
) -> Hits:
    """Return the `depth` nearest documents of each query, a document scoring as its best passage (MaxP).

    Args:
        queries: one a row.
        passages: all passages, those of one document side by side.
        owner: [passages] the place of each passage's document, ascending.
        depth: documents wanted; `passage` of the answer holds their places.
        device: where to compute.
        block: how many queries and passages are compared at once.
    """
    blocks = -(-len(passages) // block[1])
    depth = min(depth, int(owner[-1]) + 1) if len(owner) else 0
    room = depth + blocks  # a document cut in two by a block's border is found twice
    places = np.empty((len(queries), depth), dtype=np.int64)
    scores = np.empty((len(queries), depth), dtype=np.float32)
    for start in range(0, len(queries), block[0]):
        asked = _Asked(queries.block(start, start + block[0]), device)
        best = torch.empty((len(asked), 0), device=device)
        where = torch.empty((len(asked), 0), dtype=torch.int64, device=device)
        for first in range(0, len(passages), block[1]):
            found = asked.scores(passages.block(first, first + block[1]))
            own = torch.from_numpy(owner[first : first + block[1]] - owner[first]).to(device)
            most = torch.full((len(asked), int(own[-1]) + 1), -torch.inf, device=device)
            most.scatter_reduce_(1, own.expand(len(asked), -1), found, "amax")
            here = torch.arange(most.shape[1], device=device).expand(len(asked), -1) + int(owner[first])
            best, where = _merge(torch.cat([best, most], 1), torch.cat([where, here], 1), room)
        for row, (names, values) in enumerate(zip(where.cpu().numpy(), best.cpu().numpy(), strict=True)):
            _, once = np.unique(names, return_index=True)
            kept = np.sort(once)[:depth]
            places[start + row], scores[start + row] = names[kept], values[kept]
    return _hits(places, scores)
