"""Exact search in blocks: every passage is scored for every query, and memory does not grow with the corpus."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

QUERIES, PASSAGES = 512, 8192  # a block of scores is 16 MiB


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
        passage: [queries, depth] int64, the place of the passage.
        score: [queries, depth] float32, cosine.
    """

    passage: np.ndarray
    score: np.ndarray


def top_k(queries: Blocks, passages: Blocks, depth: int, device: str = "cpu") -> Hits:
    """Return the `depth` nearest passages of each query (all of them, where there are fewer)."""
    depth = min(depth, len(passages))
    places = np.empty((len(queries), depth), dtype=np.int64)
    scores = np.empty((len(queries), depth), dtype=np.float32)
    for start in range(0, len(queries), QUERIES):
        asked = torch.from_numpy(queries.block(start, start + QUERIES)).to(device)
        best = torch.empty((len(asked), 0), device=device)
        where = torch.empty((len(asked), 0), dtype=torch.int64, device=device)
        for first in range(0, len(passages), PASSAGES):
            found = asked @ torch.from_numpy(passages.block(first, first + PASSAGES)).to(device).T
            here = torch.arange(first, first + found.shape[1], device=device).expand(len(asked), -1)
            best, where = _merge(torch.cat([best, found], 1), torch.cat([where, here], 1), depth)
        places[start : start + len(asked)], scores[start : start + len(asked)] = (
            where.cpu().numpy(),
            best.cpu().numpy(),
        )
    return Hits(places, scores)


def _merge(scores: torch.Tensor, places: torch.Tensor, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    # a stable sort of what topk leaves keeps equal scores in the passages' order, whatever the block size
    best, chosen = scores.topk(min(depth, scores.shape[1]), dim=1)
    where = places.gather(1, chosen)
    order = where.argsort(dim=1, stable=True)
    best, where = best.gather(1, order), where.gather(1, order)
    order = best.argsort(dim=1, descending=True, stable=True)
    return best.gather(1, order), where.gather(1, order)


def ranks(queries: Blocks, passages: Blocks, own: np.ndarray, device: str = "cpu") -> tuple[np.ndarray, np.ndarray]:
    """Return at which rank each query finds its own passage among all, and its score.

    Args:
        queries: one a row.
        passages: all of them.
        own: [queries] the place of each query's own passage.
        device: where to compute.

    Returns:
        rank [queries], 1 is first, ties counted in the passage's favour; score [queries].
    """
    rank = np.ones(len(queries), dtype=np.int64)
    score = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), QUERIES):
        asked = torch.from_numpy(queries.block(start, start + QUERIES)).to(device)
        mine = own[start : start + len(asked)]
        target = _own_scores(asked, passages, mine, device)
        above = torch.zeros(len(asked), dtype=torch.int64, device=device)
        for first in range(0, len(passages), PASSAGES):
            found = asked @ torch.from_numpy(passages.block(first, first + PASSAGES)).to(device).T
            above += (found > target[:, None] + 1e-6).sum(1)
        rank[start : start + len(asked)] += above.cpu().numpy()
        score[start : start + len(asked)] = target.cpu().numpy()
    return rank, score


def _own_scores(asked: torch.Tensor, passages: Blocks, own: np.ndarray, device: str) -> torch.Tensor:
    vectors = np.concatenate([passages.block(int(place), int(place) + 1) for place in own])
    return (asked * torch.from_numpy(vectors).to(device)).sum(1)


def top_documents(queries: Blocks, passages: Blocks, owner: np.ndarray, depth: int, device: str = "cpu") -> Hits:
    """Return the `depth` nearest documents of each query, a document scoring as its best passage (MaxP).

    Args:
        queries: one a row.
        passages: all passages, those of one document side by side.
        owner: [passages] the place of each passage's document, ascending.
        depth: documents wanted; `passage` of the answer holds their places.
        device: where to compute.
    """
    blocks = -(-len(passages) // PASSAGES)
    depth = min(depth, int(owner[-1]) + 1) if len(owner) else 0
    room = depth + blocks  # a document cut in two by a block's border is found twice
    places = np.empty((len(queries), depth), dtype=np.int64)
    scores = np.empty((len(queries), depth), dtype=np.float32)
    for start in range(0, len(queries), QUERIES):
        asked = torch.from_numpy(queries.block(start, start + QUERIES)).to(device)
        best = torch.empty((len(asked), 0), device=device)
        where = torch.empty((len(asked), 0), dtype=torch.int64, device=device)
        for first in range(0, len(passages), PASSAGES):
            found = asked @ torch.from_numpy(passages.block(first, first + PASSAGES)).to(device).T
            own = torch.from_numpy(owner[first : first + PASSAGES] - owner[first]).to(device)
            most = torch.full((len(asked), int(own[-1]) + 1), -2.0, device=device)
            most.scatter_reduce_(1, own.expand(len(asked), -1), found, "amax")
            here = torch.arange(most.shape[1], device=device).expand(len(asked), -1) + int(owner[first])
            best, where = _merge(torch.cat([best, most], 1), torch.cat([where, here], 1), room)
        for row, (names, values) in enumerate(zip(where.cpu().numpy(), best.cpu().numpy(), strict=True)):
            _, once = np.unique(names, return_index=True)
            kept = np.sort(once)[:depth]
            places[start + row], scores[start + row] = names[kept], values[kept]
    return Hits(places, scores)
