"""Training tables as the trainer wants them: columns of text, the same number in every row."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from datasets import Dataset

_NO_PASSAGE = -1  # in a label


def retrieval_examples(
    rows: pl.DataFrame, negatives: int, seed: int, near: Mapping[str, str] | None = None
) -> Dataset:
    """Return anchor, positive, negative_1 ... negative_n, and `label` where near-duplicates are known.

    Each copy of a repeated row begins with another of its negatives. A row that has fewer hard negatives than
    `negatives` is not dropped: positives of other rows fill up, drawn by seed; they are what in-batch negatives are,
    easy and harmless.

    Args:
        rows: the table RetrievalRow.
        negatives: hard negatives a row.
        seed: of what fills up.
        near: passage id -> its cluster of near-duplicates, for those that have any. `label` then holds the numbers of
            the row's query and of its passages, which `may_answer` speaks of.
    """
    cluster = near or {}
    pool = [
        (cluster.get(name, name), name, text)
        for name, text in rows.select("positive_id", "positive").unique("positive_id", maintain_order=True).iter_rows()
    ]
    listed = rows.group_by("query_id").agg(pl.col("answer_ids").explode().unique())
    answers = {query: {cluster.get(name, name) for name in names} for query, names in listed.iter_rows()}
    draw = random.Random(seed)
    filled: list[list[tuple[str, str]]] = []
    for query, copy, texts, names in rows.select("query_id", "copy", "negatives", "negative_ids").iter_rows():
        known = list(zip(names, texts, strict=True))
        turned = known[copy % len(known) :] + known[: copy % len(known)] if known else []
        taken = answers[query] | {cluster.get(name, name) for name in names}
        filled.append([*turned[:negatives], *_fill(negatives - len(known), taken, pool, draw)])
    columns: dict[str, list[Any]] = {"anchor": rows["anchor"].to_list(), "positive": rows["positive"].to_list()}
    for number in range(negatives):
        columns[f"negative_{number + 1}"] = [passages[number][1] for passages in filled]
    if near is not None:
        queries, passages = _numbers(rows)
        named = zip(rows["query_id"], rows["positive_id"], filled, strict=True)
        columns["label"] = [
            [queries[query], *(passages.get(name, _NO_PASSAGE) for name in (positive, *(name for name, _ in others)))]
            for query, positive, others in named
        ]
    return Dataset.from_dict(columns)


def may_answer(rows: pl.DataFrame, near: Mapping[str, str]) -> np.ndarray:
    """Return [pairs, 2] int64, numbers of a query and of a passage that is no negative of it in any batch.

    These are the passages that may answer the query and their near-duplicates, without the query's own negatives: of
    what may answer a query, only what people refused is mined for it.

    Args:
        rows: the table RetrievalRow.
        near: passage id -> its cluster of near-duplicates, for those that have any.
    """
    queries, passages = _numbers(rows)
    members: dict[str, set[int]] = defaultdict(set)
    for name, number in passages.items():
        members[near.get(name, name)].add(number)
    lists = rows.group_by("query_id", maintain_order=True).agg(
        pl.col("answer_ids", "negative_ids").explode().drop_nulls().unique(maintain_order=True)
    )
    pairs = [
        (queries[query], number)
        for query, answers, negatives in lists.select("query_id", "answer_ids", "negative_ids").iter_rows()
        for number in sorted(
            set().union(*(members.get(near.get(name, name), set()) for name in answers))
            - {passages[name] for name in negatives}
        )
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _numbers(rows: pl.DataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of each query and of each passage that stands in a row, by id."""
    names = rows["query_id"], pl.concat([rows["positive_id"], rows["negative_ids"].explode().drop_nulls()])
    queries, passages = ({name: number for number, name in enumerate(each.unique().sort())} for each in names)
    return queries, passages


def _fill(
    missing: int, taken: set[str], pool: Sequence[tuple[str, str, str]], draw: random.Random
) -> list[tuple[str, str]]:
    """Return so many passages, id and text, of clusters that are not `taken`."""
    found: list[tuple[str, str]] = []
    for place in draw.choices(range(len(pool)), k=20 * missing) if missing > 0 else []:
        cluster, name, text = pool[place]
        if len(found) < missing and cluster not in taken:
            taken.add(cluster)
            found.append((name, text))
    if len(found) < missing:  # nearly the whole corpus is the query's own
        free = [(name, text) for cluster, name, text in pool if cluster not in taken]
        found += draw.sample(free, min(len(free), missing - len(found)))
    return found + [("", "")] * (missing - len(found))  # a corpus of a handful of passages has no other


def sts_examples(rows: pl.DataFrame) -> Dataset:
    """Return sentence1, sentence2, score."""
    return Dataset.from_dict(rows.select("sentence1", "sentence2", "score").to_dict(as_series=False))
