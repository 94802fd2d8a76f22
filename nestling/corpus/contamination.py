"""Find what is trained on and evaluated on at once: exact and near duplicates, queries, documents and pairs."""

import polars as pl

from nestling.corpus.duplicates import cross_duplicates

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
TEXTS = {"item": pl.String, "item_id": pl.String, "text": pl.String}


def text_leaks(train: pl.DataFrame, evaluation: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the table Leak: every evaluation text that a training text repeats.

    Args:
        train: item, item_id, text of everything that is trained on.
        evaluation: suite, item, item_id, text of everything that is measured on.
        threshold: Jaccard similarity over neighbouring words.
    """
    asked = evaluation.unique(maintain_order=True)
    pairs = cross_duplicates(train["text"].to_list(), asked["text"].to_list(), threshold)
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


def pair_leaks(train: pl.DataFrame, evaluation: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the table Leak: evaluation pairs of which a training pair repeats both sentences, in either order.

    A single shared sentence is no leak of a grade: graded data reuse sentences with other partners on purpose.

    Args:
        train: pair_id, sentence1, sentence2.
        evaluation: suite, pair_id, sentence1, sentence2.
        threshold: Jaccard similarity over neighbouring words.
    """
    one = _sides(train.with_columns(suite=pl.lit("")), "pair")
    other = _sides(evaluation, "pair")
    hits = text_leaks(one.drop("suite"), other, threshold).with_columns(
        train_side=pl.col("train_id").str.slice(0, 1), eval_side=pl.col("eval_id").str.slice(0, 1)
    )
    named = hits.with_columns(train_id=pl.col("train_id").str.slice(1), eval_id=pl.col("eval_id").str.slice(1))
    both = (
        named.group_by("suite", "eval_id", "train_id")
        .agg(
            straight=(pl.col("train_side") == pl.col("eval_side")).sum(),
            crossed=(pl.col("train_side") != pl.col("eval_side")).sum(),
        )
        .filter((pl.col("straight") == 2) | (pl.col("crossed") == 2))
    )
    whole = named.join(both, on=["suite", "eval_id", "train_id"], how="semi")
    return (
        whole.select(list(_LEAK))
        .unique(["suite", "eval_id", "train_id"], keep="first", maintain_order=True)
        .sort(pl.all())
    )


def _sides(pairs: pl.DataFrame, item: str) -> pl.DataFrame:
    return pl.concat(
        pairs.select(
            "suite", item=pl.lit(item), item_id=pl.concat_str(pl.lit(side), "pair_id"), text=f"sentence{side}"
        )
        for side in ("1", "2")
    )
