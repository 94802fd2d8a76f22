"""Apply people's judgements, and say how much they agree and how many mined negatives are false.

A hit that people find not to answer is a hard negative, certified, whatever the miner made of it.

Reads   data/filtered/{queries,positives}.parquet (FoundQuery, FoundPositive),
        data/mined/candidates.parquet (Candidate),
        data/prepared/{passages,pairs}.parquet (Passage, SentencePair),
        data/queue/{records,retrieval}.parquet (ReviewRecord, QueueItem),
        data/generated/judged.parquet (Judged), data/annotations/*.jsonl
Writes  data/curated/{queries,positives,negatives,pairs,rejected,disagreements}.parquet
        (CuratedQuery, Positive, Negative, SentencePair, Rejected, Disagreement), reports/curation.json
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, PositiveInt

from nestling.cli import run, say
from nestling.params import StageParams
from nestling.review.answers import by_annotator, read_answers, read_shown_records, under_names_of_now, unprimed
from nestling.review.apply import (
    add_labelled,
    apply_quality,
    apply_relevance,
    apply_similarity,
    judged_passages,
    quality,
    rewrites,
)
from nestling.review.calibration import calibrate
from nestling.review.concord import agreement
from nestling.review.disagreements import disagreements, open_and_settled
from nestling.review.fitting import Judgements, Present, gathered, no_longer_fit
from nestling.review.planning import more_records
from nestling.review.strata import audited, false_negatives
from nestling.tables.corpus import Passage, Rejected, SentencePair
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import FoundPositive, FoundQuery, Judged
from nestling.tables.retrieval import Candidate
from nestling.tables.review import CuratedQuery, Disagreement, Negative, Positive, QueueItem, ReviewRecord
from nestling.tables.sieve import reasons, rejected

ANNOTATIONS, OUT = Path("data/annotations"), Path("data/curated")


class CurateParams(StageParams, section="curate", shared=("seed",)):
    seed: int
    replicates: PositiveInt  # of the bootstrap behind the agreement's intervals
    width: float = Field(gt=0, lt=1)  # of a 95% interval that would do: how many more judgements it takes is told


@dataclass(frozen=True)
class Curated:
    """What the judgements leave.

    Attributes:
        queries, positives, negatives, pairs: as they go on.
        left_out: queries with the `reason` why they do not.
        disputed: what annotators differ on.
        negatives_out: mined negatives that do not stand.
        certified_new: certified negatives that the miner had kept out.
        regraded: pairs that people graded.
        ties: matters on which people tie, by question.
        unconfirmed: matters on which one person alone spoke, beside a machine's suggestion; they change nothing.
    """

    queries: pl.DataFrame
    positives: pl.DataFrame
    negatives: pl.DataFrame
    pairs: pl.DataFrame
    left_out: pl.DataFrame
    disputed: pl.DataFrame
    negatives_out: int
    certified_new: int
    regraded: int
    ties: dict[str, int]
    unconfirmed: dict[str, int]


def curate(
    queries: pl.DataFrame, hits: pl.DataFrame, pairs: pl.DataFrame, said: Judgements, labelled: pl.DataFrame
) -> Curated:
    """Apply the judgements that fit.

    Args:
        queries: FoundQuery rows.
        hits: of theirs, Candidate rows.
        pairs: SentencePair rows.
        said: by people.
        labelled: FoundPositive rows.
    """
    told = (said.fitting, said.records)
    good, reworded = quality(*told), rewrites(*told)
    relevant = judged_passages(*told).join(said.present.passages, on="passage_id", how="semi", maintain_order="left")
    kept, bad = apply_quality(queries, good, reworded)
    held_out = said.present.passages.filter(pl.col("split") != "train")
    first, negatives = apply_relevance(kept, hits, relevant, held_out)
    positives = add_labelled(first, kept, labelled, relevant)
    answered = kept.join(positives, on="query_id", how="semi", maintain_order="left")
    unanswered = kept.join(positives, on="query_id", how="anti").with_columns(reason=pl.lit("no_relevant_passage"))
    standing = negatives.join(answered, on="query_id", how="semi", maintain_order="left")
    mined = kept.select("query_id", "old_id").join(
        hits.filter(pl.col("verdict") == "negative").select("passage_id", old_id="query_id"), on="old_id"
    )
    stands = mined.join(standing, on=["query_id", "passage_id"], how="semi").height
    graded, regraded = apply_similarity(pairs, said.fitting)
    return Curated(
        queries=answered,
        positives=positives,
        negatives=standing,
        pairs=graded,
        left_out=pl.concat([bad, unanswered.select(bad.columns)]),
        disputed=disagreements(*told, said.present.passages),
        negatives_out=hits.filter(pl.col("verdict") == "negative").height - stands,
        certified_new=standing.height - stands,
        regraded=regraded,
        ties={
            "query_quality": good["quality"].null_count(),
            "rewrite": reworded["rewrite"].null_count(),
            "relevant": relevant["relevant"].null_count(),
        },
        unconfirmed={
            question: told.drop_nulls(word).filter(~pl.col("confirmed")).height
            for question, told, word in (("query_quality", good, "quality"), ("relevant", relevant, "relevant"))
        },
    )


def judge_against_people(judged: pl.DataFrame, said: Judgements, params: CurateParams) -> dict[str, Any] | None:
    """Return how the LLM's scores go with what people say unprimed of the same queries; None where no LLM judged."""
    if judged.is_empty():
        return None
    people = quality(unprimed(said.answers), said.records)
    of = "queries that the judge and the round trip let pass, and that people judged unprompted"
    return {"population": of, **asdict(calibrate(judged, people, params.seed, params.replicates))}


def planned(agreed: dict[str, Any], width: float) -> dict[str, Any]:
    """Return the agreement by question, each with how many more records an interval of a width takes."""
    return {
        question: found | {"more_records": {"width": width, "records": more_records(found, width)}}
        for question, found in agreed.items()
    }


def counts(said: Judgements, curated: Curated) -> dict[str, Any]:
    """Return how much people said and what it changed."""
    lost = no_longer_fit(said)
    return {
        "answers": said.answers.height,
        "annotators": said.answers["annotator"].n_unique(),
        "by_annotator": by_annotator(said.answers),
        "suggested_answers": said.answers["suggested"].sum(),
        "records_judged": said.fitting["record_id"].n_unique(),
        "answers_that_no_longer_fit": lost["answers"],
        "no_longer_fit": lost,
        "ties_left_out": curated.ties,
        "unconfirmed": curated.unconfirmed,
        "disagreements": open_and_settled(curated.disputed),
        "queries_out": reasons(curated.left_out),
        "queries_rewritten": curated.queries["rewritten_from"].count(),
        "negatives_promoted": curated.positives.filter(pl.col("source") == "judged").height,
        "negatives_out": curated.negatives_out,
        "negatives_certified": curated.negatives["certified"].sum(),
        "certified_that_the_miner_left_out": curated.certified_new,
        "pairs_regraded": curated.regraded,
    }


def in_words(report: Mapping[str, Any]) -> str:
    """Return what the judgements changed, in a line."""
    return (
        f"curate: {report['answers'] - report['answers_that_no_longer_fit']} of {report['answers']} answers fit: "
        f"{sum(report['queries_out'].values())} queries out, {report['queries_rewritten']} in better words, "
        f"{report['negatives_promoted']} passages made positives, {report['negatives_out']} negatives out, "
        f"{report['negatives_certified']} certified, "
        f"{report['pairs_regraded']} pairs regraded"
    )


def write(curated: Curated, broken: pl.DataFrame) -> None:
    """Write the tables, with the queries and the lines that were left out."""
    sources = pl.col("source").cast(pl.Enum(["own", "judged"]))
    left_out = pl.concat([broken, rejected(curated.left_out, "query", "query_id", detail="passage_id")])
    write_table(curated.queries, OUT / "queries.parquet", CuratedQuery)
    write_table(curated.positives.with_columns(sources), OUT / "positives.parquet", Positive)
    write_table(curated.negatives, OUT / "negatives.parquet", Negative)
    write_table(curated.pairs, OUT / "pairs.parquet", SentencePair)
    write_table(left_out.sort(pl.all()), OUT / "rejected.parquet", Rejected)
    write_table(curated.disputed, OUT / "disagreements.parquet", Disagreement)


def main() -> None:
    params = CurateParams.load()
    hits = read_table("data/mined/candidates.parquet", Candidate)
    queries = read_table("data/filtered/queries.parquet", FoundQuery)
    passages = read_table("data/prepared/passages.parquet", Passage)
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    records = read_table("data/queue/records.parquet", ReviewRecord)
    queue = read_table("data/queue/retrieval.parquet", QueueItem)
    judged = read_table("data/generated/judged.parquet", Judged)
    told, broken = read_answers(ANNOTATIONS)
    earlier = read_shown_records(ANNOTATIONS)
    answers = under_names_of_now(told, records, earlier)
    said = gathered(answers, records, earlier, Present(queries, passages, pairs))
    labelled = read_table("data/filtered/positives.parquet", FoundPositive)
    curated = curate(queries, hits, pairs, said, labelled)
    mined = hits.filter(pl.col("verdict") == "negative")
    audit = audited(answers, records, queue, mined, params.seed)
    write(curated, broken)
    report = {
        **counts(said, curated),
        "lines_left_out": reasons(broken),
        "agreement": planned(agreement(answers, said.records, params.seed, params.replicates), params.width),
        "false_negative_rate": false_negatives(audit, records, params.width),
        "llm_judge": judge_against_people(judged, said, params),
    }
    write_json(report, "reports/curation.json")
    say(in_words(report))
    kept = (curated.queries.height, curated.positives.height, curated.negatives.height)
    say("curate: {} queries, {} positives, {} negatives go on".format(*kept))


if __name__ == "__main__":
    run(main)
