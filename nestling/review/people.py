"""How many people judge a record, and which records as many have judged."""

import polars as pl
from pydantic import PositiveInt

from nestling.params import Strict

ASKED = ("query_quality", "relevant")  # of a query; a rewrite or a comment alone is no judgement


class People(Strict):
    """How many people judge a record of each pile."""

    audit: PositiveInt
    active: PositiveInt
    sts: PositiveInt


def judges(answers: pl.DataFrame, questions: tuple[str, ...] = ASKED) -> pl.DataFrame:
    """Return record_id, `people` who answered all of the questions, and whether it is `settled` by a referee.

    Args:
        answers: Answer rows.
        questions: that make a judgement.
    """
    asked = answers.filter(pl.col("question").is_in(questions))
    whole = asked.group_by("record_id", "annotator", "referee").agg(pl.col("question").n_unique())
    return (
        whole.filter(pl.col("question") == len(questions))
        .group_by("record_id")
        .agg(people=(~pl.col("referee")).sum().cast(pl.Int64), settled=pl.col("referee").any())
        .sort("record_id")
    )


def done(answers: pl.DataFrame, people: int, questions: tuple[str, ...] = ASKED) -> list[str]:
    """Return the records that so many people, or a referee, have judged."""
    told = judges(answers, questions).filter(pl.col("settled") | (pl.col("people") >= people))
    return told["record_id"].to_list()
