"""Build retrieval and STS training sets of matched size, keep evaluation text out of them, and hold out a test suite.

Reads   data/prepared/passages.parquet (Passage), data/curated/{queries,positives,negatives,pairs}.parquet,
        data/suites/{documents,queries,pairs}.parquet (SuiteDocument, SuiteQuery, SuitePair)
Writes  data/balanced/{retrieval,sts}/{train,dev}.parquet (RetrievalRow, StsRow) and their data card README.md,
        reports/leaks.jsonl (Leak), data/heldout/{queries,qrels}.parquet (SuiteQuery, SuiteQrel),
        reports/balance.json
"""

import random
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from nestling.cli import run, say
from nestling.corpus.contamination import TEXTS, pair_leaks, text_leaks
from nestling.errors import UserError
from nestling.params import StageParams
from nestling.reporting.cards import data_card
from nestling.tables.corpus import Passage, SentencePair, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.io import check, read_table, write_json, write_table, write_text
from nestling.tables.review import CuratedQuery, Negative, Positive
from nestling.tables.training import Leak, RetrievalRow, StsRow

OUT, HELDOUT, LEAKS = Path("data/balanced"), Path("data/heldout"), Path("reports/leaks.jsonl")
SUITE = "heldout"


class BalanceParams(StageParams, section="balance", shared=("set", "seed")):
    set: str
    seed: int
    match: Literal["largest", "smallest", "none"]  # repeat the smaller set, sample the larger, or leave both
    max_repeat: float = Field(ge=1)  # the smaller set is repeated at most so many times
    contamination: Literal["stop", "drop"]
    near_duplicate: float = Field(gt=0, le=1)


def retrieval_rows(queries: pl.DataFrame, positives: pl.DataFrame, negatives: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """Return one row a query and positive, with the query's negatives, nearest first; copy 0."""
    texts = passages.select("passage_id", "text")
    listed = (
        negatives.join(texts, on="passage_id", maintain_order="left")
        .sort("query_id", "rank")
        .group_by("query_id", maintain_order=True)
        .agg(negatives="text", negative_ids="passage_id")
    )
    nothing = pl.lit([], dtype=pl.List(pl.String))
    return (
        positives.join(queries.select("query_id", "split", anchor="text"), on="query_id", maintain_order="left")
        .join(texts.rename({"text": "positive"}), on="passage_id", maintain_order="left")
        .join(listed, on="query_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("negatives").fill_null(nothing),
            pl.col("negative_ids").fill_null(nothing),
            positive_id="passage_id",
            copy=pl.lit(0, dtype=pl.UInt32),
        )
    )


def resized(rows: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Return `size` rows: whole copies of the set and a seeded sample for the rest; `copy` tells them apart."""
    if rows.is_empty() or size == rows.height:
        return rows
    whole, rest = divmod(size, rows.height)
    places = sorted(random.Random(seed).sample(range(rows.height), rest))  # noqa: S311 - repeatable, not secret
    parts = [rows.with_columns(copy=pl.lit(number, dtype=pl.UInt32)) for number in range(whole)]
    return pl.concat([*parts, rows[places].with_columns(copy=pl.lit(whole, dtype=pl.UInt32))])


def matched_sizes(retrieval: int, sts: int, params: BalanceParams) -> tuple[int, int]:
    """Return how many rows each set shall have."""
    if params.match == "none" or not retrieval or not sts:
        return retrieval, sts
    if params.match == "smallest":
        return min(retrieval, sts), min(retrieval, sts)
    size = max(retrieval, sts)
    return min(size, int(retrieval * params.max_repeat)), min(size, int(sts * params.max_repeat))


def find_leaks(train: pl.DataFrame, pairs: pl.DataFrame, suites: dict[str, pl.DataFrame], threshold: float) -> pl.DataFrame:
    """Return the table Leak.

    A suite's queries and the documents that it brought itself must not resemble any training text. Documents that a
    suite borrows from the set are what the encoder is raised on and are no leak.

    Args:
        train: retrieval rows of the train split.
        pairs: sentence pairs of the train split.
        suites: documents, queries and pairs of every evaluation suite.
        threshold: Jaccard similarity over neighbouring words.
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
            suites["documents"].filter("own").select("suite", item=pl.lit("document"), item_id="document_id", text="text"),
        ]
    )
    found = text_leaks(trained.unique(maintain_order=True), measured, threshold)
    return pl.concat([found, pair_leaks(pairs, suites["pairs"], threshold)])


def without(train: pl.DataFrame, pairs: pl.DataFrame, leaks: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the training rows and pairs without what leaks: queries, positives, single negatives, pairs."""
    gone = {item: leaks.filter(pl.col("train_item") == item)["train_id"].to_list() for item in ("query", "passage", "pair")}
    rows = train.filter(~pl.col("query_id").is_in(gone["query"]) & ~pl.col("positive_id").is_in(gone["passage"]))
    if gone["passage"]:
        stays = [[one not in gone["passage"] for one in ids] for ids in rows["negative_ids"].to_list()]
        for column in ("negatives", "negative_ids"):
            kept = [[text for text, stay in zip(texts, mask, strict=True) if stay] for texts, mask in zip(rows[column].to_list(), stays, strict=True)]
            rows = rows.with_columns(pl.Series(column, kept, dtype=pl.List(pl.String)))
    return rows, pairs.filter(~pl.col("pair_id").is_in(gone["pair"]))


def gate(leaks: pl.DataFrame, params: BalanceParams) -> None:
    """Stop the build when training text stands in a suite and nobody said to drop it."""
    if leaks.is_empty() or params.contamination == "drop":
        return
    named = [
        f"{suite} {item} {name!r} ({text[:60]!r})"
        for suite, item, name, text in leaks.select("suite", "eval_item", "eval_id", "eval_text").head(5).iter_rows()
    ]
    raise UserError(
        f"{leaks.height} training texts stand in an evaluation suite, so its scores would not be believed: "
        f"{'; '.join(named)}{' ...' if leaks.height > 5 else ''}. All of them are in {LEAKS}; take them "
        "out of the set, or set balance.contamination to drop to train without them"
    )


def main() -> None:
    params = BalanceParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    queries = read_table("data/curated/queries.parquet", CuratedQuery)
    positives = read_table("data/curated/positives.parquet", Positive)
    negatives = read_table("data/curated/negatives.parquet", Negative)
    pairs = read_table("data/curated/pairs.parquet", SentencePair)
    suites = {
        "documents": read_table("data/suites/documents.parquet", SuiteDocument),
        "queries": read_table("data/suites/queries.parquet", SuiteQuery),
        "pairs": read_table("data/suites/pairs.parquet", SuitePair),
    }
    rows = retrieval_rows(queries, positives, negatives, passages)
    split = {name: rows.filter(pl.col("split") == name) for name in ("train", "dev", "test")}
    graded = {name: pairs.filter(pl.col("split") == name).with_columns(copy=pl.lit(0, dtype=pl.UInt32)) for name in ("train", "dev")}

    leaks = find_leaks(split["train"], graded["train"], suites, params.near_duplicate)
    write_text(check(leaks, Leak, "finding leaks").write_ndjson(), LEAKS)
    gate(leaks, params)
    ours = pl.concat([split["dev"], split["test"]]).select(
        suite=pl.lit(SUITE), item=pl.lit("query"), item_id="query_id", text="anchor"
    )
    asked = split["train"].select(item=pl.lit("query"), item_id="query_id", text="anchor").unique(maintain_order=True)
    repeated = text_leaks(asked, ours, params.near_duplicate)
    train, train_pairs = without(split["train"], graded["train"], pl.concat([leaks, repeated]))
    if train.is_empty() and train_pairs.is_empty():
        raise UserError("nothing is left to train on: look at reports/filter.json and reports/curation.json for what went")
    sizes = matched_sizes(train.height, train_pairs.height, params)

    write_table(resized(train, sizes[0], params.seed), OUT / "retrieval/train.parquet", RetrievalRow)
    write_table(split["dev"], OUT / "retrieval/dev.parquet", RetrievalRow)
    write_table(resized(train_pairs, sizes[1], params.seed), OUT / "sts/train.parquet", StsRow)
    write_table(graded["dev"], OUT / "sts/dev.parquet", StsRow)
    test = split["test"].with_columns(suite=pl.lit(SUITE), text="anchor", relevance=pl.lit(1, dtype=pl.Int32))
    document = test.join(passages.select("passage_id", "document_id"), on="passage_id", maintain_order="left")
    write_table(test.unique("query_id", maintain_order=True), HELDOUT / "queries.parquet", SuiteQuery)
    write_table(document.unique(["query_id", "document_id"]), HELDOUT / "qrels.parquet", SuiteQrel)
    report = {
        "retrieval": {"rows": sizes[0], "unique": train.height, "factor": _factor(sizes[0], train.height), "dev": split["dev"].height},
        "sts": {"rows": sizes[1], "unique": train_pairs.height, "factor": _factor(sizes[1], train_pairs.height), "dev": graded["dev"].height},
        "seed": params.seed,
        "heldout_queries": test["query_id"].n_unique(),
        "negatives_per_row": round(train["negatives"].list.len().mean() or 0.0, 2),  # type: ignore[operator, arg-type]
        "leaks_dropped": leaks.height,
        "repeats_of_dev_and_test_dropped": repeated["train_id"].n_unique(),
    }
    write_json(report, "reports/balance.json")
    licences = sorted({licence or "not stated" for licence in passages["licence"]})
    write_text(data_card(params.set, report, licences), OUT / "README.md")
    say(f"balance: {sizes[0]} retrieval rows, {sizes[1]} STS rows, {leaks.height} leaks dropped")


def _factor(rows: int, unique: int) -> float | None:
    return round(rows / unique, 3) if unique else None


if __name__ == "__main__":
    run(main)
