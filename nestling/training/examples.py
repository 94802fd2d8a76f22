"""Training tables as the trainer wants them: columns of text, the same number in every row."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from datasets import Dataset

NOBODYS = -1  # fills a list of clusters up


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
        near: passage id -> its cluster of near-duplicates, for those that have any. `label` then says which passages
            of a batch are no negatives of the row's query: see `NestedRankingLoss`.
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
        shown = [[name for name, _ in passages] for passages in filled]
        columns["label"] = _labels(rows, shown, answers, near)
    return Dataset.from_dict(columns)


def _labels(
    rows: pl.DataFrame, negatives: list[list[str]], answers: Mapping[str, set[str]], near: Mapping[str, str]
) -> list[list[int]]:
    """Return for each row the clusters of its positive and negatives, then those of all that may answer its query."""
    numbers: dict[str, int] = {"": NOBODYS}
    room = max((len(one) for one in answers.values()), default=0)

    def number(cluster: str) -> int:
        return numbers.setdefault(cluster, len(numbers))

    found = []
    for query, positive, names in zip(rows["query_id"], rows["positive_id"], negatives, strict=True):
        shown = [number(near.get(name, name)) for name in (positive, *names)]
        barred = sorted(number(cluster) for cluster in answers[query])
        found.append([*shown, *barred, *[NOBODYS] * (room - len(barred))])
    return found


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
