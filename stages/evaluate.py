"""Measure BM25, the base and the tuned encoder at every dimension, and whether the difference is real.

Reads   data/suites/{documents,queries,qrels,pairs}.parquet, data/heldout/{queries,qrels}.parquet,
        data/prepared/passages.parquet (Passage), models/base/, models/tuned/
Writes  data/scores/{queries,pairs}.parquet (QueryScore, PairScore), data/runs/<suite>/qrels and
        data/runs/<suite>/<system>[.<dim>].run[.gz] (TREC's formats), reports/metrics.json, reports/significance.json
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import PositiveInt

from nestling.cli import run, say
from nestling.errors import UserError
from nestling.evaluation.bm25 import Bm25, Bm25Params, stemmed
from nestling.evaluation.figures import Draws, significance, tree
from nestling.evaluation.metrics import DEPTH, score_queries
from nestling.evaluation.runs import packed, replacing_folder, write_qrels, write_run, writing
from nestling.evaluation.suites import POOL, Suite, make_suites
from nestling.params import StageParams
from nestling.retrieval.embeddings import EncodeParams, Encoder, Vectors, shrink
from nestling.retrieval.encoders import check_dims, trained_dims
from nestling.retrieval.search import Hits, top_documents
from nestling.tables.corpus import Passage, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.evaluation import PairScore, QueryScore
from nestling.tables.io import read_table, write_json, write_table

OUT, MODELS = Path("data/scores"), {"base": Path("models/base"), "tuned": Path("models/tuned")}
SUITES, HELDOUT = Path("data/suites"), Path("data/heldout")
RUNS = Path("data/runs")
CHUNK = 1024  # queries whose rankings are in memory at once
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
    """The Matryoshka prefix of vectors, of those from `first` to `last`, a block at a time."""

    vectors: Vectors
    dim: int
    first: int = 0
    last: int | None = None

    def __len__(self) -> int:
        return len(range(len(self.vectors))[self.first : self.last])

    def block(self, start: int, stop: int) -> np.ndarray:
        """Return [stop - start, dim] float32 on the unit sphere."""
        return shrink(self.vectors.block(self.first + start, self.first + min(stop, len(self))), self.dim)


def score_bm25(suite: Suite, params: EvaluateParams, runs: Path) -> pl.DataFrame:
    """Return QueryScore rows of BM25 on a suite, and write its run."""
    index = Bm25(suite.passages, suite.owner, params.bm25, params.languages[0])
    return _scored(suite, "bm25", 0, runs, lambda start, stop: index.search(suite.queries[start:stop], POOL))


def score_encoder(suite: Suite, system: str, encoder: Encoder, dims: list[int], runs: Path) -> Iterator[pl.DataFrame]:
    """Yield QueryScore rows of an encoder on a suite, a dimension at a time, and write runs; encodes texts once."""
    queries, passages = encoder.encode(suite.queries, "query"), encoder.encode(suite.passages, "document")
    for dim in dims:
        cut = Prefix(passages, dim)

        def search(start: int, stop: int, cut: Prefix = cut) -> Hits:
            asked = Prefix(queries, cut.dim, start, stop)
            return top_documents(asked, cut, suite.owner, POOL, encoder.device)

        yield _scored(suite, system, dim, runs, search)


def _scored(suite: Suite, system: str, dim: int, runs: Path, search: Callable[[int, int], Hits]) -> pl.DataFrame:
    """Score what `search` finds for the queries from one place to another, some at a time, and write it down."""
    tag = f"{system}.{dim}" if dim else system
    found = []
    with writing(runs / suite.name / f"{tag}.run{packed(len(suite.queries) * DEPTH)}") as file:
        for start in range(0, len(suite.queries), CHUNK):
            hits = suite.run(search(start, start + CHUNK), start)
            write_run(hits, tag, file)
            found.append(score_queries(hits, {query: suite.qrels[query] for query in hits if query in suite.qrels}))
    named = pl.concat(found).with_columns(
        suite=pl.lit(suite.name), system=pl.lit(system), dim=pl.lit(dim, dtype=pl.UInt32)
    )
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
    if taken := sorted({*brought["suite"]} & {*held_out["suite"]}):
        raise UserError(
            f"a suite may not be called {taken[0]}, as the set's own held-out queries are: rename its folder"
        )
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


def noted(suites: list[Suite], params: EvaluateParams, figures: dict[str, Any]) -> dict[str, Any]:
    """Return reports/significance.json with what BM25 was, and tell people what to mind."""
    stems = stemmed(params.bm25, params.languages[0]) if suites else None
    if suites and params.bm25.stem and not stems:
        say(f"evaluate: there is no stemmer for the language {params.languages[0]!r}: BM25 compares whole words")
    for name, told in figures["suites"].items():
        for note in told["notes"]:
            say(f"evaluate: {name}: {note}")
    return {**figures, "bm25": {"k1": params.bm25.k1, "b": params.bm25.b, "stemmer": stems}}


def scores_of(suites: list[Suite], pairs: pl.DataFrame, params: EvaluateParams, runs: Path) -> list[pl.DataFrame]:
    """Return the tables QueryScore and PairScore of all systems, and write runs and qrels."""
    dims = trained_dims(MODELS["tuned"])
    queries, cosines = [pl.DataFrame(schema=QUERY_SCORE)], [pl.DataFrame(schema=PAIR_SCORE)]
    for suite in suites:
        with writing(runs / suite.name / "qrels") as file:
            write_qrels(suite.qrels, file)
        queries.append(score_bm25(suite, params, runs))
    for system, folder in MODELS.items():
        encoder = Encoder(folder, params.encode)
        check_dims(dims, encoder.model, "train.dims")
        for suite in suites:
            queries += score_encoder(suite, system, encoder, dims, runs)
        if pairs.height:
            cosines += score_pairs(pairs, system, encoder, dims)
    return [pl.concat(queries), pl.concat(cosines)]


def main() -> None:
    params = EvaluateParams.load()
    suites, pairs = read_suites()
    documents = {suite.name: len(suite.document_ids) for suite in suites}
    with replacing_folder(RUNS) as runs:
        scores, cosines = scores_of(suites, pairs, params, runs)
        metrics = tree(scores, cosines, documents)
        figures = significance(scores, cosines, documents, Draws(params.seed, params.replicates))
    write_table(scores, OUT / "queries.parquet", QueryScore)
    write_table(cosines, OUT / "pairs.parquet", PairScore)
    write_json(metrics, "reports/metrics.json")
    write_json(noted(suites, params, figures), "reports/significance.json")
    say(f"evaluate: {len(suites)} retrieval suites, {len(metrics['sts'])} STS suites; rankings are in {RUNS}")


if __name__ == "__main__":
    run(main)
