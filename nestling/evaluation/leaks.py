"""Training text that stands in an evaluation suite or among held-out queries: finding it, and training without it."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from nestling.corpus.contamination import TEXTS, NearDuplicate, pair_leaks, text_leaks
from nestling.errors import UserError
from nestling.evaluation.heldout import WRITTEN

_SHOWN = 5  # leaks in a sentence


def suite_leaks(
    train: pl.DataFrame, pairs: pl.DataFrame, suites: Mapping[str, pl.DataFrame], limits: NearDuplicate
) -> pl.DataFrame:
    """Return the table Leak.

    A suite's queries and the documents that it brought itself must not resemble any training text. Documents that a
    suite borrows from the set are what the encoder is raised on and are no leak.

    Args:
        train: retrieval rows of the train split.
        pairs: sentence pairs of the train split.
        suites: documents, queries and pairs of every evaluation suite.
        limits: from where on two texts are one.
    """
    shown = train.select(item_id="negative_ids", text="negatives").explode("item_id", "text").drop_nulls()
    trained = pl.concat(
        [
            train.select(item=pl.lit("query"), item_id="query_id", text="anchor"),
            train.select(item=pl.lit("passage"), item_id="positive_id", text="positive"),
            shown.select(item=pl.lit("passage"), item_id="item_id", text="text"),
            *(pairs.select(item=pl.lit("pair"), item_id="pair_id", text=f"sentence{side}") for side in (1, 2)),
        ]
    ).cast(TEXTS)  # type: ignore[arg-type]
    measured = pl.concat(
        [
            suites["queries"].select("suite", item=pl.lit("query"), item_id="query_id", text="text"),
            suites["documents"]
            .filter("own")
            .select("suite", item=pl.lit("document"), item_id="document_id", text="text"),
        ]
    )
    found = text_leaks(trained.unique(maintain_order=True), measured, limits)
    return _traced(pl.concat([found, pair_leaks(pairs, suites["pairs"], limits)]), train)


def repeats(rows: pl.DataFrame, held_out: pl.DataFrame, limits: NearDuplicate) -> pl.DataFrame:
    """Return the table Leak: queries of rows that ask what a query held out asks.

    Args:
        rows: retrieval rows.
        held_out: suite, query_id, text.
        limits: from where on two texts are one.
    """
    query = pl.lit("query").alias("item")
    asked = rows.select(query, item_id="query_id", text="anchor").unique(maintain_order=True)
    return _traced(text_leaks(asked, held_out.select("suite", query, item_id="query_id", text="text"), limits), rows)


def by_origin(leaks: pl.DataFrame) -> dict[str, int]:
    """Return how many training texts of each origin leak."""
    texts = leaks.unique(["train_item", "train_id"])
    return dict(texts["train_origin"].value_counts().sort("train_origin").iter_rows())


def without(train: pl.DataFrame, pairs: pl.DataFrame, leaks: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the training rows and pairs without what leaks: queries, positives, single negatives, pairs."""
    gone = {
        item: leaks.filter(pl.col("train_item") == item)["train_id"].to_list() for item in ("query", "passage", "pair")
    }
    rows = train.filter(~pl.col("query_id").is_in(gone["query"]) & ~pl.col("positive_id").is_in(gone["passage"]))
    if gone["passage"]:
        stays = [[one not in gone["passage"] for one in ids] for ids in rows["negative_ids"].to_list()]
        for column in ("negatives", "negative_ids"):
            kept = [
                [text for text, stay in zip(texts, mask, strict=True) if stay]
                for texts, mask in zip(rows[column].to_list(), stays, strict=True)
            ]
            rows = rows.with_columns(pl.Series(column, kept, dtype=pl.List(pl.String)))
    return rows, pairs.filter(~pl.col("pair_id").is_in(gone["pair"]))


def stop_at(leaks: pl.DataFrame, written: Path) -> None:
    """Raise a UserError where text that people brought stands in a suite.

    Args:
        leaks: Leak rows.
        written: the file that holds them all.
    """
    brought = leaks.filter(~pl.col("coincidence"))
    if brought.is_empty():
        return
    named = [
        f"{suite} {item} {name!r} ({text[:60]!r})"
        for suite, item, name, text in brought.select("suite", "eval_item", "eval_id", "eval_text")
        .head(_SHOWN)
        .iter_rows()
    ]
    raise UserError(
        f"{brought.height} training texts stand in an evaluation suite, so its scores would not be believed: "
        f"{'; '.join(named)}{' ...' if brought.height > _SHOWN else ''}. All of them are in {written} (coincidence: "
        "false); take them out of the set, or set balance.contamination to drop to train without them"
    )


def _traced(leaks: pl.DataFrame, train: pl.DataFrame) -> pl.DataFrame:
    """Return the leaks with the origin of the training text, and whether it is a coincidence.

    People brought documents, pairs and recorded queries. A query that a program or an LLM wrote knew no suite: where
    it repeats one, short texts met by chance.
    """
    asked = train.select(train_item=pl.lit("query"), train_id="query_id", train_origin="origin").unique()
    found = leaks.join(asked, on=["train_item", "train_id"], how="left", maintain_order="left")
    brought = pl.when(pl.col("train_item") == "passage").then(pl.lit("document")).otherwise("train_item")
    return found.with_columns(pl.col("train_origin").fill_null(brought)).with_columns(
        coincidence=(pl.col("train_item") == "query") & (pl.col("train_origin") != WRITTEN)
    )
