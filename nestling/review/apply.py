"""Apply what people said: bad queries out, better wordings in, false negatives made positives.

Judgements are carried by what was judged, the words of the query and the passages, not by a record's name, so that
they hold in every round in which the same query meets the same passage.
"""

import json

import polars as pl

from nestling.corpus.cleaning import one_line
from nestling.corpus.ids import content_id
from nestling.review.answers import relevance, resolve


def quality(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, passage_id and `quality`, the majority's word; null for a tie."""
    return _about(resolve(answers, "query_quality"), records, "quality")


def rewrites(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, passage_id and `rewrite`, the wording that most proposed; null for a tie."""
    return _about(resolve(answers, "rewrite"), records, "rewrite")


def _about(resolved: pl.DataFrame, records: pl.DataFrame, name: str) -> pl.DataFrame:
    told = resolved.join(records, on="record_id", maintain_order="left")
    values = [None if value is None else one_line(json.loads(value)) for value in told["value"]]
    named = told.select("query", "passage_id").with_columns(pl.Series(name, values, dtype=pl.String))
    return named.unique(["query", "passage_id"], keep="last", maintain_order=True)


def judged_passages(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, own_id, passage_id and `relevant` for every passage that people judged; null for a tie."""
    contents = records.select("record_id", "query", own_id="passage_id")
    found = relevance(answers, records).join(contents, on="record_id", maintain_order="left")
    return found.select("query", "own_id", "passage_id", "relevant").unique(
        ["query", "own_id", "passage_id"], keep="last", maintain_order=True
    )


def apply_quality(
    queries: pl.DataFrame, judged: pl.DataFrame, reworded: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the queries to go on with, some in a better wording, and those judged bad with their `reason`.

    A better wording saves a query that was judged bad. Ties change nothing.

    Args:
        queries: query_id, text, passage_id and more.
        judged: as `quality` gives it.
        reworded: as `rewrites` gives it.
    """
    keys = {"left_on": ["text", "passage_id"], "right_on": ["query", "passage_id"]}
    told = queries.join(judged, how="left", maintain_order="left", **keys).join(  # type: ignore[arg-type]
        reworded,
        how="left",
        maintain_order="left",
        **keys,  # type: ignore[arg-type]
    )
    better = (pl.col("rewrite").str.len_chars() > 0) & (pl.col("rewrite") != pl.col("text"))
    marked = told.with_columns(better=better.fill_null(False))
    bad = pl.col("quality").is_in(["vague", "not_answerable", "wrong_language"]).fill_null(False) & ~pl.col("better")
    kept = marked.filter(~bad).with_columns(
        rewritten_from=pl.when("better").then("text"), text=pl.when("better").then("rewrite").otherwise("text")
    )
    renamed = pl.struct("text", "passage_id").map_elements(
        lambda row: content_id(row["text"], row["passage_id"]), return_dtype=pl.String
    )
    kept = kept.with_columns(old_id="query_id", query_id=pl.when("better").then(renamed).otherwise("query_id")).unique(
        "query_id", keep="first", maintain_order=True
    )
    return kept.drop("quality", "rewrite", "better"), marked.filter(bad).with_columns(reason="quality")


def apply_relevance(
    queries: pl.DataFrame, negatives: pl.DataFrame, judged: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return positives (query_id, passage_id, source) and the negatives that stand.

    A passage judged to answer becomes a positive and no negative; one on which people tie becomes neither. A query's own
    passage that is judged not to answer is no positive; a query may thereby lose all of them.

    Args:
        queries: query_id, old_id, text, passage_id, rewritten_from.
        negatives: query_id (as mined, hence old_id), rank, passage_id, score.
        judged: as `judged_passages` gives it.
    """
    asked = queries.select("query_id", "old_id", "passage_id", query=pl.coalesce("rewritten_from", "text"))
    said = judged.join(asked.rename({"passage_id": "own_id"}), on=["query", "own_id"], maintain_order="left").select(
        "query_id", "passage_id", "relevant", tied=pl.col("relevant").is_null()
    )
    own = asked.select("query_id", "passage_id").join(
        said, on=["query_id", "passage_id"], how="left", maintain_order="left"
    )
    stays = own.filter(pl.col("relevant").fill_null(True)).select("query_id", "passage_id", source=pl.lit("own"))
    found = said.filter("relevant").join(stays, on=["query_id", "passage_id"], how="anti")
    positives = pl.concat([stays, found.select("query_id", "passage_id", source=pl.lit("judged"))])
    mined = negatives.rename({"query_id": "old_id"}).join(
        queries.select("query_id", "old_id"), on="old_id", maintain_order="left"
    )
    told = mined.join(said, on=["query_id", "passage_id"], how="left", maintain_order="left")
    standing = told.filter(~pl.col("relevant").fill_null(False) & ~pl.col("tied").fill_null(False))
    return positives, standing.select("query_id", "rank", "passage_id", "score")


def apply_similarity(pairs: pl.DataFrame, answers: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the pairs with people's mean grade (0 to 5, brought to 0 to 1) where they gave one, and how many changed."""
    grades = (
        answers.filter(pl.col("question") == "similarity")
        .with_columns(grade=pl.col("value").cast(pl.Float64))
        .group_by("record_id", maintain_order=True)
        .agg(pl.col("grade").mean() / 5)
    )
    told = pairs.join(grades, left_on="pair_id", right_on="record_id", how="left", maintain_order="left")
    changed = told.filter(pl.col("grade").is_not_null()).height
    return told.with_columns(score=pl.coalesce("grade", "score")).drop("grade"), changed
