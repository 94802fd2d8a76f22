"""nestling review effect: what people's judgements changed in the training set; reads the last build, asks no server.

Reads   data/curated/{queries,positives,negatives,pairs,rejected}.parquet, data/filtered/queries.parquet,
        data/mined/candidates.parquet, data/prepared/{passages,pairs}.parquet, data/queue/records.parquet,
        data/annotations, reports/curation.json
Writes  nothing
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestling.cli import say
from nestling.errors import TableError

if TYPE_CHECKING:
    import polars as pl

    from nestling.review.effect import Built

REPORT, ANNOTATIONS = Path("reports/curation.json"), Path("data/annotations")


def effect(
    every: Annotated[bool, typer.Option("--all", help="List every change, not ten of a kind.")] = False,
) -> None:
    """Say what people's judgements changed in the training set, query by query, as of the last dvc repro."""
    from nestling.review.answers import read_answers  # late: other commands start without tables
    from nestling.review.effect import effect_lines

    report, answers = read_report(), read_answers(ANNOTATIONS)[0]
    if not report["answers"]:
        typer.echo(
            "no judgements are in the training set yet: `nestling review pull` fetches what people said, "
            "and `dvc repro` applies it"
        )
        return
    typer.echo("\n".join(effect_lines(read_built(answers), report, every)))
    if answers.height != report["answers"]:
        say(f"{ANNOTATIONS} holds {answers.height} answers now, {report['answers']} are in: run `dvc repro`")


def read_report() -> dict[str, Any]:
    """Return what curate counted."""
    try:
        return dict(json.loads(REPORT.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise TableError(f"{REPORT} is missing: run `dvc repro` (or `dvc pull` for a colleague's artifacts)") from None
    except ValueError:
        raise TableError(f"{REPORT} is not readable JSON: run `dvc repro curate`") from None


def read_built(answers: "pl.DataFrame") -> "Built":
    """Return the tables of the last build, and what people call its queries."""
    import polars as pl

    from nestling.review.answers import all_records, read_shown_records
    from nestling.review.apply import quality
    from nestling.review.effect import Built
    from nestling.tables.corpus import Passage, Rejected, SentencePair
    from nestling.tables.io import read_table
    from nestling.tables.queries import FoundQuery
    from nestling.tables.retrieval import Candidate
    from nestling.tables.review import CuratedQuery, Negative, Positive, ReviewRecord

    records = read_table("data/queue/records.parquet", ReviewRecord)
    found = read_table("data/filtered/queries.parquet", FoundQuery)
    shown = all_records(records, read_shown_records(ANNOTATIONS), found["text"])
    return Built(
        found=found,
        mined=read_table("data/mined/candidates.parquet", Candidate).filter(pl.col("verdict") == "negative"),
        passages=read_table("data/prepared/passages.parquet", Passage),
        pairs=read_table("data/prepared/pairs.parquet", SentencePair),
        queries=read_table("data/curated/queries.parquet", CuratedQuery),
        positives=read_table("data/curated/positives.parquet", Positive),
        negatives=read_table("data/curated/negatives.parquet", Negative),
        graded=read_table("data/curated/pairs.parquet", SentencePair),
        rejected=read_table("data/curated/rejected.parquet", Rejected),
        called=quality(answers, shown),
    )
