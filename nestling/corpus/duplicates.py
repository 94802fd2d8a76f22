"""Exact and near duplicates: MinHash (Broder 1997) finds the pairs, the exact Jaccard similarity decides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from datasketch import MinHash, MinHashLSH

from nestling.corpus.cleaning import words

_PERMUTATIONS = 128
_REACH = 0.9  # of the threshold: MinHash looks this far, so that of the pairs at the border few are missed
_SEED = 1  # of the hash family; it decides which pairs are looked at, not which are duplicates


@dataclass(frozen=True)
class Pair:
    """Two texts, by their places in the sequences they came in, and their Jaccard similarity."""

    left: int
    right: int
    similarity: float


def shingles(text: str) -> frozenset[str]:
    """Return the text's pairs of neighbouring words, its ends included; a text without words is its own shingle."""
    parts = words(text)
    if not parts:
        return frozenset([text.strip()])
    edged = ["", *parts, ""]
    return frozenset(f"{first} {second}" for first, second in pairwise(edged))


def near_duplicates(texts: Sequence[str], threshold: float) -> list[Pair]:
    """Return the pairs (left < right) of `texts` whose Jaccard similarity over word pairs reaches `threshold`."""
    bags = [shingles(text) for text in texts]
    return [pair for pair in _alike(bags, bags, threshold) if pair.left < pair.right]


def cross_duplicates(left: Sequence[str], right: Sequence[str], threshold: float) -> list[Pair]:
    """Return the pairs of one text of `left` and one of `right` whose similarity reaches `threshold`."""
    return list(_alike([shingles(text) for text in left], [shingles(text) for text in right], threshold))


def groups(size: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of `size` items the smallest item that it is connected with (union-find)."""
    parent = list(range(size))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(item) for item in range(size)]


def _alike(left: list[frozenset[str]], right: list[frozenset[str]], threshold: float) -> Iterator[Pair]:
    if not left or not right:
        return
    # misses cost, false hits do not
    index = MinHashLSH(threshold=threshold * _REACH, num_perm=_PERMUTATIONS, weights=(0.1, 0.9))
    sketches = _sketches(left)
    exact: dict[frozenset[str], int] = {}
    with index.insertion_session() as session:
        for place, (bag, sketch) in enumerate(zip(left, sketches, strict=True)):
            if exact.setdefault(bag, place) == place:  # a thousand copies of a page stand in one bucket once
                session.insert(place, sketch)
    copies: dict[int, list[int]] = {}
    for place, bag in enumerate(left):
        copies.setdefault(exact[bag], []).append(place)
    for place, (bag, sketch) in enumerate(zip(right, sketches if right is left else _sketches(right), strict=True)):
        for first in sorted(cast("list[int]", index.query(sketch))):
            similarity = len(left[first] & bag) / len(left[first] | bag)
            if similarity >= threshold:
                yield from (Pair(copy, place, similarity) for copy in copies[first])


def _sketches(bags: list[frozenset[str]]) -> list[MinHash]:
    encoded = ([shingle.encode("utf-8") for shingle in bag] for bag in bags)
    return MinHash.bulk(encoded, num_perm=_PERMUTATIONS, seed=_SEED)
