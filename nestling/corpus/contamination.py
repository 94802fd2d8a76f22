"""Find what is trained on and evaluated on at once: exact and near duplicates, queries, documents and pairs."""

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from nestling.corpus.duplicates import Pair, cross_duplicates
from nestling.corpus.short_texts import short_duplicates, signs_differ
from nestling.params import Strict

_LEAK = {
    "suite": pl.String,
    "eval_item": pl.String,
    "eval_id": pl.String,
    "train_item": pl.String,
    "train_id": pl.String,
    "similarity": pl.Float64,
    "eval_text": pl.String,
    "train_text": pl.String,
}
_PAIR = ["suite", "eval_id", "train_id"]
TEXTS = {"item": pl.String, "item_id": pl.String, "text": pl.String}


class NearDuplicate(Strict):
    """From where on two texts are one; either measure suffices."""

    passages: float = Field(gt=0, le=1)  # Jaccard similarity over neighbouring words
    short: float = Field(gt=0, le=1)  # likeness of texts of at most 50 words: nestling/corpus/short_texts.py


def text_leaks(train: pl.DataFrame, evaluation: pl.DataFrame, limits: NearDuplicate) -> pl.DataFrame:
    """Return the table Leak: every evaluation text that a training text repeats.

    Args:
        train: item, item_id, text of everything that is trained on.
        evaluation: suite, item, item_id, text of everything that is measured on.
        limits: from where on two texts are one.
    """
    asked = evaluation.unique(maintain_order=True)
    pairs = _pairs(train["text"].to_list(), asked["text"].to_list(), limits)
    if not pairs:
        return pl.DataFrame(schema=_LEAK)
    left = train[[pair.left for pair in pairs]]
    right = asked[[pair.right for pair in pairs]]
    found = pl.DataFrame(
        {
            "suite": right["suite"],
            "eval_item": right["item"],
            "eval_id": right["item_id"],
            "train_item": left["item"],
            "train_id": left["item_id"],
            "similarity": [pair.similarity for pair in pairs],
            "eval_text": right["text"],
            "train_text": left["text"],
        },
        schema=_LEAK,
    )
    return found.sort(pl.all())


def pair_leaks(train: pl.DataFrame, evaluation: pl.DataFrame, limits: NearDuplicate) -> pl.DataFrame:
    """Return the table Leak: evaluation pairs of which a training pair repeats both sentences, in either order.

    A single shared sentence is no leak of a grade: graded data reuse sentences with other partners on purpose.

    Args:
        train: pair_id, sentence1, sentence2.
        evaluation: suite, pair_id, sentence1, sentence2.
        limits: from where on two texts are one.
    """
    one = _sides(train.with_columns(suite=pl.lit("")), "pair")
    other = _sides(evaluation, "pair")
    hits = text_leaks(one.drop("suite"), other, limits)
    named = hits.with_columns(
        straight=pl.col("train_id").str.head(1) == pl.col("eval_id").str.head(1),
        train_id=pl.col("train_id").str.slice(1),
        eval_id=pl.col("eval_id").str.slice(1),
    )
    both = (
        named.group_by(*_PAIR, "straight")
        .agg(sides=pl.len(), farther=pl.col("similarity").min())
        .filter(pl.col("sides") == 2)
        .group_by(_PAIR)
        .agg(similarity=pl.col("farther").max())  # in the order that fits better
    )
    first = named.drop("similarity").unique(_PAIR, keep="first", maintain_order=True)
    return first.join(both, on=_PAIR).select(list(_LEAK)).sort(pl.all())


def _pairs(left: Sequence[str], right: Sequence[str], limits: NearDuplicate) -> list[Pair]:
    """Return the pairs that either measure finds, each once, with the greater similarity.

    Shingles are of words and see no signs: of short texts in the same words, signs decide (C++ and C#).
    """
    best: dict[tuple[int, int], Pair] = {}
    shingled = [
        pair
        for pair in cross_duplicates(left, right, limits.passages)
        if pair.similarity < 1 or not signs_differ(left[pair.left], right[pair.right])
    ]
    for pair in shingled + short_duplicates(left, right, limits.short):
        place = (pair.left, pair.right)
        if place not in best or best[place].similarity < pair.similarity:
            best[place] = pair
    return list(best.values())


def _sides(pairs: pl.DataFrame, item: str) -> pl.DataFrame:
    return pl.concat(
        pairs.select(
            "suite", item=pl.lit(item), item_id=pl.concat_str(pl.lit(side), "pair_id"), text=f"sentence{side}"
        )
        for side in ("1", "2")
    )
