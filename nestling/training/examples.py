"""Training tables as the trainer wants them: columns of text, the same number in every row."""

import random

import polars as pl
from datasets import Dataset


def retrieval_examples(rows: pl.DataFrame, negatives: int, seed: int) -> Dataset:
    """Return anchor, positive, negative_1 ... negative_n.

    Each copy of a repeated row begins with another of its negatives. A row that has fewer hard negatives than
    `negatives` is not dropped: positives of other rows fill up, drawn by seed; they are what in-batch negatives are,
    easy and harmless.
    """
    columns: dict[str, list[str]] = {"anchor": rows["anchor"].to_list(), "positive": rows["positive"].to_list()}
    pool = rows.select("positive_id", "positive").unique("positive_id", maintain_order=True)
    pool_ids, pool_texts = pool["positive_id"].to_list(), pool["positive"].to_list()
    own = dict(rows.group_by("query_id").agg(pl.col("answer_ids").explode().unique()).iter_rows())
    draw = random.Random(seed)
    filled: list[list[str]] = []
    for query, copy, texts, names in rows.select("query_id", "copy", "negatives", "negative_ids").iter_rows():
        taken = {*own[query], *names}
        turned = texts[copy % len(texts) :] + texts[: copy % len(texts)] if texts else []
        filled.append([*turned[:negatives], *_fill(negatives - len(texts), taken, pool_ids, pool_texts, draw)])
    for number in range(negatives):
        columns[f"negative_{number + 1}"] = [texts[number] for texts in filled]
    return Dataset.from_dict(columns)


def _fill(missing: int, taken: set[str], ids: list[str], texts: list[str], draw: random.Random) -> list[str]:
    found: list[str] = []
    for place in draw.choices(range(len(ids)), k=20 * missing) if missing > 0 else []:
        if len(found) < missing and ids[place] not in taken:
            taken.add(ids[place])
            found.append(texts[place])
    if len(found) < missing:  # nearly the whole corpus is the query's own
        free = [place for place, name in enumerate(ids) if name not in taken]
        found += [texts[place] for place in draw.sample(free, min(len(free), missing - len(found)))]
    return found + [""] * (missing - len(found))  # a corpus of a handful of passages has no other


def sts_examples(rows: pl.DataFrame) -> Dataset:
    """Return sentence1, sentence2, score."""
    return Dataset.from_dict(rows.select("sentence1", "sentence2", "score").to_dict(as_series=False))
