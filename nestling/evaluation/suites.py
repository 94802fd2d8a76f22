"""A retrieval suite as the evaluation wants it: texts in order, documents by place, qrels by name."""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Suite:
    """One retrieval suite.

    Attributes:
        name: of the suite.
        query_ids, queries: one a query, sorted by id.
        document_ids: sorted.
        passages: texts, those of one document side by side, in the documents' order.
        owner: [passages] the place of each passage's document.
        qrels: query id -> document id -> relevance.
    """

    name: str
    query_ids: list[str]
    queries: list[str]
    document_ids: list[str]
    passages: list[str]
    owner: np.ndarray
    qrels: dict[str, dict[str, int]]

    def ranking(self, places: np.ndarray) -> dict[str, list[str]]:
        """Return [queries, depth] places of documents as ids by query id."""
        return {
            query: [self.document_ids[place] for place in row]
            for query, row in zip(self.query_ids, places, strict=True)
        }


def make_suites(documents: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame) -> list[Suite]:
    """Return the suites that stand in the tables, in order of name."""
    return [
        _suite(
            str(name),
            documents.filter(pl.col("suite") == name).sort("document_id", "part"),
            queries.filter(pl.col("suite") == name).sort("query_id"),
            qrels.filter(pl.col("suite") == name),
        )
        for name in queries["suite"].unique().sort()
    ]


def _suite(name: str, documents: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame) -> Suite:
    ids = documents["document_id"].unique(maintain_order=True).to_list()
    place = {document: number for number, document in enumerate(ids)}
    grades: dict[str, dict[str, int]] = {}
    for query, document, relevance in qrels.select("query_id", "document_id", "relevance").iter_rows():
        grades.setdefault(query, {})[document] = relevance
    owner = np.array([place[document] for document in documents["document_id"]], dtype=np.int64)
    texts = documents["text"].to_list()
    return Suite(name, queries["query_id"].to_list(), queries["text"].to_list(), ids, texts, owner, grades)
