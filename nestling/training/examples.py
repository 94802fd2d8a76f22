"""Training tables as the trainer wants them: columns of text, the same number in every row."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from datasets import Dataset

NOBODYS = -1  # the cluster of a text that is no passage


def retrieval_examples(
    rows: pl.DataFrame, negatives: int, seed: int, clusters: Mapping[str, int] | None = None
) -> Dataset:
    """Return anchor, positive, negative_1 ... negative_n, and `label` where near-duplicates are known.

    Each copy of a repeated row begins with another of its negatives. A row that has fewer hard negatives than
    `negatives` is not dropped: positives of other rows fill up, drawn by seed; they are what in-batch negatives are,
    easy and harmless.

    Args:
        rows: the table RetrievalRow.
        negatives: hard negatives a row.
        seed: of what fills up.
        clusters: passage id -> its cluster of near-duplicates. `label` then holds the clusters of a row's positive and
            negatives: near-duplicates are no negatives of each other.
    """
    pool = list(rows.select("positive_id", "positive").unique("positive_id", maintain_order=True).iter_rows())
    own = dict(rows.group_by("query_id").agg(pl.col("answer_ids").explode().unique()).iter_rows())
    draw = random.Random(seed)
    filled: list[list[tuple[str, str]]] = []
    for query, copy, texts, names in rows.select("query_id", "copy", "negatives", "negative_ids").iter_rows():
        known = list(zip(names, texts, strict=True))
        turned = known[copy % len(known) :] + known[: copy % len(known)] if known else []
        filled.append([*turned[:negatives], *_fill(negatives - len(known), {*own[query], *names}, pool, draw)])
    columns: dict[str, list[Any]] = {"anchor": rows["anchor"].to_list(), "positive": rows["positive"].to_list()}
    for number in range(negatives):
        columns[f"negative_{number + 1}"] = [passages[number][1] for passages in filled]
    if clusters is not None:
        shown = zip(rows["positive_id"], filled, strict=True)
        names_of = ([positive, *(name for name, _ in passages)] for positive, passages in shown)
        columns["label"] = [[clusters.get(name, NOBODYS) for name in names] for names in names_of]
    return Dataset.from_dict(columns)


def _fill(
    missing: int, taken: set[str], pool: Sequence[tuple[str, str]], draw: random.Random
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for place in draw.choices(range(len(pool)), k=20 * missing) if missing > 0 else []:
        if len(found) < missing and pool[place][0] not in taken:
            taken.add(pool[place][0])
            found.append(pool[place])
    if len(found) < missing:  # nearly the whole corpus is the query's own
        free = [passage for passage in pool if passage[0] not in taken]
        found += draw.sample(free, min(len(free), missing - len(found)))
    return found + [("", "")] * (missing - len(found))  # a corpus of a handful of passages has no other


def sts_examples(rows: pl.DataFrame) -> Dataset:
    """Return sentence1, sentence2, score."""
    return Dataset.from_dict(rows.select("sentence1", "sentence2", "score").to_dict(as_series=False))
