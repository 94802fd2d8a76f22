import json

import polars as pl
import pytest
import yaml

from nestling.review.answers import read_answers
from nestling.tables.corpus import SPLITS, Rejected, SentencePair
from nestling.tables.io import empty, read_table, write_table
from nestling.tables.queries import FoundQuery
from nestling.tables.retrieval import VERDICTS, Candidate
from nestling.tables.review import CuratedQuery, Negative, Positive, QueueItem, ReviewRecord
from stages.curate import CurateParams, Judgements, agreement, audited, false_negatives, main

PARAMS = CurateParams(seed=1, replicates=50)
QUERIES = [f"{n:020x}" for n in range(4)]
RECORDS = [f"{n:020x}" for n in range(16, 20)]
WORDS = ["chi macina", "chi presta", "quando apre", "dove si sale"]
OWN = ["mulino", "libri", "baita", "sentiero"]
NEAR, FAR = "vicino", "lontano"  # the two negatives of each query


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Four queries with two negatives each, of which the first two are audited; one pair; no answers yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"shared": {"seed": 1}, "curate": {"replicates": 50}}))
    (tmp_path / "data/annotations").mkdir(parents=True)
    one, train = pl.lit(1, dtype=pl.UInt32), pl.lit("train").cast(pl.Enum(SPLITS))
    score = pl.lit(0.9, dtype=pl.Float32)
    asked = pl.DataFrame({"query_id": QUERIES, "record_id": RECORDS, "text": WORDS, "query": WORDS, "passage_id": OWN})
    found = {"origin": pl.lit("llm"), "kind": pl.lit("question"), "language": pl.lit("it"), "copied": pl.lit(0.0)}
    write_table(asked.with_columns(rank=one, score=score, split=train, **found), "data/filtered/queries.parquet", FoundQuery)
    hits = pl.DataFrame([(name, n, shown) for name in QUERIES for n, shown in ((1, NEAR), (2, FAR))], ["query_id", "rank", "passage_id"], orient="row")
    judged = {"score": score - 0.3, "positive_score": score, "verdict": pl.lit("negative").cast(pl.Enum(VERDICTS))}
    write_table(hits.with_columns(pl.col("rank").cast(pl.UInt32), **judged), "data/mined/candidates.parquet", Candidate)
    seen = asked.with_columns(candidates=pl.lit([NEAR, FAR]), mined=pl.lit([True, True]), margin=score, rank=one, stratum=pl.lit("all"))
    write_table(seen, "data/queue/records.parquet", ReviewRecord)
    return tmp_path
