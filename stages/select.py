"""Choose what people should judge next, and a stratified random sample from which error rates are estimated.

Reads   data/prepared/passages.parquet (Passage), data/prepared/pairs.parquet (SentencePair),
        data/filtered/queries.parquet (FoundQuery), data/mined/candidates.parquet (Candidate), data/annotations/,
        the current encoder's folder
Writes  data/queue/records.parquet (ReviewRecord), data/queue/retrieval.parquet (QueueItem),
        data/queue/sts.parquet (PairItem), reports/select.json
"""

from pathlib import Path

import numpy as np
import polars as pl
from pydantic import NonNegativeInt, PositiveInt
from sklearn.cluster import MiniBatchKMeans

from nestling.cli import run, say
from nestling.corpus.ids import content_id
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.review.answers import read_answers
from nestling.review.records import make_records
from nestling.tables.corpus import Passage, SentencePair
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import FoundQuery
from nestling.tables.retrieval import Candidate
from nestling.tables.review import PURPOSES, PairItem, QueueItem, ReviewRecord

OUT = Path("data/queue")


class SelectParams(StageParams, section="select", shared=("seed", "current", "encode")):
    seed: int
    current: str
    encode: EncodeParams
    candidates: PositiveInt  # passages shown beside the query's own; always all that were mined
    audit: NonNegativeInt  # queries of the random sample
    strata: PositiveInt  # of the audit, by margin
    active: NonNegativeInt  # queries where people's time changes most
    clusters: PositiveInt  # topics over which the active part is spread
    pairs: NonNegativeInt  # sentence pairs to grade again


def draw_audit(records: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    """Return a stratified random sample: the same number of records of every stratum that has mined negatives.

    A record's place in the draw is a hash of its name: answers given meanwhile change nothing, so the sample stays
    random while people work through it.
    """
    audited = records.filter(pl.col("mined").list.any())
    strata = max(1, audited["stratum"].n_unique())
    order = pl.col("record_id").map_elements(lambda name: content_id(str(seed), "audit", name), return_dtype=pl.String)
    return (
        audited.with_columns(order=order)
        .sort("order")
        .group_by("stratum", maintain_order=True)
        .head(-(-size // strata))
        .sort("order")
        .head(size)
        .with_columns(why=pl.format("random audit of stratum {}", "stratum"))
        .drop("order")
    )


def rank_active(records: pl.DataFrame, candidates: pl.DataFrame, clusters: pl.DataFrame) -> pl.DataFrame:
    """Return records, most worth judging first, spread over clusters, each with `why`.

    Worth is the closeness of the nearest negative (1 for the narrowest margin, 0 for the widest) plus the disagreement
    of filter and miner: the share of shown candidates that outscore the passage the filter took for the answer.
    """
    outscored = (
        records.select("query_id", passage_id="candidates")
        .explode("passage_id")
        .join(candidates, on=["query_id", "passage_id"])
        .group_by("query_id")
        .agg(above=(pl.col("score") > pl.col("positive_score")).sum())
    )
    closeness = 1 - (pl.col("margin").rank() - 1) / pl.max_horizontal(pl.col("margin").count() - 1, 1)
    above = pl.col("above").fill_null(0)
    worth = closeness.fill_null(0.0) + above / pl.max_horizontal(pl.col("candidates").list.len(), 1)
    return (
        records.filter(pl.col("candidates").list.len() > 0)
        .join(outscored, on="query_id", how="left", maintain_order="left")
        .join(clusters, on="passage_id", maintain_order="left")
        .with_columns(worth=worth, above=above)
        .sort("worth", "record_id", descending=[True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("cluster"))
        .sort("turn", "worth", "record_id", descending=[False, True, False])
        .with_columns(
            why=pl.when(pl.col("above") > 0)
            .then(pl.format("{} of the candidates score above the passage; topic {}", "above", "cluster"))
            .when(pl.col("margin").is_not_null())
            .then(
                pl.format("nearest negative only {} below the passage; topic {}", pl.col("margin").round(3), "cluster")
            )
            .otherwise(pl.format("likely false negatives were left out; topic {}", "cluster"))
        )
    )


def cluster(vectors: np.ndarray, passage_ids: pl.Series, clusters: int, seed: int) -> pl.DataFrame:
    """Return passage_id and `cluster`: k-means over the passages' vectors."""
    size = min(clusters, len(vectors))
    model = MiniBatchKMeans(n_clusters=size, random_state=seed, n_init=3, batch_size=4096)
    return pl.DataFrame({"passage_id": passage_ids, "cluster": model.fit_predict(vectors)})


def queue_items(chosen: pl.DataFrame, candidates: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """Return the table QueueItem for chosen records with `purpose` and `why`, in their order."""
    texts = passages.select("passage_id", "text")
    shown = (
        chosen.select("record_id", "query_id", passage_id="candidates")
        .explode("passage_id")
        .drop_nulls("passage_id")
        .join(candidates.select("query_id", "passage_id", "rank", "score", "verdict"), on=["query_id", "passage_id"])
        .join(texts, on="passage_id")
        .sort("record_id", "rank")
        .with_columns(pl.col("verdict").cast(pl.String))
        .group_by("record_id", maintain_order=True)
        .agg(candidates=pl.struct("passage_id", "text", "score", "verdict"))
    )
    empty = pl.lit(
        [],
        dtype=pl.List(
            pl.Struct({"passage_id": pl.String, "text": pl.String, "score": pl.Float32, "verdict": pl.String})
        ),
    )
    return (
        chosen.drop("candidates")
        .with_columns(
            position=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32), purpose=pl.col("purpose").cast(pl.Enum(PURPOSES))
        )
        .join(shown, on="record_id", how="left", maintain_order="left")
        .with_columns(pl.col("candidates").fill_null(empty))
        .join(texts.rename({"text": "passage"}), on="passage_id", maintain_order="left")
    )


def pair_items(pairs: pl.DataFrame, cosine: np.ndarray, size: int) -> pl.DataFrame:
    """Return the table PairItem: the pairs whose order by grade and by cosine differ most."""
    marked = pairs.with_columns(cosine=pl.Series(cosine, dtype=pl.Float32))
    gap = (pl.col("cosine").rank() - pl.col("score").rank()) / pl.max_horizontal(pl.len(), 1)
    return (
        marked.with_columns(gap=gap)
        .sort(pl.col("gap").abs(), "pair_id", descending=[True, False])
        .head(size)
        .with_columns(
            record_id="pair_id",
            position=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32),
            why=pl.when(pl.col("gap") > 0)
            .then(pl.lit("the encoder finds the sentences nearer than their grade says"))
            .otherwise(pl.lit("the encoder finds the sentences farther apart than their grade says")),
        )
    )


def main() -> None:
    params = SelectParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    queries = read_table("data/filtered/queries.parquet", FoundQuery).filter(pl.col("split") != "test")
    candidates = read_table("data/mined/candidates.parquet", Candidate)
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    answered = set(read_answers(Path("data/annotations"))[0]["record_id"])
    encoder = Encoder(params.current, params.encode)

    records = make_records(queries, candidates, params.candidates, params.strata)
    audit = draw_audit(records, params.audit, params.seed).with_columns(purpose=pl.lit("audit"))
    vectors = encoder.encode(passages["text"].to_list(), "document")
    topics = cluster(vectors.block(0, len(vectors)), passages["passage_id"], params.clusters, params.seed)
    fresh = records.filter(~pl.col("record_id").is_in({*audit["record_id"], *answered}))
    active = rank_active(fresh, candidates, topics).head(params.active).with_columns(purpose=pl.lit("active"))
    chosen = pl.concat([audit, active.select(audit.columns)])
    ungraded = pairs.filter(~pl.col("pair_id").is_in(answered))
    left = encoder.encode(ungraded["sentence1"].to_list(), "document")
    right = encoder.encode(ungraded["sentence2"].to_list(), "document")
    cosine = (left.block(0, len(left)) * right.block(0, len(right))).sum(1)

    write_table(records, OUT / "records.parquet", ReviewRecord)
    write_table(queue_items(chosen, candidates, passages), OUT / "retrieval.parquet", QueueItem)
    write_table(pair_items(ungraded, cosine, params.pairs), OUT / "sts.parquet", PairItem)
    strata = records.filter(pl.col("mined").list.any())["stratum"].value_counts().sort("stratum")
    report = {
        "records": records.height,
        "audit": audit.height,
        "active": active.height,
        "pairs": min(params.pairs, ungraded.height),
        "audit_population": dict(strata.iter_rows()),
    }
    write_json(report, "reports/select.json")
    say(f"select: {audit.height} queries to audit, {active.height} to judge, {report['pairs']} pairs to grade")


if __name__ == "__main__":
    run(main)
