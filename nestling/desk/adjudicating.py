"""From what annotators disagree on to the piles of a referee, who settles it; who said what is not told.

What they agree on is pre-selected: a referee answers for the whole record, and settles all of it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Any

import polars as pl

from nestling.desk.interface import LETTERS, PairTask, Pile, RetrievalTask, Suggestion, shuffled
from nestling.desk.wording import Wording
from nestling.review.answers import all_records, read_answers, read_shown_records
from nestling.review.apply import judged_passages, quality
from nestling.tables.corpus import Passage, SentencePair
from nestling.tables.io import read_table
from nestling.tables.review import Disagreement, ReviewRecord

DISAGREEMENTS = Path("data/curated/disagreements.parquet")
AGENT = "annotators"  # whose word is pre-selected


@dataclass(frozen=True)
class Agreed:
    """What the majority says: `relevant` as judged_passages has it, `quality` as quality (nestling.review.apply)."""

    relevant: pl.DataFrame
    quality: pl.DataFrame


def referee_piles(wording: Wording, annotations: Path) -> tuple[list[Pile], int]:
    """Return what is open, as piles for one referee: queries with passages, and sentence pairs.

    Returns:
        The piles, and how many records cannot be shown because a passage of theirs is no longer in the corpus.

    Raises:
        TableError: an artifact is missing.
    """
    open_ones = read_table(DISAGREEMENTS, Disagreement).filter(~pl.col("settled"))
    queue = read_table("data/queue/records.parquet", ReviewRecord)
    records = all_records(queue, read_shown_records(annotations), queue["query"])
    passages = read_table("data/prepared/passages.parquet", Passage).select("passage_id", "text", "language")
    answers, _ = read_answers(annotations)
    known = answers.join(records, on="record_id", how="semi", maintain_order="left")
    agreed = Agreed(judged_passages(known, records), quality(known, records))
    tasks = retrieval_disputes(open_ones, records, passages, agreed, wording)
    pairs = pair_disputes(open_ones, read_table("data/prepared/pairs.parquet", SentencePair))
    disputed = open_ones.filter(pl.col("question") != "similarity")["record_id"].n_unique()
    return [Pile("adjudication", 1, tasks), Pile("sts-adjudication", 1, pairs)], disputed - len(tasks)


def retrieval_disputes(
    disagreements: pl.DataFrame, records: pl.DataFrame, passages: pl.DataFrame, agreed: Agreed, wording: Wording
) -> list[RetrievalTask]:
    """Return a task a disputed record of which all passages are there, sorted by name.

    Args:
        disagreements: Disagreement rows.
        records: record_id, query, passage_id, candidates.
        passages: passage_id, text, language.
        agreed: what is not disputed.
        wording: the words for qualities.
    """
    texts = {passage_id: (text, language) for passage_id, text, language in passages.iter_rows()}
    disputes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in disagreements.filter(pl.col("question") != "similarity").iter_rows(named=True):
        disputes[row["record_id"]].append(row)
    told = records.filter(pl.col("record_id").is_in(list(disputes))).sort("record_id")
    return [
        _task(row, texts, disputes, agreed, wording)
        for row in told.iter_rows(named=True)
        if {row["passage_id"], *row["candidates"]} <= texts.keys()
    ]


def _task(
    row: dict[str, Any],
    texts: Mapping[str, tuple[str, str]],
    disputes: Mapping[str, list[dict[str, Any]]],
    agreed: Agreed,
    wording: Wording,
) -> RetrievalTask:
    record_id, names = row["record_id"], (row["passage_id"], *row["candidates"])
    order = shuffled(record_id, [(name, texts[name][0]) for name in names])
    said = "\n".join(_said(disputes[record_id], [name for name, _ in order], wording))
    open_ones = {dispute["passage_id"] for dispute in disputes[record_id]}  # None: the query itself
    suggestions = tuple(_suggestions(row, [name for name, _ in order], open_ones, agreed))
    language = {"language": texts[row["passage_id"]][1]}
    return RetrievalTask(record_id, row["query"], row["passage_id"], order, language, suggestions, said=said)


def _suggestions(
    row: dict[str, Any], order: list[str], open_ones: set[str | None], agreed: Agreed
) -> Iterator[Suggestion]:
    matter = (pl.col("query") == row["query"]) & pl.col("passage_id").is_in(order)
    marked = set(agreed.relevant.filter(matter & pl.col("relevant"))["passage_id"]) - open_ones
    if marked:
        yield Suggestion("relevant", [name for name in order if name in marked], AGENT, None)
    own = (pl.col("query") == row["query"]) & (pl.col("passage_id") == row["passage_id"])
    words = agreed.quality.filter(own)["quality"].drop_nulls().to_list()
    if words and None not in open_ones:
        yield Suggestion("query_quality", words[0], AGENT, None)


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
