"""Sentence pairs that people graded: CSV files with the columns sentence1, sentence2, score."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from nestling.corpus.rejects import Reject
from nestling.corpus.rows import MAX_ROW, Row, read_csv
from nestling.corpus.values import text_of

COLUMNS = ("sentence1", "sentence2", "score")
UNIT, GRADES = (0.0, 1.0), (0.0, 5.0)  # the two scales in use


class Pair(NamedTuple):
    """Two sentences, their score as it was given, and where they stand (file:line)."""

    sentence1: str
    sentence2: str
    score: float
    place: str


def read_pairs(path: Path, name: str) -> tuple[list[Pair], list[Reject]]:
    """Read the pairs of one file, scores as given."""
    pairs: list[Pair] = []
    rejects: list[Reject] = []
    for row in read_csv(path, name, MAX_ROW, COLUMNS):
        pair = row if isinstance(row, Reject) else _pair(row)
        if isinstance(pair, Reject):
            rejects.append(pair)
        else:
            pairs.append(pair)
    return pairs, rejects


def normalise_scores(pairs: Sequence[Pair], scale: Sequence[float] | None) -> tuple[list[Pair], list[Reject]]:
    """Bring the scores of one file to 0 to 1.

    Args:
        pairs: the pairs of one file.
        scale: lowest and highest score; where undeclared it is 0 to 5 if any score exceeds 1, else 0 to 1.
    """
    low, high = scale or (GRADES if any(pair.score > UNIT[1] for pair in pairs) else UNIT)
    kept, rejects = [], []
    for pair in pairs:
        if low <= pair.score <= high:
            kept.append(pair._replace(score=(pair.score - low) / (high - low)))
        else:
            detail = f"{pair.score:g} is not within {low:g} to {high:g}"
            rejects.append(Reject("pair", pair.place, "score_out_of_scale", detail, pair.sentence1))
    return kept, rejects


def pairs_frame(pairs: Sequence[Pair]) -> pl.DataFrame:
    """Return sentence1, sentence2 and score."""
    schema = {"sentence1": pl.String, "sentence2": pl.String, "score": pl.Float64}
    return pl.DataFrame([pair[:3] for pair in pairs], schema=schema, orient="row")


def _pair(row: Row) -> Pair | Reject:
    left, right = text_of(row.values, "sentence1"), text_of(row.values, "sentence2")
    if not left or not right:
        return Reject("pair", row.place, "missing_text", "a sentence is empty", left or right)
    given = str(row.values["score"]).strip()
    try:
        score = float(given)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        return Reject("pair", row.place, "score_not_a_number", f"the score is {given[:100]!r}", left)
    return Pair(left, right, score, row.place)
