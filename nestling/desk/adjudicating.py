"""From what annotators disagree on to the piles of a referee, who settles it; who said what is not told."""

from collections import Counter
from collections.abc import Iterator, Sequence
from json import loads
from pathlib import Path
from typing import Any

import polars as pl

from nestling.desk.interface import LETTERS, PairTask, Pile, RetrievalTask, shuffled
from nestling.desk.wording import Wording
from nestling.review.answers import read_shown_records
from nestling.tables.corpus import Passage, SentencePair
from nestling.tables.io import read_table
from nestling.tables.review import Disagreement, ReviewRecord

DISAGREEMENTS = Path("data/curated/disagreements.parquet")
_SHOWN = ("record_id", "query", "passage_id", "candidates")


def referee_piles(wording: Wording, annotations: Path) -> list[Pile]:
    """Return what is open, as piles for one referee: queries with passages, and sentence pairs.

    A record of which a passage is no longer in the corpus cannot be shown, and is left out.

    Raises:
        TableError: an artifact is missing.
    """
    open_ones = read_table(DISAGREEMENTS, Disagreement).filter(~pl.col("settled"))
    queue = read_table("data/queue/records.parquet", ReviewRecord).select(_SHOWN)
    earlier = read_shown_records(annotations).select(_SHOWN)
    records = pl.concat([queue, earlier.join(queue, on="record_id", how="anti")])
    passages = read_table("data/prepared/passages.parquet", Passage).select("passage_id", "text")
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    return [
        Pile("adjudication", 1, retrieval_disputes(open_ones, records, passages, wording)),
        Pile("sts-adjudication", 1, pair_disputes(open_ones, pairs)),
    ]


def retrieval_disputes(
    disagreements: pl.DataFrame, records: pl.DataFrame, passages: pl.DataFrame, wording: Wording
) -> list[RetrievalTask]:
    """Return a task a disputed record, sorted by name.

    Args:
        disagreements: Disagreement rows.
        records: record_id, query, passage_id, candidates.
        passages: passage_id, text.
        wording: the words for qualities.
    """
    texts = dict(passages.iter_rows())
    disputed = disagreements.filter(pl.col("question") != "similarity")
    by_record: dict[str, list[dict[str, Any]]] = {}
    for row in disputed.iter_rows(named=True):
        by_record.setdefault(row["record_id"], []).append(row)
    told = records.filter(pl.col("record_id").is_in(list(by_record))).sort("record_id")
    tasks = []
    for row in told.iter_rows(named=True):
        shown = [row["passage_id"], *row["candidates"]]
        if not all(passage in texts for passage in shown):
            continue
        order = shuffled(row["record_id"], [(passage, texts[passage]) for passage in shown])
        said = "\n".join(_said(by_record[row["record_id"]], [passage for passage, _ in order], wording))
        tasks.append(RetrievalTask(row["record_id"], row["query"], row["passage_id"], order, said=said))
    return tasks


def pair_disputes(disagreements: pl.DataFrame, pairs: pl.DataFrame) -> list[PairTask]:
    """Return a task a sentence pair whose grades differ, sorted by name.

    Args:
        disagreements: Disagreement rows.
        pairs: SentencePair rows.
    """
    disputed = disagreements.filter(pl.col("question") == "similarity").join(
        pairs.select("sentence1", "sentence2", record_id="pair_id"), on="record_id"
    )
    return [
        PairTask(
            row["record_id"], row["sentence1"], row["sentence2"], said=", ".join(sorted(str(v) for v in _values(row)))
        )
        for row in disputed.sort("record_id").iter_rows(named=True)
    ]


def _said(disputes: Sequence[dict[str, Any]], order: list[str], wording: Wording) -> Iterator[str]:
    """Yield a line a dispute: how many said what of the query, and which share marked which passage."""
    labels = wording.questions.query_quality.labels
    for row in disputes:
        counts = Counter(_values(row))
        if row["question"] == "query_quality":
            yield " · ".join(f"{labels[word]}: {count}" for word, count in sorted(counts.items()))
    marks = {row["passage_id"]: Counter(_values(row)) for row in disputes if row["question"] == "relevant"}
    for letter, passage in zip(LETTERS, order, strict=False):
        if passage in marks:
            yield f"{letter}: {marks[passage][True]}/{marks[passage].total()}"


def _values(row: dict[str, Any]) -> list[Any]:
    return [loads(vote["value"]) for vote in row["votes"]]
