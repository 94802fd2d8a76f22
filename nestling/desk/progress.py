"""How far a round is, whether people agree so far and how much more would tell, from what a desk gives.

Nothing is written.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nestling.desk.interface import STATUSES, TO_REFEREES, Pulled, contradiction
from nestling.desk.settings import ReviewParams
from nestling.review.answers import RECORDS, last_words, read_lines, read_shown_records, under_names_of_now
from nestling.review.concord import agreement
from nestling.review.planning import more_queries, more_records
from nestling.review.strata import audited, rate_so_far
from nestling.tables.io import empty, read_table
from nestling.tables.retrieval import Candidate
from nestling.tables.review import QueueItem, ReviewRecord

LISTED = 10  # answers that contradict themselves
REPLICATES = 1000  # of the interval behind an agreement on the screen; the report's own stand in params.yaml


class StatusParams(ReviewParams, section="review", shared=("seed", "people")):
    """What the status reads; the seed is of the agreement's interval."""

    seed: int


@dataclass(frozen=True)
class Wished:
    """What is known beside the desk, and how narrow intervals are to be.

    Attributes:
        records: ReviewRecord rows; None before `dvc repro`, when nothing can be said of false negatives.
        queue: QueueItem rows, likewise.
        earlier: answers of other rounds, as `read_lines` gives them.
        shown: the records of all rounds as they were shown.
        width: of a 95% interval that would do.
        seed: of the intervals.
    """

    records: pl.DataFrame | None
    queue: pl.DataFrame | None
    earlier: Sequence[Mapping[str, Any]]
    shown: pl.DataFrame
    width: float
    seed: int


def wished(annotations: Path, params: StatusParams, width: float) -> Wished:
    """Return what the last build and other rounds say; nothing of the build where there is none."""
    tables = [
        read_table(path, schema) if Path(path).exists() else None
        for path, schema in (("data/queue/records.parquet", ReviewRecord), ("data/queue/retrieval.parquet", QueueItem))
    ]
    lines, _ = read_lines(annotations)
    earlier = [line for line in lines if line["round"] != params.round]
    return Wished(tables[0], tables[1], earlier, read_shown_records(annotations), width, params.seed)


def progress_lines(pulled: Pulled, wished: Wished) -> list[str]:
    """Return what the screen shows: piles, people, agreement, false negatives and what more would tell."""
    lines = [*_pile_lines(pulled), "", *_people_lines(pulled), "", *_agreement_lines(pulled, wished)]
    lines += ["", *_audit_lines(pulled, wished)]
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


def _agreement_lines(pulled: Pulled, wished: Wished) -> Iterator[str]:
    yield "Krippendorff's alpha so far, 95% interval (1 full agreement, 0 chance)"
    for question, found in agreement_so_far(pulled, wished.seed).items():
        unknown = "nobody differs" if found["records"] else "no two people on one record yet"
        told = unknown if found["alpha"] is None else f"{found['alpha']:.2f}"
        interval = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
        more = more_records(found, wished.width)
        wanting = f"; an interval {wished.width:g} wide takes about {more} more" if more else ""
        yield f"  {question:<16}{told}{interval}, {found['records']} records{wanting}"


def _audit_lines(pulled: Pulled, wished: Wished) -> Iterator[str]:
    """Yield how many mined negatives answer, as far as the audit goes, and how many more queries would do."""
    if wished.records is None or wished.queue is None:
        return
    said = last_words([*wished.earlier, *_lines(pulled)])
    answers = under_names_of_now(said, wished.records, pl.concat([wished.shown, _shown(pulled)]))
    judged = audited(answers, wished.records, wished.queue, empty(Candidate), wished.seed)
    found = rate_so_far(judged, wished.records)
    yield f"False negatives among the {found.population} so far, 95% interval"
    if found.rate.rate is None:
        yield "  nobody has judged any of the audit yet"
        return
    rate, more = found.rate, more_queries(found.rate, wished.width)
    yield (
        f"  {rate.rate:.1%} ({rate.low:.1%} to {rate.high:.1%}), {rate.judged_negatives} negatives of "
        f"{rate.judged_queries} queries, {rate.ties} ties unsettled"
    )
    if more:
        yield f"  an interval {wished.width:g} wide takes about {more} more queries of the audit"
    elif rate.high is not None and rate.low is not None and rate.high - rate.low > wished.width:
        yield f"  the interval is wider than {wished.width:g}, and no query is left to judge"
    else:
        yield f"  the interval is no wider than {wished.width:g}"


def agreement_so_far(pulled: Pulled, seed: int) -> dict[str, Any]:
    """Return the agreement by question, as reports/curation.json will have it if nobody says more."""
    shown = _shown(pulled).unique("record_id", maintain_order=True)
    return agreement(last_words(_lines(pulled)), shown, seed, REPLICATES)


def _shown(pulled: Pulled) -> pl.DataFrame:
    rows = [(one.record_id, one.query, one.passage_id, list(one.candidates)) for one in pulled.shown]
    return pl.DataFrame(rows, schema=RECORDS, orient="row")


def _lines(pulled: Pulled) -> list[dict[str, Any]]:
    """Return what was submitted to a desk, as `read_lines` gives what stands in a file."""
    return [
        {"record_id": one.record_id, "question": question, "annotator": one.annotator, "value": json.dumps(value)}
        | {"referee": one.pile in TO_REFEREES, "suggested": question in one.suggested}
        | {"submitted_at": one.submitted_at, "round": "", "annotator_id": one.annotator_id}
        for one in pulled.given
        if one.status == "submitted"
        for question, value in one.values.items()
    ]
