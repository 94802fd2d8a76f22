"""Choose what people should judge next, and a stratified random sample from which error rates are estimated.

What comes next is what judging is expected to gain most from, as far as the answers given so far can tell; first of
all what fewer people have judged than shall. People see queries that somebody asked, as long as there are any: a
string of words cut out of a passage asks for nothing.

Reads   data/prepared/passages.parquet (Passage), data/prepared/pairs.parquet (SentencePair),
        data/filtered/queries.parquet (FoundQuery), data/mined/candidates.parquet (Candidate),
        data/generated/judged.parquet (Judged), data/annotations/, the current encoder's folder
Writes  data/queue/records.parquet (ReviewRecord), data/queue/retrieval.parquet (QueueItem),
        data/queue/sts.parquet (PairItem), reports/select.json
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from sklearn.cluster import MiniBatchKMeans

from nestling.cli import run, say
from nestling.corpus.ids import content_id
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.review.answers import all_records, read_answers, read_shown_records, under_names_of_now
from nestling.review.apply import judged_passages, quality
from nestling.review.people import People, done, judges
from nestling.review.population import asked, by_origin, named
from nestling.review.records import make_records
from nestling.review.worth import Passages, Told, WorthParams, features, worth
from nestling.tables.corpus import Passage, SentencePair
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import FoundQuery, Judged
from nestling.tables.retrieval import Candidate
from nestling.tables.review import PURPOSES, PairItem, QueueItem, ReviewRecord

ANNOTATIONS, OUT = Path("data/annotations"), Path("data/queue")


class SelectParams(StageParams, section="select", shared=("seed", "current", "people", "encode")):
    seed: int
    current: str
    people: People  # who judge a record; only then it leaves the queue
    encode: EncodeParams
    candidates: PositiveInt  # passages shown beside the query's own; always all that were mined
    audit: NonNegativeInt  # queries of the random sample
    strata: PositiveInt  # of the audit, by margin
    active: NonNegativeInt  # queries where people's time changes most
    clusters: PositiveInt  # topics over which the active part is spread
    judged_origins: list[str]  # whose queries go to people; all origins where a set has none of these
    origins: dict[str, NonNegativeFloat]  # what a query of each origin weighs; 1 where nothing is said
    repeat: float = Field(gt=0, le=1)  # what a further record of a topic is worth; 1 spreads nothing
    pairs: NonNegativeInt  # sentence pairs to grade again
    worth: WorthParams


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


def weigh(worths: pl.DataFrame, records: pl.DataFrame, origins: Mapping[str, float]) -> pl.DataFrame:
    """Return worths by what each query weighs: a judgement gains as much as the rows that it changes.

    Args:
        worths: as `worth` gives it.
        records: record_id, origin.
        origins: weight of a query of each origin; 1 where nothing is said.
    """
    weight = pl.col("origin").replace_strict(origins, default=1.0, return_dtype=pl.Float64)
    known = records.select("record_id", weight=weight)
    return worths.join(known, on="record_id", maintain_order="left").with_columns(
        worth=pl.col("worth") * pl.col("weight")
    )


def begun(records: pl.DataFrame, answers: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return the records that somebody has judged and not as many as shall, each with `why`; most judged first."""
    some = judges(answers, people).filter(~pl.col("settled") & pl.col("people").is_between(1, pl.col("wanted") - 1))
    return (
        records.join(some, on="record_id", maintain_order="left")
        .sort("people", "record_id", descending=[True, False])
        .with_columns(why=pl.format("begun: {} of {} people have judged it", "people", "wanted"))
    )


def rank_active(records: pl.DataFrame, worths: pl.DataFrame, clusters: pl.DataFrame, repeat: float) -> pl.DataFrame:
    """Return records, most worth judging first, each with `why`.

    Args:
        records: ReviewRecord rows.
        worths: as `worth` gives it.
        clusters: passage_id, cluster.
        repeat: what a further record of a topic is worth, as a share of what it were without the one before it.
    """
    turn = pl.int_range(pl.len()).over("cluster")
    return (
        records.join(worths, on="record_id", maintain_order="left")
        .join(clusters, on="passage_id", maintain_order="left")
        .sort("worth", "record_id", descending=[True, False])
        .with_columns(now=pl.col("worth") * pl.lit(repeat).pow(turn))
        .sort("now", "worth", "record_id", descending=[True, True, False])
        .with_columns(why=_why())
    )


def _why() -> pl.Expr:
    found = pl.format(
        "{} of {} candidates expected to answer, {} of them among the negatives",
        pl.col("expected").round(1),
        pl.col("candidates").list.len(),
        pl.col("false").round(1),
    )
    shown = pl.when(pl.col("candidates").list.len() > 0).then(found).otherwise(pl.lit("no candidates"))
    bad = (pl.col("bad") * 100).round().cast(pl.Int64)
    return pl.format("{}; bad query {}%; worth {}; topic {}", shown, bad, pl.col("worth").round(2), "cluster")


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
        .rename({"score": "positive_score"})
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


def hear(answers: pl.DataFrame, records: pl.DataFrame, earlier: pl.DataFrame) -> Told:
    """Return what people said of queries and passages, in whatever record they saw them, unless it is unconfirmed."""
    shown = all_records(records, earlier, records["query"])
    known = answers.join(shown, on="record_id", how="semi", maintain_order="left")
    told = (word(known, shown).filter("confirmed").drop("confirmed") for word in (judged_passages, quality))
    return Told(*told)


def write_pairs(pairs: pl.DataFrame, encoder: Encoder, size: int) -> int:
    """Write the queue of sentence pairs and return its length."""
    left = encoder.encode(pairs["sentence1"].to_list(), "pair")
    right = encoder.encode(pairs["sentence2"].to_list(), "pair")
    cosine = (left.block(0, len(left)) * right.block(0, len(right))).sum(1)
    items = pair_items(pairs, cosine, size)
    write_table(items, OUT / "sts.parquet", PairItem)
    return items.height


def write_queries(params: SelectParams, queries: pl.DataFrame, said: pl.DataFrame, encoder: Encoder) -> dict[str, Any]:
    """Write all records and the queue of those to judge, and return what is in them."""
    passages = read_table("data/prepared/passages.parquet", Passage)
    candidates = read_table("data/mined/candidates.parquet", Candidate)
    judged = read_table("data/generated/judged.parquet", Judged)
    records = make_records(queries, candidates, params.candidates, params.strata)
    earlier = read_shown_records(ANNOTATIONS)
    answers = under_names_of_now(said, records, earlier)
    audit = draw_audit(records, params.audit, params.seed).with_columns(purpose=pl.lit("audit"))
    encoded = encoder.encode(passages["text"].to_list(), "document")
    vectors = encoded.block(0, len(encoded))
    known = features(records, candidates, Passages(passages["passage_id"], vectors), judged)
    worths = worth(known, hear(answers, records, earlier), params.worth)
    topics = cluster(vectors, passages["passage_id"], params.clusters, params.seed)
    others = records.filter(~pl.col("record_id").is_in(audit["record_id"].to_list()))
    first = begun(others, answers, params.people.active)
    left = [*first["record_id"], *done(answers, params.people.active)]
    fresh = others.filter(~pl.col("record_id").is_in(left))
    ranked = rank_active(fresh, weigh(worths, records, params.origins), topics, params.repeat)
    columns = [name for name in audit.columns if name != "purpose"]
    active = pl.concat([first.select(columns), ranked.select(columns)]).head(params.active)
    chosen = pl.concat([audit, active.with_columns(purpose=pl.lit("active"))])
    write_table(records, OUT / "records.parquet", ReviewRecord)
    write_table(queue_items(chosen, candidates, passages), OUT / "retrieval.parquet", QueueItem)
    strata = records.filter(pl.col("mined").list.any())["stratum"].value_counts().sort("stratum")
    counts = {"records": records.height, "begun": first.height, "audit": audit.height, "active": active.height}
    return {**counts, "audit_population": dict(strata.iter_rows())}


def main() -> None:
    params = SelectParams.load()
    found = read_table("data/filtered/queries.parquet", FoundQuery).filter(pl.col("split") != "test")
    pairs = read_table("data/prepared/pairs.parquet", SentencePair)
    answers, _ = read_answers(ANNOTATIONS)
    encoder = Encoder(params.current, params.encode)
    queries = asked(found, params.judged_origins)
    counts = write_queries(params, queries, answers, encoder)
    ungraded = pairs.filter(~pl.col("pair_id").is_in(done(answers, params.people.sts, ("similarity",))))
    graded = write_pairs(ungraded, encoder, params.pairs)
    report = {"population": named(by_origin(queries)), **counts, "pairs": graded}
    write_json(report, "reports/select.json")
    told = f"{report['audit']} queries to audit, {report['active']} to judge, of {report['population']}"
    say(f"select: {told}; {graded} pairs to grade")


if __name__ == "__main__":
    run(main)
