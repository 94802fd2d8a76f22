"""What a search gives, and what mining makes of it."""

import dataframely as dy
import polars as pl

# "negative" is used in training; every other verdict says why a hit is not.
VERDICTS = (
    "negative",
    "positive",
    "held_out",
    "same_document",
    "near_duplicate",
    "margin",
    "above_window",
    "not_drawn",
)


class Candidate(dy.Schema):
    """A hit of the miner for a query and what was decided about it."""

    query_id = dy.String(primary_key=True)
    rank = dy.UInt32(primary_key=True, min=1)
    passage_id = dy.String()
    score = dy.Float32()
    positive_score = dy.Float32()  # of the query's weakest labelled positive
    mean_score = dy.Float32()  # of the query, over all passages
    verdict = dy.Enum(VERDICTS)

    @dy.rule()
    def a_passage_is_judged_once(cls) -> pl.Expr:
        return pl.struct("query_id", "passage_id").is_unique()
