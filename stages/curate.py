"""Apply people's judgements, and say how much they agree and how many mined negatives are false.

Reads   data/filtered/queries.parquet (FoundQuery), data/mined/candidates.parquet (Candidate),
        data/prepared/pairs.parquet (SentencePair), data/queue/{records,retrieval}.parquet (ReviewRecord, QueueItem),
        data/annotations/*.jsonl
Writes  data/curated/{queries,positives,negatives,pairs,rejected}.parquet
        (CuratedQuery, Positive, Negative, SentencePair, Rejected), reports/curation.json
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from nestling.cli import run, say
from nestling.params import StageParams
from nestling.review.agreement import alpha
from nestling.review.answers import read_answers, read_shown_records, relevance, resolve, votes_on_passages
from nestling.review.apply import apply_quality, apply_relevance, apply_similarity, judged_passages, quality, rewrites
from nestling.review.audit import false_negative_rate
from nestling.tables.corpus import Rejected, SentencePair
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import FoundQuery
from nestling.tables.retrieval import Candidate
from nestling.tables.review import CuratedQuery, Negative, Positive, QueueItem, ReviewRecord
from nestling.tables.sieve import reasons, rejected

ANNOTATIONS, OUT = Path("data/annotations"), Path("data/curated")


class CurateParams(StageParams, section="curate", shared=("seed",)):
    seed: int
    replicates: int  # of the bootstrap behind the agreement's interval


def agreement(answers: pl.DataFrame, records: pl.DataFrame, params: CurateParams) -> dict[str, Any]:
    """Return Krippendorff's alpha of every question that people answer by choice, with its interval."""
    nominal = answers.filter(pl.col("question") == "query_quality").with_columns(unit_id=pl.col("record_id"))
    votes = votes_on_passages(answers, records).with_columns(
        unit_id=pl.concat_str("record_id", "passage_id", separator=" "), value=pl.col("vote").cast(pl.String)
    )
    graded = answers.filter(pl.col("question") == "similarity").with_columns(
        unit_id=pl.col("record_id"), value=pl.col("value").cast(pl.Float64)
    )
    asked = {"query_quality": (nominal, "nominal"), "relevant": (votes, "nominal"), "similarity": (graded, "interval")}
    columns = ["record_id", "unit_id", "annotator", "value"]
    return {
        name: asdict(alpha(frame.select(columns), level, params.seed, params.replicates))
        for name, (frame, level) in asked.items()
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


def ties(answers: pl.DataFrame, records: pl.DataFrame) -> dict[str, int]:
    """Return how many questions were left open because the votes tie."""
    counted = {name: resolve(answers, name)["value"].null_count() for name in ("query_quality", "rewrite")}
    return counted | {"relevant": relevance(answers, records)["relevant"].null_count()}


def main() -> None:
    params = CurateParams.load()
    queries = read_table("data/filtered/queries.parquet", FoundQuery)
    mined = read_table("data/mined/candidates.parquet", Candidate).filter(pl.col("verdict") == "negative")
    records = read_table("data/queue/records.parquet", ReviewRecord)
    queue = read_table("data/queue/retrieval.parquet", QueueItem)
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    answers, broken = read_answers(ANNOTATIONS)
    shown = ["record_id", "query", "passage_id", "candidates"]
    current = records.select(shown)
    known = pl.concat([current, read_shown_records(ANNOTATIONS).join(current, on="record_id", how="anti")])

    kept, bad = apply_quality(queries, quality(answers, known), rewrites(answers, known))
    positives, negatives = apply_relevance(kept, mined, judged_passages(answers, known))
    answered = kept.filter(pl.col("query_id").is_in(positives["query_id"].implode()))
    unanswered = kept.join(answered, on="query_id", how="anti").with_columns(reason=pl.lit("no_relevant_passage"))
    graded, regraded = apply_similarity(pairs, answers)
    standing = pl.col("query_id").is_in(answered["query_id"].implode())
    left_out = pl.concat(
        [broken, *(rejected(frame, "query", "query_id", detail="passage_id") for frame in (bad, unanswered))]
    )

    write_table(answered, OUT / "queries.parquet", CuratedQuery)
    write_table(
        positives.with_columns(pl.col("source").cast(pl.Enum(["own", "judged"]))), OUT / "positives.parquet", Positive
    )
    write_table(negatives.filter(standing), OUT / "negatives.parquet", Negative)
    write_table(graded, OUT / "pairs.parquet", SentencePair)
    write_table(left_out.sort(pl.all()), OUT / "rejected.parquet", Rejected)
    population = dict(records.filter(pl.col("mined").list.any())["stratum"].value_counts().sort("stratum").iter_rows())
    matched = answers["record_id"].is_in({*known["record_id"], *pairs["pair_id"]})
    report = {
        "answers": answers.height,
        "annotators": answers["annotator"].n_unique(),
        "records_judged": answers.filter(matched)["record_id"].n_unique(),
        "answers_that_no_longer_fit": int((~matched).sum()),
        "lines_left_out": reasons(broken),
        "ties_left_out": ties(answers, known),
        "queries_out": reasons(pl.concat([bad.select("reason"), unanswered.select("reason")])),
        "queries_rewritten": answered["rewritten_from"].count(),
        "negatives_promoted": positives.filter(pl.col("source") == "judged").height,
        "negatives_out": mined.height - negatives.filter(standing).height,
        "pairs_regraded": regraded,
        "agreement": agreement(answers, known, params),
        "false_negative_rate": asdict(false_negative_rate(audited(answers, records, queue), population)),
    }
    write_json(report, "reports/curation.json")
    say(
        f"curate: {answers.height} answers applied; {answered.height} queries, {positives.height} positives, {negatives.height} negatives"
    )


if __name__ == "__main__":
    run(main)
