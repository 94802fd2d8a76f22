import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.retrieval.search import ranks, top_documents, top_k


@dataclass
class Whole:
    """Vectors in memory. Small whole numbers: their products are exact in any order of summing."""

    vectors: np.ndarray

    def __len__(self):
        return len(self.vectors)

    def block(self, start, stop):
        return self.vectors[start:stop]


@st.composite
def searches(draw):
    """Queries and passages with many equal scores, and a block size."""
    sizes = draw(st.tuples(st.integers(1, 5), st.integers(1, 12)))
    numbers = draw(st.lists(st.integers(-1, 1), min_size=3 * sum(sizes), max_size=3 * sum(sizes)))
    vectors = np.array(numbers, dtype=np.float32).reshape(-1, 3)
    return (
        Whole(vectors[: sizes[0]]),
        Whole(vectors[sizes[0] :]),
        draw(st.tuples(st.integers(1, 3), st.integers(1, 5))),
    )


def products(queries, passages):
    """Brute force: [queries, passages] scores, -inf where either is zero."""
    there = queries.vectors.any(axis=1)[:, None] & passages.vectors.any(axis=1)
    return np.where(there, queries.vectors @ passages.vectors.T, -np.inf)


def first_of_equals(scores, depth):
    """[queries, depth] places by falling score, of equals the first; -1 where there is no score."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.where(np.isneginf(np.take_along_axis(scores, order, axis=1)), -1, order)


def at(scores, places):
    return np.where(places < 0, -np.inf, np.take_along_axis(scores, places, axis=1))


@settings(max_examples=200)
@given(searches(), st.integers(1, 14))
def test_search_is_brute_force_whatever_the_block(search, depth):
    queries, passages, block = search
    scores = products(queries, passages)
    hits = top_k(queries, passages, depth, block=block)
    assert np.array_equal(hits.passage, first_of_equals(scores, depth))
    assert np.array_equal(hits.score, at(scores, hits.passage))


def test_a_thousand_copies_come_in_the_passages_order():
    same = Whole(np.ones((1000, 4), dtype=np.float32))
    assert top_k(Whole(same.vectors[:2]), same, 7, block=(2, 300)).passage.tolist() == [list(range(7))] * 2


@settings(max_examples=100)
@given(searches(), st.data())
def test_a_rank_is_one_and_the_passages_that_score_higher(search, data):
    queries, passages, block = search
    places = st.integers(0, len(passages) - 1)
    own = np.array(data.draw(st.lists(places, min_size=len(queries), max_size=len(queries))))
    scores = products(queries, passages)
    mine = scores[np.arange(len(queries)), own]
    rank, score = ranks(queries, passages, own, block=block)
    lost = np.isneginf(mine)
    assert np.array_equal(rank, np.where(lost, len(passages) + 1, 1 + (scores > mine[:, None]).sum(axis=1)))
    assert np.array_equal(score, np.where(lost, 0, mine))


@settings(max_examples=200)
@given(searches(), st.data(), st.integers(1, 6))
def test_a_document_scores_as_its_best_passage(search, data, depth):
    queries, passages, block = search
    steps = data.draw(st.lists(st.integers(0, 1), min_size=len(passages) - 1, max_size=len(passages) - 1))
    owner = np.cumsum([0, *steps])
    scores = products(queries, passages)
    best = np.stack([scores[:, owner == document].max(axis=1) for document in range(owner[-1] + 1)], axis=1)
    hits = top_documents(queries, passages, owner, depth, block=block)
    assert np.array_equal(hits.passage, first_of_equals(best, depth))
    assert np.array_equal(hits.score, at(best, hits.passage))


@pytest.mark.parametrize(("queries", "passages", "shape"), [(0, 3, (0, 2)), (3, 0, (3, 0))])
def test_nothing_asked_or_nothing_to_find(queries, passages, shape):
    some, others = (Whole(np.ones((size, 4), dtype=np.float32)) for size in (queries, passages))
    assert top_k(some, others, 2).passage.shape == shape
    assert top_documents(some, others, np.arange(passages), 2).passage.shape == shape


NOTHING = [[0, 0], [1e-17, 1e-12], [np.nan, 1], [np.inf, 0]]


@pytest.mark.parametrize("nothing", NOTHING)
def test_what_has_no_direction_finds_nothing_and_is_not_found(nothing):
    nothing = np.array([nothing], dtype=np.float32)
    queries = Whole(np.concatenate([nothing, [[1, 0]]]).astype(np.float32))
    passages = Whole(np.concatenate([[[0, 1]], nothing, [[-1, 0]]]).astype(np.float32))
    for hits in (top_k(queries, passages, 3), top_documents(queries, passages, np.arange(3), 3)):
        assert hits.passage.tolist() == [[-1, -1, -1], [0, 2, -1]]
        assert hits.score[1].tolist() == [0, -1, -np.inf]
    rank, score = ranks(Whole(queries.vectors[[0, 1, 1]]), passages, np.array([0, 1, 2]))
    assert rank.tolist() == [4, 4, 2]  # one more than there are passages; the last is found, though it points away
    assert score.tolist() == [0, 0, -1]


BIG = """
import re, resource, sys
from pathlib import Path
import numpy as np
from nestling.retrieval.search import ranks, top_k

class Mapped(np.memmap):
    def block(self, start, stop):
        return np.array(self[start:stop])

corpus = Mapped(sys.argv[1], dtype=np.float32, mode="w+", shape=(200_000, 384))  # a hole on the disk: 293 MiB
corpus[-1, 0] = corpus[:2, 1] = 1
asked = corpus[-8:]
top_k(asked, asked, 3)
now = int(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (now + 96 * 2**20, -1))
print(top_k(asked, corpus, 3).passage[-1], ranks(asked, corpus, np.zeros(8, dtype=np.int64))[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the data segment as Linux does")
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    command = [sys.executable, "-c", BIG, str(tmp_path / "vectors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.returncode) == (f"[199999      0      1] [{'200001 ' * 7}     2]\n", 0), done.stderr
