import numpy as np
import polars as pl

from nestling.evaluation.suites import make_suites

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
    assert first.document_ids == ["d0", "d1"]
    assert first.qrels == {"q1": {"d1": 2, "d0": 1}}
    assert (second.queries, second.qrels) == (["altra"], {"q1": {"d2": 1}})


def test_passages_of_a_document_stand_side_by_side_in_their_order():
    suite = make_suites(DOCUMENTS, QUERIES, QRELS)[0]
    assert suite.passages == ["zero", "uno", "uno bis"]
    assert suite.owner.tolist() == [0, 1, 1]


def test_places_become_the_names_of_documents():
    suite = make_suites(DOCUMENTS, QUERIES, QRELS)[0]
    assert suite.ranking(np.array([[1, 0], [0, 1]])) == {"q1": ["d1", "d0"], "q2": ["d0", "d1"]}


def test_documents_without_queries_are_no_suite():
    assert make_suites(DOCUMENTS, QUERIES.clear(), QRELS) == []
