import numpy as np
import polars as pl
import pytest

from nestling.evaluation.standing import by_people
from nestling.evaluation.suites import Suite, make_suites
from nestling.retrieval.search import Hits

DOCUMENTS = pl.DataFrame(
    [
        ("b", "d2", 0, "due"),
        ("a", "d1", 1, "uno bis"),
        ("a", "d1", 0, "uno"),
        ("a", "d0", 0, "zero"),
        ("b", "d1", 0, "?"),
    ],
    schema=["suite", "document_id", "part", "text"],
    orient="row",
)
QUERIES = pl.DataFrame(
    [("b", "q1", "altra"), ("a", "q2", "seconda"), ("a", "q1", "prima")],
    schema=["suite", "query_id", "text"],
    orient="row",
)
QRELS = pl.DataFrame(
    [("a", "q1", "d1", 2), ("a", "q1", "d0", 1), ("b", "q1", "d2", 1)],
    schema=["suite", "query_id", "document_id", "relevance"],
    orient="row",
)


def test_a_suite_holds_its_own_queries_documents_and_qrels_in_order():
    first, second = make_suites(DOCUMENTS, QUERIES, QRELS)
    assert (first.name, second.name) == ("a", "b")
    assert (first.query_ids, first.queries) == (["q1", "q2"], ["prima", "seconda"])
    assert sorted(first.document_ids) == ["d0", "d1"]
    assert first.qrels == {"q1": {"d1": 2, "d0": 1}}
    assert (second.queries, second.qrels) == (["altra"], {"q1": {"d2": 1}})


def test_passages_of_a_document_stand_side_by_side_in_their_order():
    suite = make_suites(DOCUMENTS, QUERIES, QRELS)[0]
    parts = {name: [] for name in suite.document_ids}
    for text, place in zip(suite.passages, suite.owner, strict=True):
        parts[suite.document_ids[place]].append(text)
    assert parts == {"d0": ["zero"], "d1": ["uno", "uno bis"]}
    assert suite.owner.tolist() == sorted(suite.owner)


def test_the_order_of_documents_has_nothing_to_do_with_their_names():
    names = [f"d{number:03}" for number in range(200)]
    many = pl.DataFrame({"suite": "a", "document_id": names, "part": 0, "text": names})
    places = np.argsort(make_suites(many, QUERIES.filter(suite="a"), QRELS)[0].document_ids)
    assert abs(np.corrcoef(places, np.arange(200))[0, 1]) < 0.2


def suite_of(size):
    names = [f"d{number:03}" for number in range(size)]
    return Suite("a", ["q1", "q2"], ["", ""], names, names, np.arange(size), {})


def test_places_and_scores_become_a_run_that_leaves_out_what_was_not_found():
    hits = Hits(np.array([[1, 0], [-1, -1]]), np.array([[0.5, 0.25], [-np.inf, -np.inf]], dtype=np.float32))
    assert suite_of(2).run(hits) == {"q1": {"d001": 0.5, "d000": 0.25}, "q2": {}}
    assert suite_of(2).run(Hits(hits.passage[:1], hits.score[:1]), start=1) == {"q2": {"d001": 0.5, "d000": 0.25}}


@pytest.mark.parametrize(("tied", "kept"), [(0, 100), (7, 107), (150, 250)])
def test_a_run_is_cut_at_the_hundredth_place_or_at_the_end_of_its_tie(tied, kept):
    scores = np.r_[np.linspace(1, 0.6, 99), np.full(tied + 1, 0.5), np.linspace(0.4, 0.1, 30)].astype(np.float32)
    hits = Hits(np.arange(len(scores))[None], scores[None])
    assert len(suite_of(len(scores)).run(hits)["q1"]) == kept


def test_what_people_wrote_stands_first():
    names = ["heldout.generated", "heldout.recorded", "zeta", "alfa"]
    queries = pl.DataFrame({"suite": names, "query_id": "q", "text": "?"})
    documents = pl.DataFrame({"suite": names, "document_id": "d", "part": 0, "text": "."})
    qrels = pl.DataFrame({"suite": names, "query_id": "q", "document_id": "d", "relevance": 1})
    found = [suite.name for suite in make_suites(documents, queries, qrels)]
    assert found == ["alfa", "zeta", "heldout.recorded", "heldout.generated"]
    assert [by_people(name) for name in found] == [True, True, True, False]


def test_documents_without_queries_are_no_suite():
    assert make_suites(DOCUMENTS, QUERIES.clear(), QRELS) == []
