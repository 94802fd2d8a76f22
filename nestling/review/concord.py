"""How far people agree on each question that they answer by choice: all together, by twos, and each with the rest.

Referees see disputed records alone, so what they say is no sample of anybody's agreement and is left aside; so is what
people said with a suggestion before their eyes, for two who follow the same machine need not agree.
"""

from dataclasses import asdict
from typing import Any

import polars as pl

from nestling.review.agreement import Level, alpha, passage_units
from nestling.review.answers import unprimed
from nestling.review.apply import marked_passages
from nestling.review.pairwise import of_pairs, with_the_rest

_OF = {  # what is compared
    "query_quality": "queries of records that two people or more judged unprompted, audited or not",
    "relevant": "candidates beside the own passage in such records",
    "similarity": "sentence pairs that two people or more graded unprompted",
}


def agreement(answers: pl.DataFrame, records: pl.DataFrame, seed: int, replicates: int) -> dict[str, Any]:
    """Return, by question, its `population`, Krippendorff's alpha, and a Match of all `pairs` and `with_the_rest`.

    Whether a passage is relevant is compared on the candidates alone: nearly everybody marks the query's own passage.

    Args:
        answers: Answer rows.
        records: record_id, candidates.
        seed: of the bootstrap.
        replicates: of the bootstrap.
    """

    def measured(question: str, units: pl.DataFrame, level: Level) -> dict[str, Any]:
        return {
            "population": _OF[question],
            **asdict(alpha(units, level, seed, replicates)),
            "pairs": of_pairs(units, level, seed, replicates),
            "with_the_rest": with_the_rest(units, level, seed, replicates),
        }

    theirs = unprimed(answers).filter(~pl.col("referee"))
    whole = theirs.with_columns(unit_id="question")
    graded = whole.filter(pl.col("question") == "similarity").with_columns(pl.col("value").cast(pl.Float64))
    units = {
        "query_quality": whole.filter(pl.col("question") == "query_quality"),
        "relevant": passage_units(marked_passages(theirs), records),
        "similarity": graded,
    }
    return {
        question: measured(question, told, "interval" if question == "similarity" else "nominal")
        for question, told in units.items()
    }
