"""How far a round is and whether people agree so far, from what a desk gives; nothing is written."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import polars as pl

from nestling.desk.interface import STATUSES, TO_REFEREES, Pulled, contradiction
from nestling.desk.settings import ReviewParams
from nestling.review.concord import agreement

LISTED = 10  # answers that contradict themselves
REPLICATES = 1000  # of the interval behind an agreement on the screen; the report's own stand in params.yaml


class StatusParams(ReviewParams, section="review", shared=("seed",)):
    """What the status reads; the seed is of the agreement's interval."""

    seed: int


def progress_lines(pulled: Pulled, seed: int) -> list[str]:
    """Return what the screen shows: piles, people, agreement."""
    lines = [*_pile_lines(pulled), "", *_people_lines(pulled), "", *_agreement_lines(pulled, seed)]
    puzzling = contradictions(pulled)
    return [*lines, "", *puzzling] if puzzling else lines


def _pile_lines(pulled: Pulled) -> Iterator[str]:
    yield f"{'':<16}{'records':>9}{'done':>9}{'begun':>9}{'pending':>9}   people a record"
    for name, size in pulled.sizes.items():
        submitted = Counter(
            given.record_id for given in pulled.given if given.pile == name and given.status == "submitted"
        )
        done = sum(count >= size.people for count in submitted.values())
        begun = len(submitted) - done
        yield f"{name:<16}{size.records:>9}{done:>9}{begun:>9}{size.records - done - begun:>9}   {size.people}"


def _people_lines(pulled: Pulled) -> Iterator[str]:
    counts = Counter((one.pile, one.annotator, one.status) for one in pulled.given)
    yield f"{'':<16}{'annotator':<24}{'submitted':>10}{'draft':>8}{'discarded':>11}{'pending':>9}"
    for pile, size in pulled.sizes.items():
        for name in sorted({*size.pending, *(person for where, person, _ in counts if where == pile)}):
            shown = _printable(name)[:23]
            submitted, draft, discarded = (counts[pile, name, status] for status in STATUSES)
            told = f"{submitted:>10}{draft:>8}{discarded:>11}{size.pending.get(name, 0):>9}"
            yield f"{pile:<16}{shown:<24}{told}"


def contradictions(pulled: Pulled) -> list[str]:
    """Return a line an answer whose parts do not go together; it counts as it stands, and its giver may mend it."""
    queries = {one.record_id: one.query for one in pulled.shown}
    told = [(one, contradiction(one)) for one in pulled.given if one.status == "submitted"]
    lines = [
        _printable(f"{one.annotator} on {queries.get(one.record_id, one.record_id)[:80]!r}: {what}")
        for one, what in told
        if what
    ]
    more = [f"... and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return [f"{len(lines)} answers contradict themselves:", *lines[:LISTED], *more] if lines else []


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _agreement_lines(pulled: Pulled, seed: int) -> Iterator[str]:
    yield "Krippendorff's alpha so far, 95% interval (1 full agreement, 0 chance)"
    for question, found in agreement_so_far(pulled, seed).items():
        unknown = "nobody differs" if found["records"] else "no two people on one record yet"
        told = unknown if found["alpha"] is None else f"{found['alpha']:.2f}"
        interval = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
        yield f"  {question:<16}{told}{interval}, {found['records']} records"


def agreement_so_far(pulled: Pulled, seed: int) -> dict[str, Any]:
    """Return the agreement by question, as reports/curation.json will have it if nobody says more."""
    told = [
        (one.record_id, question, one.annotator, one.pile in TO_REFEREES, json.dumps(value), question in one.suggested)
        for one in pulled.given
        if one.status == "submitted"
        for question, value in one.values.items()
    ]
    names = {"record_id": pl.String, "question": pl.String, "annotator": pl.String, "referee": pl.Boolean}
    answers = pl.DataFrame(told, schema={**names, "value": pl.String, "suggested": pl.Boolean}, orient="row")
    shown = pl.DataFrame(
        [(one.record_id, list(one.candidates)) for one in pulled.shown],
        schema={"record_id": pl.String, "candidates": pl.List(pl.String)},
        orient="row",
    )
    last = answers.unique(list(names), keep="last", maintain_order=True)
    return agreement(last, shown.unique("record_id", maintain_order=True), seed, REPLICATES)
