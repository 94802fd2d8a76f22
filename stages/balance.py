"""Build retrieval and STS training sets of matched size, keep evaluation text out of them, and hold out a test suite.

Reads   data/prepared/passages.parquet (Passage), data/generated/{queries,answerable}.parquet (Query, Answerable),
        data/filtered/answerable.parquet,
        data/curated/{queries,positives,negatives,pairs}.parquet,
        data/suites/{documents,queries,pairs}.parquet (SuiteDocument, SuiteQuery, SuitePair)
Writes  data/balanced/{retrieval,sts}/{train,dev}.parquet (RetrievalRow, StsRow) and their data card README.md,
        reports/leaks.jsonl (Leak), data/heldout/{queries,qrels}.parquet (SuiteQuery, SuiteQrel),
        reports/balance.json
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, NonNegativeFloat, PositiveInt

from nestling.cli import run, say
from nestling.corpus.contamination import NearDuplicate
from nestling.errors import UserError
from nestling.evaluation.heldout import HeldOut, hold_out
from nestling.evaluation.leaks import by_origin, repeats, stop_at, suite_leaks, without
from nestling.params import StageParams
from nestling.reporting.cards import data_card
from nestling.tables.corpus import Passage, SentencePair, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.io import check, read_table, write_json, write_table, write_text
from nestling.tables.queries import Answerable, Query
from nestling.tables.review import CuratedQuery, Negative, Positive
from nestling.tables.training import Leak, RetrievalRow, StsRow

OUT, HELDOUT, LEAKS = Path("data/balanced"), Path("data/heldout"), Path("reports/leaks.jsonl")


class BalanceParams(StageParams, section="balance", shared=("set", "seed")):
    set: str
    seed: int
    origins: dict[str, NonNegativeFloat]  # of queries -> how often a row of it is taken; 1 where nothing is said
    heldout: PositiveInt  # queries at most of each held-out suite
    match: Literal["largest", "smallest", "none"]  # repeat the smaller set, sample the larger, or leave both
    max_repeat: float = Field(ge=1)  # the smaller set is repeated at most so many times
    contamination: Literal["stop", "drop"]
    near_duplicate: NearDuplicate


@dataclass(frozen=True)
class Gated:
    """What may be trained on and chosen by: retrieval rows and sentence pairs; and how much was kept out."""

    rows: pl.DataFrame
    pairs: pl.DataFrame
    dev: pl.DataFrame
    dev_pairs: pl.DataFrame
    leaks: pl.DataFrame
    repeats: pl.DataFrame


def retrieval_rows(
    queries: pl.DataFrame, positives: pl.DataFrame, negatives: pl.DataFrame, passages: pl.DataFrame
) -> pl.DataFrame:
    """Return one row a query and positive, with the query's negatives, certified first, then nearest first; copy 0.

    `answer_ids` are all its positives: what else may answer is added by `with_answers`.
    """
    texts = passages.select("passage_id", "text", passage_split="split")
    listed = (
        negatives.join(texts, on="passage_id", maintain_order="left")
        .sort("query_id", pl.col("certified").not_(), "rank")
        .group_by("query_id", maintain_order=True)
        .agg(negatives="text", negative_ids="passage_id")
    )
    nothing = pl.lit([], dtype=pl.List(pl.String))
    return (
        positives.join(
            queries.select("query_id", "split", "origin", anchor="text"), on="query_id", maintain_order="left"
        )
        .join(texts.rename({"text": "positive"}), on="passage_id", maintain_order="left")
        # people may find that a held-out passage answers a training query: then the row is not trained on, but neither
        # measured on, for an encoder brought the passage before them
        .with_columns(split=pl.when((pl.col("split") != "train") | (pl.col("passage_split") == "train")).then("split"))
        .join(listed, on="query_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("negatives").fill_null(nothing),
            pl.col("negative_ids").fill_null(nothing),
            positive_id="passage_id",
            answer_ids=pl.col("passage_id").implode().over("query_id"),
            copy=pl.lit(0, dtype=pl.UInt32),
        )
    )


def with_answers(
    rows: pl.DataFrame, curated: pl.DataFrame, queries: pl.DataFrame, answerable: pl.DataFrame
) -> pl.DataFrame:
    """Return the rows, `answer_ids` with whatever else may answer: no passage of a named document is a negative.

    What people refused is one: of what may answer, `mine` takes nothing else for a negative.

    Args:
        rows: as `retrieval_rows` gives them.
        curated: CuratedQuery rows; what may answer a query may answer its better wording.
        queries: Query rows as they were generated.
        answerable: Answerable rows.
    """
    wordings = curated.select("query_id", text=pl.coalesce("rewritten_from", "text"))
    told = (
        wordings.join(queries.select("text", old_id="query_id"), on="text", maintain_order="left_right")
        .join(answerable.select("passage_id", old_id="query_id"), on="old_id", maintain_order="left_right")
        .group_by("query_id", maintain_order=True)
        .agg(told="passage_id")
    )
    known = rows.join(told, on="query_id", how="left", maintain_order="left")
    both = pl.concat_list("answer_ids", pl.col("told").fill_null(pl.lit([], dtype=pl.List(pl.String))))
    answers = both.list.unique().list.set_difference("negative_ids").list.sort()
    return known.with_columns(answer_ids=answers).drop("told")


def resized(rows: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Return `size` rows: whole copies of the set and a seeded sample for the rest; `copy` tells them apart."""
    if rows.is_empty() or size == rows.height:
        return rows
    whole, rest = divmod(size, rows.height)
    places = sorted(random.Random(seed).sample(range(rows.height), rest))
    free = max(rows["copy"].to_list()) + 1  # the first number of a copy that no row has
    parts = [*[rows] * whole, rows[places]]
    return pl.concat(part.with_columns(pl.col("copy") + number * free) for number, part in enumerate(parts))


def weighted(rows: pl.DataFrame, params: BalanceParams) -> pl.DataFrame:
    """Return the rows, those of each origin as often as `origins` says."""
    parts = [
        resized(part, round(part.height * params.origins.get(str(origin), 1.0)), params.seed)
        for (origin,), part in rows.sort("origin", maintain_order=True).group_by("origin", maintain_order=True)
    ]
    return pl.concat([rows.clear(), *parts])


def matched_sizes(retrieval: int, sts: int, params: BalanceParams) -> tuple[int, int]:
    """Return how many rows each set shall have."""
    if params.match == "none" or not retrieval or not sts:
        return retrieval, sts
    if params.match == "smallest":
        return min(retrieval, sts), min(retrieval, sts)
    size = max(retrieval, sts)
    return min(size, int(retrieval * params.max_repeat)), min(size, int(sts * params.max_repeat))


def gated(
    split: dict[str, pl.DataFrame], pairs: dict[str, pl.DataFrame], held: HeldOut, params: BalanceParams
) -> Gated:
    """Return what may be trained on, keeping out what stands in a suite, in the dev set or among held-out queries.

    The dev sets pass the same gate: a checkpoint chosen by a suite's own queries would be chosen by the test.
    """
    suites = {
        "documents": read_table("data/suites/documents.parquet", SuiteDocument),
        "queries": read_table("data/suites/queries.parquet", SuiteQuery),
        "pairs": read_table("data/suites/pairs.parquet", SuitePair),
    }
    limits = params.near_duplicate
    leaks = suite_leaks(pl.concat(split.values()), pl.concat(pairs.values()), suites, limits)
    write_text(check(leaks, Leak, "finding leaks").write_ndjson(), LEAKS)
    if params.contamination == "stop":
        stop_at(leaks, LEAKS)
    tested = held.queries.select("suite", "query_id", "text")
    dev_queries = split["dev"].select("query_id", suite=pl.lit("dev"), text="anchor").select(tested.columns)
    repeated = repeats(split["train"], pl.concat([tested, dev_queries]), limits)
    train, kept = without(split["train"], pairs["train"], pl.concat([leaks, repeated]))
    if train.is_empty() and kept.is_empty():
        raise UserError(
            f"nothing is left to train on: {leaks.height} texts stood in a suite ({LEAKS}), {repeated.height} "
            "repeated held-out queries; reports/filter.json and reports/curation.json say what went before"
        )
    dev, dev_pairs = without(split["dev"], pairs["dev"], pl.concat([leaks, repeats(split["dev"], tested, limits)]))
    return Gated(train, kept, dev, dev_pairs, leaks, repeated)


def counted(rows: pl.DataFrame, dev: pl.DataFrame, keys: list[str]) -> dict[str, Any]:
    """Return how many rows a set has, how many of them are distinct, and by what factor it was repeated."""
    unique = rows.select(keys).n_unique() if rows.height else 0
    factor = round(rows.height / unique, 3) if unique else None
    return {"rows": rows.height, "unique": unique, "factor": factor, "dev": dev.height}


def main() -> None:
    params = BalanceParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    curated = read_table("data/curated/queries.parquet", CuratedQuery)
    asked = read_table("data/generated/queries.parquet", Query)
    labelled = retrieval_rows(
        curated,
        read_table("data/curated/positives.parquet", Positive),
        read_table("data/curated/negatives.parquet", Negative),
        passages,
    )
    rows = with_answers(labelled, curated, asked, read_table("data/filtered/answerable.parquet", Answerable))
    split = {name: rows.filter(pl.col("split") == name) for name in ("train", "dev")}
    graded = read_table("data/curated/pairs.parquet", SentencePair).with_columns(copy=pl.lit(0, dtype=pl.UInt32))
    pairs = {name: graded.filter(pl.col("split") == name) for name in ("train", "dev")}
    held = hold_out(
        asked,
        read_table("data/generated/answerable.parquet", Answerable),
        passages,
        params.heldout,
        params.seed,
    )
    fit = gated(split, pairs, held, params)
    queries = weighted(fit.rows, params)
    sizes = matched_sizes(queries.height, fit.pairs.height, params)
    sets = {"retrieval": resized(queries, sizes[0], params.seed), "sts": resized(fit.pairs, sizes[1], params.seed)}

    write_table(sets["retrieval"], OUT / "retrieval/train.parquet", RetrievalRow)
    write_table(fit.dev, OUT / "retrieval/dev.parquet", RetrievalRow)
    write_table(sets["sts"], OUT / "sts/train.parquet", StsRow)
    write_table(fit.dev_pairs, OUT / "sts/dev.parquet", StsRow)
    write_table(held.queries, HELDOUT / "queries.parquet", SuiteQuery)
    write_table(held.qrels, HELDOUT / "qrels.parquet", SuiteQrel)
    report = {
        "retrieval": counted(sets["retrieval"], fit.dev, ["query_id", "positive_id"]),
        "sts": counted(sets["sts"], fit.dev_pairs, ["pair_id"]),
        "seed": params.seed,
        "origins": dict(sets["retrieval"]["origin"].value_counts().sort("origin").iter_rows()),
        "heldout_queries": held.queries.height,
        "heldout_origins": dict(held.queries["origin"].value_counts().sort("origin").iter_rows()),
        "heldout_not_drawn": held.not_drawn,
        "rows_with_a_held_out_passage": rows["split"].null_count(),
        "negatives_per_row": round(float(fit.rows["negatives"].list.len().mean() or 0.0), 2),  # type: ignore[arg-type]
        "leaks_dropped": fit.leaks.height,
        "leaks_by_origin": by_origin(fit.leaks),
        "repeats_of_dev_and_test_dropped": fit.repeats["train_id"].n_unique(),
        "repeats_by_origin": by_origin(fit.repeats),
    }
    write_json(report, "reports/balance.json")
    write_text(
        data_card(params.set, report, sorted({licence or "not stated" for licence in passages["licence"]})),
        OUT / "README.md",
    )
    say(f"balance: {sizes[0]} retrieval rows, {sizes[1]} STS rows, {fit.leaks.height} leaks dropped")


if __name__ == "__main__":
    run(main)
