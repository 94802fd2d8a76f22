"""What judging a record is worth: the chances that candidates answer, or that its query is bad, times what that gains.

Chances are logistic in a few features, from prior weights that answers move. A candidate's features are brought to
normal scores over all shown candidates, so that the same weights suit encoders whose cosines lie in other ranges. That
a passage near the positive is a likely false negative is GISTEmbed's rule (Solatorio, 2024). Knows tables of records;
nothing of files, queues or the order in which records are shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.special import expit, ndtri

from nestling.review.belief import scores, update

MATTER = ["query", "passage_id"]  # what an answer is on, whatever the record was called
_BLOCK = 65_536  # pairs of vectors multiplied at once
_DIGITS = 5  # of scores, which single precision holds

# What finding something is worth: a wrong signal goes and a positive comes; a positive comes; a wrong pair goes.
# A higher gain of a missed positive finds fewer false negatives: docs/log.md, 2026-11-21.
FALSE_NEGATIVE, MISSED_POSITIVE, BAD_QUERY = 1.0, 0.2, 0.25
# Prior weights in log odds: of an average candidate or query (3 in 100), and of each feature. ANSWERS was chosen on
# the sample and held on SQuAD-it (docs/log.md, 2026-11-21). BAD is not measured: that benchmark counts no bad queries.
AVERAGE = -3.5
ANSWERS = {
    "standing": 0.7,  # the candidate's score above the mean of the query's hits, in their standard deviations
    "score": 0.7,
    "kinship": 0.7,  # its nearness to the query's own passage
}
BAD = {
    "rank": 0.7,  # logarithm of the own passage's rank at the round trip
    "faintness": 0.3,  # how low the own passage scores, as a normal score
    "doubt": 2.0,  # 1 less the LLM judge's score; 0 where none judged
}
SPREAD = 1.0  # standard deviation of each weight about its prior: .3 to 2 gave the same (docs/log.md, 2026-11-21)


@dataclass(frozen=True)
class Passages:
    """All passages that occur.

    Attributes:
        names: their passage_ids.
        vectors: [passages, dims] of length 1, in the same order.
    """

    names: pl.Series
    vectors: np.ndarray


@dataclass(frozen=True)
class Told:
    """What people said.

    Attributes:
        relevant: query, passage_id and `relevant`, the majority's word; null for a tie.
        quality: query, passage_id and `quality`, likewise.
    """

    relevant: pl.DataFrame
    quality: pl.DataFrame


@dataclass(frozen=True)
class Features:
    """What the chances hang on; computed once, whatever people say.

    Attributes:
        shown: record_id, query, passage_id, mined and a column a feature of ANSWERS; a row a shown candidate.
        asked: record_id, query, passage_id and a column a feature of BAD; a row a record.
    """

    shown: pl.DataFrame
    asked: pl.DataFrame


def features(records: pl.DataFrame, candidates: pl.DataFrame, passages: Passages, judged: pl.DataFrame) -> Features:
    """Return the features of records and of the candidates that they show.

    Args:
        records: ReviewRecord rows with `score`, the positive's.
        candidates: Candidate rows, all hits of these queries.
        passages: of the set.
        judged: Judged rows; none where no LLM judged.
    """
    return Features(_shown(records, candidates, passages), _asked(records, judged))


def _shown(records: pl.DataFrame, candidates: pl.DataFrame, passages: Passages) -> pl.DataFrame:
    others = pl.col("score").filter(pl.col("verdict") != "positive")
    hits = candidates.select("query_id", "passage_id", "score")
    rows = (
        records.select("record_id", "query_id", "query", own_id="passage_id", passage_id="candidates", mined="mined")
        .explode("passage_id", "mined")
        .drop_nulls("passage_id")
        .join(hits, on=["query_id", "passage_id"], maintain_order="left")
        .join(candidates.group_by("query_id").agg(mean=others.mean(), deviation=others.std()), on="query_id")
        .sort("record_id", "passage_id")
    )
    standing = pl.when(pl.col("deviation") > 0).then((pl.col("score") - pl.col("mean")) / pl.col("deviation"))
    raw = rows.with_columns(standing=standing.fill_null(0.0), kinship=_kinship(rows, passages))
    scored = [_normal(pl.col(name)).alias(name) for name in ANSWERS]
    return raw.select("record_id", "query", "passage_id", "mined", *scored)


def _asked(records: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    doubt = judged.select("passage_id", query="text", doubt=1 - pl.col("judge_score"))
    return records.join(doubt, on=["query", "passage_id"], how="left", maintain_order="left").select(
        "record_id",
        "query",
        "passage_id",
        rank=pl.col("rank").cast(pl.Float64).log(),
        faintness=_normal(-pl.col("score")),
        doubt=pl.col("doubt").fill_null(0.0),
    )


def worth(known: Features, told: Told) -> pl.DataFrame:
    """Return record_id, `expected` candidates that answer, `false` ones among the negatives, `bad` (chance), `worth`.

    What people have said already is worth nothing more, and teaches about what they have not said.
    """
    asked = known.asked.join(told.quality, on=MATTER, how="left", maintain_order="left").join(
        told.relevant, on=MATTER, how="left", maintain_order="left"
    )
    # bad by either word; good if one was said and neither speaks against it
    bad = pl.max_horizontal(pl.col("quality") != "good", ~pl.col("relevant")).cast(pl.Float64)
    return (
        asked.select("record_id", bad=_chances(asked, bad, BAD))
        .join(_found(known.shown, told.relevant), on="record_id", how="left", maintain_order="left")
        .with_columns(pl.col("expected", "false", "gain").fill_null(0.0))
        .with_columns(worth=pl.col("gain") + pl.col("bad") * BAD_QUERY)
        .drop("gain")
    )


def _found(shown: pl.DataFrame, relevant: pl.DataFrame) -> pl.DataFrame:
    """Return record_id, `expected`, `false`, and what finding them gains."""
    rows = shown.join(relevant, on=MATTER, how="left", maintain_order="left")
    chance = _chances(rows, pl.col("relevant").cast(pl.Float64), ANSWERS)
    gain = pl.when("mined").then(FALSE_NEGATIVE).otherwise(MISSED_POSITIVE)
    return (
        rows.with_columns(chance=chance)
        .group_by("record_id", maintain_order=True)
        .agg(
            expected=pl.col("chance").sum(),
            false=pl.col("chance").filter("mined").sum(),
            gain=(pl.col("chance") * gain).sum(),
        )
    )


def _chances(rows: pl.DataFrame, said: pl.Expr, prior: Mapping[str, float]) -> pl.Series:
    """Return the chance of each row, 0 where it was said already."""
    weights = np.array([AVERAGE, *prior.values()])
    seen = np.column_stack([np.ones(rows.height), rows.select(*prior).to_numpy()])
    answers = rows.select(said=said)["said"].to_numpy()
    known = ~np.isnan(answers)
    weights = update(weights, SPREAD, seen[known], answers[known])
    return pl.Series(np.where(known, 0.0, expit(scores(seen, weights))), dtype=pl.Float64)


def _normal(value: pl.Expr) -> pl.Expr:
    """Return normal scores: the quantiles that a normal distribution has at the values' ranks.

    Values are rounded first: noise of arithmetic must not rank what is equal.
    """
    place = (value.round(_DIGITS).rank("average") - 0.5) / pl.len()
    return place.map_batches(lambda share: pl.Series(ndtri(share.to_numpy())), return_dtype=pl.Float64)


def _kinship(rows: pl.DataFrame, passages: Passages) -> pl.Series:
    place = {name: number for number, name in enumerate(passages.names)}
    left = np.array([place[name] for name in rows["own_id"]], dtype=np.int64)
    right = np.array([place[name] for name in rows["passage_id"]], dtype=np.int64)
    nearness = np.zeros(len(left))
    for start in range(0, len(left), _BLOCK):
        block = slice(start, start + _BLOCK)
        nearness[block] = np.einsum("nd,nd->n", passages.vectors[left[block]], passages.vectors[right[block]])
    return pl.Series(nearness)
