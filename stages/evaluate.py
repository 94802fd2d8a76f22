"""Measure BM25, the base and the tuned encoder at every dimension, and whether the difference is real.

Reads   data/suites/{documents,queries,qrels,pairs}.parquet, data/heldout/{queries,qrels}.parquet,
        data/prepared/passages.parquet (Passage), models/base/, models/tuned/
Writes  data/scores/{queries,pairs}.parquet (QueryScore, PairScore), reports/metrics.json, reports/significance.json
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import PositiveInt

from nestling.cli import run, say
from nestling.errors import UserError
from nestling.evaluation.bm25 import Bm25Params, rank
from nestling.evaluation.bootstrap import mean_interval, paired_correlation_difference, paired_difference
from nestling.evaluation.metrics import DEPTH, METRICS, pearson, score_queries, spearman
from nestling.evaluation.suites import Suite, make_suites
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder, Vectors, shrink
from nestling.retrieval.encoders import check_dims, trained_dims
from nestling.retrieval.search import top_documents
from nestling.tables.corpus import Passage, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.evaluation import PairScore, QueryScore
from nestling.tables.io import read_table, write_json, write_table

OUT, MODELS = Path("data/scores"), {"base": Path("models/base"), "tuned": Path("models/tuned")}
SUITES, HELDOUT = Path("data/suites"), Path("data/heldout")
QUERY_SCORE = {
    "suite": pl.String,
    "system": pl.String,
    "dim": pl.UInt32,
    "query_id": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
}
PAIR_SCORE = {
    "suite": pl.String,
    "system": pl.String,
    "dim": pl.UInt32,
    "pair_id": pl.String,
    "cosine": pl.Float64,
    "score": pl.Float64,
}


class EvaluateParams(StageParams, section="evaluate", shared=("seed", "languages", "encode")):
    seed: int
    languages: list[str]
    encode: EncodeParams
    bm25: Bm25Params
    replicates: PositiveInt  # of the bootstrap


@dataclass(frozen=True)
class Prefix:
    """The Matryoshka prefix of vectors, a block at a time."""

    vectors: Vectors
    dim: int

    def __len__(self) -> int:
        return len(self.vectors)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return [stop - start, dim] float32 on the unit sphere."""
        return shrink(self.vectors.block(start, stop), self.dim)


def score_bm25(suite: Suite, params: EvaluateParams) -> pl.DataFrame:
    """Return QueryScore rows of BM25 on a suite."""
    places = rank(suite.queries, suite.passages, suite.owner, DEPTH, params.bm25, params.languages[0])
    return _named(score_queries(suite.ranking(places), suite.qrels), suite.name, "bm25", 0)


def score_encoder(suite: Suite, system: str, encoder: Encoder, dims: list[int]) -> Iterator[pl.DataFrame]:
    """Yield QueryScore rows of an encoder on a suite, a dimension at a time; texts are encoded once."""
    queries, passages = encoder.encode(suite.queries, "query"), encoder.encode(suite.passages, "document")
    for dim in dims:
        hits = top_documents(Prefix(queries, dim), Prefix(passages, dim), suite.owner, DEPTH, encoder.device)
        yield _named(score_queries(suite.ranking(hits.passage), suite.qrels), suite.name, system, dim)


def _named(scores: pl.DataFrame, suite: str, system: str, dim: int) -> pl.DataFrame:
    named = scores.with_columns(suite=pl.lit(suite), system=pl.lit(system), dim=pl.lit(dim, dtype=pl.UInt32))
    return named.select(list(QUERY_SCORE))


def score_pairs(pairs: pl.DataFrame, system: str, encoder: Encoder, dims: list[int]) -> Iterator[pl.DataFrame]:
    """Yield PairScore rows of an encoder on all STS suites, a dimension at a time."""
    left = encoder.encode(pairs["sentence1"].to_list(), "pair")
    right = encoder.encode(pairs["sentence2"].to_list(), "pair")
    whole = left.block(0, len(left)), right.block(0, len(right))
    for dim in dims:
        cosine = (shrink(whole[0], dim).astype(np.float64) * shrink(whole[1], dim)).sum(1)
        yield pairs.select(
            "suite",
            "pair_id",
            "score",
            system=pl.lit(system),
            dim=pl.lit(dim, dtype=pl.UInt32),
            cosine=pl.Series(cosine),
        ).select(list(PAIR_SCORE))


def tree(queries: pl.DataFrame, pairs: pl.DataFrame) -> dict[str, Any]:
    """Return the numbers of reports/metrics.json."""
    means = queries.group_by("suite", "system", "dim", "metric").agg(pl.col("value").mean())
    found: dict[str, Any] = {"retrieval": {}, "sts": {}}
    ordered = means.sort("suite", "system", pl.col("dim"), descending=[False, False, True])
    cells = {(suite, system, dim, metric): value for suite, system, dim, metric, value in ordered.iter_rows()}
    for suite, system, dim in dict.fromkeys(key[:3] for key in cells):
        place = found["retrieval"].setdefault(suite, {}).setdefault(system, {})
        place = place if system == "bm25" else place.setdefault(str(dim), {})
        place.update({metric: round(cells[suite, system, dim, metric], 6) for metric in METRICS})
    for (suite, system, dim), group in _grouped(pairs):
        cosine, gold = group["cosine"].to_numpy(), group["score"].to_numpy()
        if not np.ptp(cosine):
            raise UserError(
                f"{system} finds the pairs of the STS suite {suite} all equally similar: does it know their words?"
            )
        place = found["sts"].setdefault(suite, {}).setdefault(system, {})
        place[str(dim)] = {"spearman": round(spearman(cosine, gold), 6), "pearson": round(pearson(cosine, gold), 6)}
    return found


def _grouped(pairs: pl.DataFrame) -> Iterator[tuple[tuple[str, str, int], pl.DataFrame]]:
    groups = pairs.sort("suite", "system", "dim", "pair_id", descending=[False, False, True, False])
    for key, group in groups.group_by("suite", "system", "dim", maintain_order=True):
        yield (str(key[0]), str(key[1]), int(str(key[2]))), group


def significance(queries: pl.DataFrame, pairs: pl.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """Return the numbers of reports/significance.json: tuned less base, and less BM25, by paired bootstrap."""
    found: dict[str, Any] = {
        "what": "tuned minus base, and minus bm25; paired bootstrap over queries or pairs; 95% percentile interval",
        "replicates": params.replicates,
        "retrieval": {},
        "sts": {},
    }
    wide = queries.filter(pl.col("metric") == "ndcg@10")
    for suite in wide["suite"].unique().sort():
        here = wide.filter(pl.col("suite") == suite)
        dims = here.filter(pl.col("system") == "tuned")["dim"].unique().sort(descending=True)
        found["retrieval"][suite] = {str(dim): {"ndcg@10": _compare(here, dim, params)} for dim in dims}
    for suite in pairs["suite"].unique().sort():
        here = pairs.filter(pl.col("suite") == suite)
        dims = here["dim"].unique().sort(descending=True)
        found["sts"][suite] = {str(dim): {"spearman": _compare_pairs(here, dim, params)} for dim in dims}
    return found


def _values(scores: pl.DataFrame, system: str, dim: int, column: str, key: str) -> np.ndarray:
    return scores.filter((pl.col("system") == system) & (pl.col("dim") == dim)).sort(key)[column].to_numpy()


def _compare(scores: pl.DataFrame, dim: int, params: EvaluateParams) -> dict[str, Any]:
    tuned = _values(scores, "tuned", dim, "value", "query_id")
    whole = mean_interval(tuned, params.seed, params.replicates)
    report: dict[str, Any] = {
        "tuned": [round(number, 6) for number in (whole.mean, whole.low, whole.high)],
        "queries": whole.queries,
    }
    for other, its_dim in (("base", dim), ("bm25", 0)):
        gap = paired_difference(
            tuned, _values(scores, other, its_dim, "value", "query_id"), params.seed, params.replicates
        )
        report[f"minus_{other}"] = {name: round(getattr(gap, name), 6) for name in ("mean", "low", "high", "p")}
    return report


def _compare_pairs(scores: pl.DataFrame, dim: int, params: EvaluateParams) -> dict[str, Any]:
    tuned, base = (_values(scores, system, dim, "cosine", "pair_id") for system in ("tuned", "base"))
    gold = _values(scores, "tuned", dim, "score", "pair_id")
    gap = paired_correlation_difference(tuned, base, gold, params.seed, params.replicates)
    difference = {"mean": gap.difference, "low": gap.low, "high": gap.high, "p": gap.p}
    return {
        "tuned": [round(number, 6) for number in (gap.tuned, *gap.tuned_interval)],
        "pairs": gap.pairs,
        "minus_base": {name: round(value, 6) for name, value in difference.items()},
    }


def read_suites() -> tuple[list[Suite], pl.DataFrame]:
    """Return all retrieval suites, the set's own held-out queries among them, and all STS pairs."""
    passages = read_table("data/prepared/passages.parquet", Passage)
    held_out = read_table(HELDOUT / "queries.parquet", SuiteQuery)
    queries = pl.concat([read_table(SUITES / "queries.parquet", SuiteQuery), held_out])
    qrels = pl.concat(
        [read_table(SUITES / "qrels.parquet", SuiteQrel), read_table(HELDOUT / "qrels.parquet", SuiteQrel)]
    )
    own = passages.sort("document_id", "start").select(
        document_id="document_id",
        part=pl.int_range(pl.len(), dtype=pl.UInt32).over("document_id"),
        text="text",
        own=pl.lit(False),
    )
    brought = read_table(SUITES / "documents.parquet", SuiteDocument)
    searched = held_out.select("suite").unique(maintain_order=True).join(own, how="cross")
    suites = make_suites(pl.concat([brought, searched]), queries, qrels)
    pairs = read_table(SUITES / "pairs.parquet", SuitePair)
    if not suites and pairs.is_empty():
        raise UserError("there is nothing to evaluate on: bring a suite (eval/) or raise prepare.test_share")
    for suite, graded in pairs.sort("suite").group_by("suite", maintain_order=True):
        if graded["score"].n_unique() < 2:
            raise UserError(
                f"the pairs of the STS suite {suite[0]} are all graded alike: there is nothing to compare with"
            )
    return suites, pairs


def main() -> None:
    params = EvaluateParams.load()
    suites, pairs = read_suites()
    dims = trained_dims(MODELS["tuned"])
    queries = [score_bm25(suite, params) for suite in suites]
    cosines = [pl.DataFrame(schema=PAIR_SCORE)]
    for system, folder in MODELS.items():
        encoder = Encoder(folder, params.encode)
        check_dims(dims, encoder.model, "train.dims")
        for suite in suites:
            queries += score_encoder(suite, system, encoder, dims)
        if pairs.height:
            cosines += score_pairs(pairs, system, encoder, dims)
    scores, pair_scores = pl.concat([pl.DataFrame(schema=QUERY_SCORE), *queries]), pl.concat(cosines)
    metrics, compared = tree(scores, pair_scores), significance(scores, pair_scores, params)
    write_table(scores, OUT / "queries.parquet", QueryScore)
    write_table(pair_scores, OUT / "pairs.parquet", PairScore)
    write_json(metrics, "reports/metrics.json")
    write_json(compared, "reports/significance.json")
    say(f"evaluate: {len(suites)} retrieval suites, {pairs['suite'].n_unique()} STS suites at {dims} dimensions")


if __name__ == "__main__":
    run(main)
