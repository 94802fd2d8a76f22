"""Sentence pairs that people graded: delimited text with the columns sentence1, sentence2, score."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from nestling.corpus.delimited import read_delimited
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import MAX_ROW, Row
from nestling.corpus.values import number_of, text_of
from nestling.errors import UserError

COLUMNS = ("sentence1", "sentence2", "score")
ENDINGS = (".csv", ".tsv")  # of files of pairs
UNIT, GRADES = (0.0, 1.0), (0.0, 5.0)  # the two scales in use

# Of STS-B's pairs (it-train, pt-dev) 15 and 23% score below 1, 18 and 14% above 4: twenty pairs graded 0 to 5 of which
# none does are one file in 26 at most. A lowest score of exactly 1 speaks for 1 to 5 sooner
_MANY, _SOME = 20, 3
_OUTSIDE = 0.05  # share of scores outside a declared scale that are slips of the pen


class Pair(NamedTuple):
    """Two sentences, their score as it was given, and where they stand (file:line)."""

    sentence1: str
    sentence2: str
    score: float
    place: str


@dataclass
class Pairs:
    """What a file of pairs holds.

    Attributes:
        pairs: that can be used, scores as given.
        scores: all that can be read, those of pairs that lack a sentence too.
        unread: places of rows whose score cannot be read.
        rejects: rows that cannot be used.
    """

    pairs: list[Pair] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def read_pairs(path: Path, name: str) -> Pairs:
    """Read the pairs of one file, scores as given."""
    found = Pairs()
    for row in read_delimited(path, name, MAX_ROW, COLUMNS, COLUMNS):
        if isinstance(row, Reject):
            found.rejects.append(row)
            found.unread.append(row.item_id)
        else:
            _take(row, found)
    return found


def scale_of(found: Pairs, declared: Sequence[float] | None, name: str, way_out: str) -> tuple[float, float]:
    """Return the lowest and the highest score of a file.

    Where nothing is declared it is 0 to 1 or 0 to 5, whichever all scores of the file show. One row whose score cannot
    be read might show another, so that nothing is told then.

    Args:
        found: the file.
        declared: the scale as its owner says.
        name: of the file, for the error.
        way_out: how a scale is declared.

    Raises:
        UserError: the scores show no scale, or another than the declared one.
    """
    if declared:
        low, high = declared
        outside = [score for score in found.scores if not low <= score <= high]
        if len(outside) > _OUTSIDE * len(found.scores):
            said = f"{len(outside)} of {len(found.scores)} scores are outside the scale of {low:g} to {high:g}"
            raise UserError(f"{name}: {said}, such as {outside[0]:g}: {way_out}")
        return low, high
    if doubt := _doubt(found):
        raise UserError(f"{name}: {doubt}, so its scale cannot be told: {way_out}")
    return GRADES if max(found.scores, default=0.0) > UNIT[1] else UNIT


def normalise_scores(pairs: Sequence[Pair], scale: tuple[float, float]) -> tuple[list[Pair], list[Reject]]:
    """Bring scores to 0 to 1; those outside the scale are rejected."""
    low, high = scale
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


def _doubt(found: Pairs) -> str:
    """Return why the scores of a file show neither 0 to 1 nor 0 to 5, or an empty text."""
    if not found.scores:
        return ""
    lowest, highest, count = min(found.scores), max(found.scores), len(found.scores)
    if lowest < GRADES[0] or highest > GRADES[1]:
        return f"its scores go from {lowest:g} to {highest:g}"
    if found.unread:
        return f"{len(found.unread)} rows have a score that cannot be read ({', '.join(found.unread[:3])})"
    if highest <= UNIT[1]:
        return ""
    if (lowest > 1 and count >= _MANY) or (lowest == 1 and count >= _SOME):
        return f"none of its {count} scores is below {lowest:g}, as if they went from 1 to 5"
    return f"none of its {count} scores is above {highest:g}" if highest <= GRADES[1] - 1 and count >= _MANY else ""


def _take(row: Row, found: Pairs) -> None:
    left, right = text_of(row.values, "sentence1"), text_of(row.values, "sentence2")
    given = str(row.values["score"])
    score = number_of(given)
    if score is not None:
        found.scores.append(score)
    elif given.strip():
        found.unread.append(row.place)
    if not left or not right:
        found.rejects.append(Reject("pair", row.place, "missing_text", "a sentence is empty", left or right))
    elif score is None:
        detail = f"the score is {given.strip()[:100]!r}"
        found.rejects.append(Reject("pair", row.place, "score_not_a_number", detail, left))
    else:
        found.pairs.append(Pair(left, right, score, row.place))
