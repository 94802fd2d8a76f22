"""Draw and describe what a build came to: tables for the DVC plots, and the model card.

Reads   data/prepared/{passages,rejected}.parquet (Passage, Rejected), data/generated/{queries,rejected}.parquet
        (Query, Rejected), data/filtered/{queries,lost}.parquet (FoundQuery, LostQuery),
        data/mined/candidates.parquet (Candidate), data/curated/{queries,positives,pairs,rejected}.parquet
        (CuratedQuery, Positive, SentencePair, Rejected), data/balanced/retrieval/train.parquet (RetrievalRow),
        reports/{prepare,base,generate,filter,mine,curation,balance,train,metrics,significance}.json
Writes  reports/plots/{dimensions,margins,funnel}.json (DimensionPoint, MarginBin, FunnelRow), reports/model_card.md
"""

import json
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from nestling.cli import run, say
from nestling.errors import UserError
from nestling.params import StageParams, read_params
from nestling.reporting.funnel import FunnelRow, Tables, funnel_rows
from nestling.reporting.model_card import UNSAID, Facts, model_card
from nestling.reporting.plots import DimensionPoint, MarginBin, dimension_points, margin_bins
from nestling.reporting.results import read_results
from nestling.tables.corpus import Passage, Rejected, SentencePair
from nestling.tables.io import check, read_table, write_json, write_text
from nestling.tables.queries import FoundQuery, LostQuery, Query
from nestling.tables.retrieval import Candidate
from nestling.tables.review import CuratedQuery, Positive
from nestling.tables.training import RetrievalRow

REPORTS = Path("reports")
PLOTS, CARD = REPORTS / "plots", REPORTS / "model_card.md"
READ = ("prepare", "base", "generate", "filter", "mine", "curation", "balance", "train", "metrics", "significance")
RECIPE = ("base", "filter", "mine", "train")  # sections of params.yaml that the card quotes
QUOTED = 3


class ReportParams(StageParams, section="report", shared=("set", "seed")):
    set: str
    seed: int
    quote_examples: bool  # whether the card shows training texts


def read_report(name: str) -> Any:
    """Return a stage's report.

    Raises:
        UserError: it is missing, or is not JSON.
    """
    path = REPORTS / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro`") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): remove it and run `dvc repro`") from None


def read_tables() -> Tables:
    """Return the tables that the funnel counts."""
    return Tables(
        passages=read_table("data/prepared/passages.parquet", Passage),
        unprepared=read_table("data/prepared/rejected.parquet", Rejected),
        written=read_table("data/generated/queries.parquet", Query),
        ungenerated=read_table("data/generated/rejected.parquet", Rejected),
        found=read_table("data/filtered/queries.parquet", FoundQuery),
        lost=read_table("data/filtered/lost.parquet", LostQuery),
        curated=read_table("data/curated/queries.parquet", CuratedQuery),
        positives=read_table("data/curated/positives.parquet", Positive),
        uncurated=read_table("data/curated/rejected.parquet", Rejected),
        pairs=read_table("data/curated/pairs.parquet", SentencePair),
    )


def examples(params: ReportParams) -> list[tuple[str, str]]:
    """Return the first distinct training rows, or none when they are not to be quoted."""
    if not params.quote_examples:
        return []
    rows = read_table("data/balanced/retrieval/train.parquet", RetrievalRow)
    distinct = rows.unique(["query_id", "positive_id"], keep="first", maintain_order=True).head(QUOTED)
    return list(zip(distinct["anchor"], distinct["positive"], strict=True))


def counts(values: pl.Series) -> dict[str, int]:
    """Return how often each value stands in a column, most often first, then by name."""
    counted = values.cast(pl.String).fill_null(UNSAID).alias("value").value_counts(name="rows")
    return dict(counted.sort("rows", "value", descending=[True, False]).iter_rows())


def write_plot(frame: pl.DataFrame, name: str, schema: type[dy.Schema]) -> None:
    """Write the rows that a plot is drawn from: JSON, where a number stays a number and nothing stays nothing."""
    checked = check(frame, schema, f"plotting {name}")
    write_json(checked.sort(schema.primary_key()).to_dicts(), PLOTS / f"{name}.json")


def main() -> None:
    params = ReportParams.load()
    recipe = {section: read_params(Path("params.yaml"))[section] for section in RECIPE}
    reports = {name: read_report(name) for name in READ}
    tables = read_tables()
    results = read_results(reports["metrics"], reports["significance"])
    funnel = funnel_rows(tables, reports["prepare"]["documents"], reports["balance"])

    write_plot(dimension_points(results), "dimensions", DimensionPoint)
    write_plot(margin_bins(read_table("data/mined/candidates.parquet", Candidate)), "margins", MarginBin)
    write_plot(funnel, "funnel", FunnelRow)
    facts = Facts(
        name=params.set,
        seed=params.seed,
        recipe=recipe,
        reports=reports,
        results=results,
        funnel=funnel,
        licences=counts(tables.passages["licence"]),
        heldout=reports["balance"]["heldout_origins"],
        examples=examples(params),
    )
    write_text(model_card(facts), CARD)
    say(f"report: {len(results)} suites, {funnel['step'].n_unique()} steps; see {CARD} and `dvc plots show`")


if __name__ == "__main__":
    run(main)
