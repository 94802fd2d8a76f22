"""A retrieval suite as the evaluation wants it: texts in order, documents by place, qrels by name."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from nestling.corpus.ids import content_id
from nestling.evaluation.metrics import DEPTH, levelled
from nestling.evaluation.standing import standing
from nestling.retrieval.search import Hits

POOL = 1000  # documents that a search returns, as TREC's runs have them: a tie is known whole down to here


@dataclass(frozen=True)
class Suite:
    """One retrieval suite.

    Attributes:
        name: of the suite.
        query_ids, queries: one a query, sorted by id.
        document_ids: in an order that has nothing to do with the names: search takes the first of equals, and where a
            tie is longer than what it returns, no name may be the better one.
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

    def run(self, hits: Hits, start: int = 0) -> dict[str, dict[str, float]]:
        """Return query id -> document id -> score: the first DEPTH and what is tied with the last of them.

        Args:
            hits: places and scores of documents, a row a query.
            start: the place of the first of these queries.
        """
        asked = self.query_ids[start : start + len(hits.passage)]
        return {
            query: self._found(places, scores)
            for query, places, scores in zip(asked, hits.passage, hits.score, strict=True)
        }

    def _found(self, places: np.ndarray, scores: np.ndarray) -> dict[str, float]:
        there = places >= 0
        names, values = places[there], levelled(scores[there])
        kept = values >= values[DEPTH - 1] if len(values) > DEPTH else slice(None)
        return {
            self.document_ids[place]: value for place, value in zip(names[kept], values[kept].tolist(), strict=True)
        }


def make_suites(documents: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame) -> list[Suite]:
    """Return the suites that stand in the tables, those that people wrote first."""
    return [
        _suite(
            str(name),
            documents.filter(pl.col("suite") == name),
            queries.filter(pl.col("suite") == name).sort("query_id"),
            qrels.filter(pl.col("suite") == name),
        )
        for name in sorted(queries["suite"].unique(), key=standing)
    ]


def _suite(name: str, documents: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame) -> Suite:
    ids = sorted(documents["document_id"].unique(), key=content_id)
    place = {document: number for number, document in enumerate(ids)}
    parts = documents.with_columns(place=pl.col("document_id").replace_strict(place, return_dtype=pl.Int64)).sort(
        "place", "part"
    )
    grades: dict[str, dict[str, int]] = {}
    for query, document, relevance in qrels.select("query_id", "document_id", "relevance").iter_rows():
        grades.setdefault(query, {})[document] = relevance
    texts, owner = parts["text"].to_list(), parts["place"].to_numpy()
    return Suite(name, queries["query_id"].to_list(), queries["text"].to_list(), ids, texts, owner, grades)
