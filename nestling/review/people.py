"""How many people judge a record, and which records as many have judged."""

import polars as pl
from pydantic import PositiveInt

from nestling.params import Strict

ASKED = ("query_quality", "relevant")  # of a query; a rewrite or a comment alone is no judgement
CONFIRMING = 2  # people who must say the same where a machine's answer stood before their eyes


class People(Strict):
    """How many people judge a record of each pile."""

    audit: PositiveInt
    active: PositiveInt
    sts: PositiveInt


def judges(answers: pl.DataFrame, people: int, questions: tuple[str, ...] = ASKED) -> pl.DataFrame:
    """Return record_id, `people` who answered all of the questions, how many are `wanted`, whether it is `settled`.

    A referee settles. What one person says beside a machine's suggestion has no effect before another confirms it, so
    that there two are wanted at least.

    Args:
        answers: Answer rows.
        people: who judge a record.
        questions: that make a judgement.
    """
    asked = answers.filter(pl.col("question").is_in(questions))
    whole = asked.group_by("record_id", "annotator", "referee").agg(
        pl.col("question").n_unique(), primed=pl.col("suggested").any()
    )
    return (
        whole.filter(pl.col("question") == len(questions))
        .group_by("record_id")
        .agg(
            people=(~pl.col("referee")).sum().cast(pl.Int64),
            wanted=pl.when(pl.col("primed").all()).then(max(people, CONFIRMING)).otherwise(people).cast(pl.Int64),
            settled=pl.col("referee").any(),
        )
        .sort("record_id")
    )


def done(answers: pl.DataFrame, people: int, questions: tuple[str, ...] = ASKED) -> list[str]:
    """Return the records that so many people, or a referee, have judged."""
    told = judges(answers, people, questions).filter(pl.col("settled") | (pl.col("people") >= pl.col("wanted")))
    return told["record_id"].to_list()
