"""Apply people's judgements, and say how much they agree and how many mined negatives are false.

Reads   data/filtered/queries.parquet (FoundQuery), data/mined/candidates.parquet (Candidate),
        data/prepared/pairs.parquet (SentencePair), data/queue/{records,retrieval}.parquet (ReviewRecord, QueueItem),
        data/generated/judged.parquet (Judged), data/annotations/*.jsonl
Writes  data/curated/{queries,positives,negatives,pairs,rejected}.parquet
        (CuratedQuery, Positive, Negative, SentencePair, Rejected), reports/curation.json
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import PositiveInt

from nestling.cli import run, say
from nestling.params import StageParams
from nestling.review.agreement import Level, alpha, passage_units
from nestling.review.answers import read_answers, read_shown_records
from nestling.review.apply import (
    apply_quality,
    apply_relevance,
    apply_similarity,
    judged_passages,
    marked_passages,
    quality,
    relevance,
    rewrites,
)
from nestling.review.audit import Rate, false_negative_rate
from nestling.review.calibration import calibrate
from nestling.tables.corpus import Rejected, SentencePair
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import FoundQuery, Judged
from nestling.tables.retrieval import Candidate
from nestling.tables.review import CuratedQuery, Negative, Positive, QueueItem, ReviewRecord
from nestling.tables.sieve import reasons, rejected

ANNOTATIONS, OUT = Path("data/annotations"), Path("data/curated")
SHOWN = ["record_id", "query", "passage_id", "candidates"]


class CurateParams(StageParams, section="curate", shared=("seed",)):
    seed: int
    replicates: PositiveInt  # of the bootstrap behind the agreement's interval


@dataclass(frozen=True)
class Judgements:
    """What people said: their answers, and all records that they were ever shown."""

    answers: pl.DataFrame
    records: pl.DataFrame


@dataclass(frozen=True)
class Curated:
    """What the judgements leave.

    Attributes:
        queries, positives, negatives, pairs: as they go on.
        left_out: queries with the `reason` why they do not.
        negatives_out: mined negatives that do not stand.
        regraded: pairs that people graded.
    """

    queries: pl.DataFrame
    positives: pl.DataFrame
    negatives: pl.DataFrame
    pairs: pl.DataFrame
    left_out: pl.DataFrame
    negatives_out: int
    regraded: int


def curate(queries: pl.DataFrame, mined: pl.DataFrame, pairs: pl.DataFrame, said: Judgements) -> Curated:
    """Apply the judgements.

    Args:
        queries: FoundQuery rows.
        mined: their negatives, Candidate rows.
        pairs: SentencePair rows.
        said: by people.
    """
    told = (said.answers, said.records)
    kept, bad = apply_quality(queries, quality(*told), rewrites(*told))
    positives, negatives = apply_relevance(kept, mined, judged_passages(*told))
    answered = kept.join(positives, on="query_id", how="semi", maintain_order="left")
    unanswered = kept.join(positives, on="query_id", how="anti").with_columns(reason=pl.lit("no_relevant_passage"))
    standing = negatives.join(answered, on="query_id", how="semi", maintain_order="left")
    graded, regraded = apply_similarity(pairs, said.answers)
    left_out = pl.concat([bad, unanswered.select(bad.columns)])
    return Curated(answered, positives, standing, graded, left_out, mined.height - standing.height, regraded)


def agreement(said: Judgements, params: CurateParams) -> dict[str, Any]:
    """Return Krippendorff's alpha of every question that people answer by choice, with its interval.

    Whether a passage is relevant is compared on the candidates alone: nearly everybody marks the query's own passage.
    """

    def measured(units: pl.DataFrame, level: Level) -> dict[str, Any]:
        return asdict(alpha(units, level, params.seed, params.replicates))

    whole = said.answers.with_columns(unit_id="question")
    graded = whole.filter(pl.col("question") == "similarity").with_columns(pl.col("value").cast(pl.Float64))
    return {
        "query_quality": measured(whole.filter(pl.col("question") == "query_quality"), "nominal"),
        "relevant": measured(passage_units(marked_passages(said.answers), said.records), "nominal"),
        "similarity": measured(graded, "interval"),
    }


def audited(answers: pl.DataFrame, records: pl.DataFrame, queue: pl.DataFrame) -> pl.DataFrame:
    """Return record_id, stratum, negatives and false_negatives of the audit records that people judged.

    Only mined negatives count, not the passages that a margin had kept out already; ties are left out.
    """
    sample = records.join(queue.filter(pl.col("purpose") == "audit").select("record_id"), on="record_id", how="semi")
    mined = (
        sample.select("record_id", "stratum", passage_id="candidates", mined="mined")
        .explode("passage_id", "mined")
        .filter("mined")
    )
    judged = mined.join(relevance(answers, records).drop_nulls("relevant"), on=["record_id", "passage_id"])
    return (
        judged.group_by("record_id", "stratum", maintain_order=True)
        .agg(negatives=pl.len(), false_negatives=pl.col("relevant").sum())
        .sort("record_id")
    )


def false_negatives(answers: pl.DataFrame, records: pl.DataFrame, queue: pl.DataFrame) -> Rate:
    """Return the rate of false negatives among all mined negatives, from the audit sample alone."""
    population = records.filter(pl.col("mined").list.any())["stratum"].value_counts().sort("stratum")
    return false_negative_rate(audited(answers, records, queue), dict(population.iter_rows()))


def judge_against_people(judged: pl.DataFrame, said: Judgements, params: CurateParams) -> dict[str, Any] | None:
    """Return how the LLM's scores go with people's word on the same queries; None where no LLM judged."""
    if judged.is_empty():
        return None
    return asdict(calibrate(judged, quality(said.answers, said.records), params.seed, params.replicates))


def counts(said: Judgements, curated: Curated) -> dict[str, Any]:
    """Return how much people said and what it changed."""
    matched = said.answers.join(
        pl.concat([said.records.select("record_id"), curated.pairs.select(record_id="pair_id")]),
        on="record_id",
        how="semi",
    )
    told = (said.answers, said.records)
    return {
        "answers": said.answers.height,
        "annotators": said.answers["annotator"].n_unique(),
        "records_judged": matched["record_id"].n_unique(),
        "answers_that_no_longer_fit": said.answers.height - matched.height,
        "ties_left_out": {
            "query_quality": quality(*told)["quality"].null_count(),
            "rewrite": rewrites(*told)["rewrite"].null_count(),
            "relevant": judged_passages(*told)["relevant"].null_count(),
        },
        "queries_out": reasons(curated.left_out),
        "queries_rewritten": curated.queries["rewritten_from"].count(),
        "negatives_promoted": curated.positives.filter(pl.col("source") == "judged").height,
        "negatives_out": curated.negatives_out,
        "pairs_regraded": curated.regraded,
    }


def write(curated: Curated, broken: pl.DataFrame) -> None:
    """Write the tables, with the queries and the lines that were left out."""
    sources = pl.col("source").cast(pl.Enum(["own", "judged"]))
    left_out = pl.concat([broken, rejected(curated.left_out, "query", "query_id", detail="passage_id")])
    write_table(curated.queries, OUT / "queries.parquet", CuratedQuery)
    write_table(curated.positives.with_columns(sources), OUT / "positives.parquet", Positive)
    write_table(curated.negatives, OUT / "negatives.parquet", Negative)
    write_table(curated.pairs, OUT / "pairs.parquet", SentencePair)
    write_table(left_out.sort(pl.all()), OUT / "rejected.parquet", Rejected)


def main() -> None:
    params = CurateParams.load()
    mined = read_table("data/mined/candidates.parquet", Candidate).filter(pl.col("verdict") == "negative")
    queries = read_table("data/filtered/queries.parquet", FoundQuery)
    records = read_table("data/queue/records.parquet", ReviewRecord)
    queue = read_table("data/queue/retrieval.parquet", QueueItem)
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    judged = read_table("data/generated/judged.parquet", Judged)
    answers, broken = read_answers(ANNOTATIONS)
    earlier = read_shown_records(ANNOTATIONS).join(records, on="record_id", how="anti")
    said = Judgements(answers, pl.concat([records.select(SHOWN), earlier.select(SHOWN)]))
    curated = curate(queries, mined, pairs, said)
    write(curated, broken)
    report = {
        **counts(said, curated),
        "lines_left_out": reasons(broken),
        "agreement": agreement(said, params),
        "false_negative_rate": asdict(false_negatives(answers, records, queue)),
        "llm_judge": judge_against_people(judged, said, params),
    }
    write_json(report, "reports/curation.json")
    left = (
        f"{curated.queries.height} queries, {curated.positives.height} positives, {curated.negatives.height} negatives"
    )
    say(f"curate: {answers.height} answers applied; {left}")


if __name__ == "__main__":
    run(main)
