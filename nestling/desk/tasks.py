"""From the queue to what people see: passages shuffled, machines' suggestions, metadata; pure, and blind to the desk.

Suggestions are pre-selected where people judge, and people follow them: the audit sample, from which error rates are
estimated, goes out without unless params.yaml says otherwise.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from nestling.desk.interface import PairTask, RetrievalTask, Suggestion, shuffled

Metadata = dict[str, str | int | float]
_GOOD = 2  # of 4: a grade of the judge from which on a query stands


def retrieval_tasks(
    queue: pl.DataFrame, judged: pl.DataFrame, suggest: Collection[str], vectors: np.ndarray | None, version: str
) -> dict[str, list[RetrievalTask]]:
    """Return the tasks of each purpose, in the queue's order.

    Args:
        queue: QueueItem rows.
        judged: Judged rows.
        suggest: purposes whose tasks carry suggestions.
        vectors: [rows, dims] of the queries, in the queue's order as it stands; None for none.
        version: of the data, into the metadata.
    """
    grades = {(row["text"], row["passage_id"]): row for row in judged.iter_rows(named=True)}
    tasks: dict[str, list[tuple[int, RetrievalTask]]] = {"audit": [], "active": []}
    for place, row in enumerate(queue.iter_rows(named=True)):
        grade = grades.get((row["query"], row["passage_id"]))
        own = (row["passage_id"], row["passage"])
        task = RetrievalTask(
            record_id=row["record_id"],
            query=row["query"],
            passage_id=row["passage_id"],
            passages=shuffled(
                row["record_id"], [own, *((one["passage_id"], one["text"]) for one in row["candidates"])]
            ),
            metadata=_metadata(
                row, ("position", "purpose", "kind", "language", "origin", "margin", "stratum"), version
            ),
            suggestions=_suggestions(row, grade) if row["purpose"] in suggest else (),
            vector=None if vectors is None else vectors[place],
        )
        tasks[row["purpose"]].append((row["position"], task))
    return {purpose: [task for _, task in sorted(found, key=lambda one: one[0])] for purpose, found in tasks.items()}


def pair_tasks(queue: pl.DataFrame, vectors: np.ndarray | None, version: str) -> list[PairTask]:
    """Return the tasks of sentence pairs, in the queue's order; their present grade is metadata, and no suggestion.

    Args:
        queue: PairItem rows.
        vectors: [rows, dims] of the first sentences, in the queue's order as it stands; None for none.
        version: of the data, into the metadata.
    """
    rows = enumerate(queue.iter_rows(named=True))
    tasks = [
        PairTask(
            record_id=row["record_id"],
            sentence1=row["sentence1"],
            sentence2=row["sentence2"],
            metadata=_metadata(row | {"grade": 5 * row["score"]}, ("position", "grade", "cosine"), version),
            vector=None if vectors is None else vectors[place],
        )
        for place, row in rows
    ]
    return sorted(tasks, key=lambda task: task.metadata["position"])


def _metadata(row: Mapping[str, Any], names: tuple[str, ...], version: str) -> Metadata:
    known = {name: row[name] for name in names if row[name] is not None}
    return {name: _plain(value) for name, value in known.items()} | {"data_version": version}


def _plain(value: Any) -> str | int | float:
    if isinstance(value, float):
        return round(value, 4)
    return value if isinstance(value, int) else str(value)


def _suggestions(row: Mapping[str, Any], grade: Mapping[str, Any] | None) -> tuple[Suggestion, ...]:
    return _of_quality(row, grade), _of_relevance(row)


def _of_quality(row: Mapping[str, Any], grade: Mapping[str, Any] | None) -> Suggestion:
    """Return the judge's word where a judge graded the query, else the filter's: its passage was found at a rank."""
    if grade is None:
        return Suggestion("query_quality", "good", "filter", round(1 / row["rank"], 4))
    low = {name: grade[name] < _GOOD for name in ("language", "answerable", "specific")}
    words = {"language": "wrong_language", "answerable": "not_answerable", "specific": "vague"}
    value = next((words[name] for name, is_low in low.items() if is_low), "good")
    return Suggestion("query_quality", value, f"judge {grade['judge']}", round(grade["judge_score"], 4))


def _of_relevance(row: Mapping[str, Any]) -> Suggestion:
    """Return the passages that the miner holds for answers: the query's own, and what scores as high."""
    own = row["positive_score"]
    found = {row["passage_id"]: own} | {
        one["passage_id"]: one["score"] for one in row["candidates"] if one["score"] >= own
    }
    scores = [round(min(1.0, max(0.0, score)), 4) for score in found.values()]
    return Suggestion("relevant", list(found), "miner", scores)
