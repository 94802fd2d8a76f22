"""Exact and near duplicates: MinHash (Broder 1997) finds the pairs, the exact Jaccard similarity decides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from datasketch import MinHash, MinHashLSH

from nestling.corpus.cleaning import words

_PERMUTATIONS = 144
_MISSED = 0.001  # chance that MinHash passes over a pair whose similarity is the threshold; those above it less often
_BUCKET = 32  # texts of a bucket that a further one is compared with
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


def cross_duplicates(left: Sequence[str], right: Sequence[str], threshold: float) -> list[Pair]:
    """Return the pairs of one text of `left` and one of `right` whose similarity reaches `threshold`."""
    return list(_alike([shingles(text) for text in left], [shingles(text) for text in right], threshold))


def clusters(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the smallest place that it is linked with by near duplicates, its own if by none.

    Two texts are near duplicates if their Jaccard similarity over word pairs reaches `threshold`. Texts of one cluster
    need not all be alike: each is like some other. A thousand pages of one template are not compared two by two: what
    is linked already is not compared again, and a bucket of texts that sound alike names its first few only.
    """
    bags = [shingles(text) for text in texts]
    index = _index(threshold)
    buckets: dict[tuple[int, bytes], list[int]] = {}
    linked = _Forest(len(texts))
    for place, sketch in enumerate(_sketches(bags)):
        keys = [(first, sketch.hashvalues[first:last].tobytes()) for first, last in index.hashranges]
        for other in sorted({other for key in keys for other in buckets.get(key, ())}):
            if linked.root(other) != linked.root(place) and _jaccard(bags[other], bags[place]) >= threshold:
                linked.join(other, place)
        for key in keys:
            if len(bucket := buckets.setdefault(key, [])) < _BUCKET:
                bucket.append(place)
    return [linked.root(place) for place in range(len(texts))]


def groups(size: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of `size` items the smallest item that it is connected with."""
    linked = _Forest(size)
    for one, other in pairs:
        linked.join(one, other)
    return [linked.root(item) for item in range(size)]


class _Forest:
    """Union-find; the root of a set is its smallest item."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def root(self, item: int) -> int:
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self.parent[high] = low


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def _index(threshold: float) -> MinHashLSH:
    """Return the index of the longest bands, which name the fewest others, that miss no more than is let pass."""
    bands = ((_PERMUTATIONS // rows, rows) for rows in range(_PERMUTATIONS // 2, 0, -1))
    few = (shape for shape in bands if (1 - threshold ** shape[1]) ** shape[0] <= _MISSED)
    return MinHashLSH(num_perm=_PERMUTATIONS, params=next(few, (_PERMUTATIONS, 1)))


def _alike(left: list[frozenset[str]], right: list[frozenset[str]], threshold: float) -> Iterator[Pair]:
    if not left or not right:
        return
    index = _index(threshold)
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
            similarity = _jaccard(left[first], bag)
            if similarity >= threshold:
                yield from (Pair(copy, place, similarity) for copy in copies[first])


def _sketches(bags: list[frozenset[str]]) -> list[MinHash]:
    encoded = ([shingle.encode("utf-8") for shingle in bag] for bag in bags)
    return MinHash.bulk(encoded, num_perm=_PERMUTATIONS, seed=_SEED)
