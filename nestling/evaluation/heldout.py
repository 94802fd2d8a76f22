"""Hold out the set's own test queries as suites: those that people wrote apart from those that a program made.

Whatever asks here is decided by the splits and a seed alone: no encoder, no gate of the round trip and no judgement of
a candidate has a say, so that systems and data versions are measured on the same queries.
"""

from typing import NamedTuple

import polars as pl

from nestling.corpus.cleaning import normalized
from nestling.corpus.ids import content_id
from nestling.evaluation.standing import GENERATED, HELD_OUT, RECORDED

WRITTEN, LLM = "recorded", "llm"  # origins
_ANSWERS = {"query_id": pl.String, "document_id": pl.String}


class HeldOut(NamedTuple):
    """The suites, SuiteQuery (with `origin`) and SuiteQrel rows, and how many queries of each were not drawn."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    not_drawn: dict[str, int]


def hold_out(queries: pl.DataFrame, answerable: pl.DataFrame, passages: pl.DataFrame, most: int, seed: int) -> HeldOut:
    """Return the suites of the test split's queries.

    Queries of the same words are one query, which all their documents answer. Generated ones are those of an LLM where
    there are any, else those cut out of the text; one that repeats a recorded query of any split is left to it.

    Args:
        queries: Query rows.
        answerable: Answerable rows.
        passages: Passage rows.
        most: queries of each suite; more are drawn from, passages in turn.
        seed: of the draw. A query's place in it is a hash, so that other queries move it little.
    """
    same = pl.col("text").map_elements(normalized, return_dtype=pl.String)
    asked = queries.select("query_id", "text", "origin", "split", same=same)
    written = asked.filter(pl.col("origin") == WRITTEN)
    made = asked.filter(pl.col("origin") != WRITTEN).join(written, on="same", how="anti").filter(split="test")
    by_llm = made.filter(pl.col("origin") == LLM)
    parts = [
        _suite(RECORDED, written.filter(split="test"), answerable.filter(pl.col("origin") == WRITTEN), passages),
        _suite(GENERATED, by_llm if by_llm.height else made, answerable, passages),
    ]
    drawn = [_drawn(part, most, seed) for part in parts]
    return HeldOut(
        pl.concat(drawn),
        pl.concat(_qrels(part) for part in drawn),
        {name: whole.height - part.height for name, whole, part in zip(HELD_OUT, parts, drawn, strict=True)},
    )


def _suite(suite: str, asked: pl.DataFrame, answerable: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """Return suite, query_id, text, origin, passage_id (its first) and `answers`, document ids; a row a wording.

    Of a document that is named and was kept in part the document itself answers; of one that is a copy throughout
    those that hold its text.
    """
    holders = passages.select("passage_id", holder="document_id")
    kept = pl.col("document_id").is_in(passages["document_id"].unique().to_list())
    answers = answerable.join(holders, on="passage_id", maintain_order="left").select(
        "query_id", "passage_id", answer=pl.when(kept).then("document_id").otherwise("holder")
    )
    return (
        asked.sort("query_id")
        .join(answers, on="query_id", maintain_order="left")
        .group_by("same", maintain_order=True)
        .agg(
            pl.col("query_id", "text", "origin").first(), pl.col("passage_id").min(), answers=pl.col("answer").unique()
        )
        .with_columns(suite=pl.lit(suite))
    )


def _drawn(suite: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Return at most so many queries: one of each passage, then a second of each, until they are enough."""
    lot = pl.col("query_id").map_elements(lambda name: content_id(str(seed), name), return_dtype=pl.String)
    ordered = suite.with_columns(lot=lot).sort("lot")
    turn = pl.int_range(pl.len()).over("passage_id")
    return ordered.with_columns(turn=turn).sort("turn", "lot").head(most)


def _qrels(suite: pl.DataFrame) -> pl.DataFrame:
    return suite.select("suite", "query_id", document_id="answers", relevance=pl.lit(1, dtype=pl.Int32)).explode(
        "document_id"
    )
