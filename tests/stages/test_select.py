import json

import numpy as np
import polars as pl
import pytest
import yaml

from nestling.retrieval.encoders import StaticParams, make_encoder, save_encoder
from nestling.tables.corpus import SPLITS, Passage, SentencePair
from nestling.tables.io import read_table, write_table
from nestling.tables.queries import FoundQuery
from nestling.tables.retrieval import VERDICTS, Candidate
from nestling.tables.review import PairItem, QueueItem, ReviewRecord
from stages.select import cluster, draw_audit, main, pair_items, queue_items, rank_active


def records(*rows):
    """Review records: (record_id, margin, stratum, candidates, mined)."""
    return pl.DataFrame(
        {
            "record_id": [row[0] for row in rows],
            "query_id": [f"q-{row[0]}" for row in rows],
            "query": "chi",
            "passage_id": [f"p-{row[0]}" for row in rows],
            "candidates": pl.Series([row[3] for row in rows], dtype=pl.List(pl.String)),
            "mined": pl.Series([row[4] for row in rows], dtype=pl.List(pl.Boolean)),
            "margin": pl.Series([row[1] for row in rows], dtype=pl.Float32),
            "stratum": [row[2] for row in rows],
        }
    )


def candidates(*rows):
    """Hits: (query_id, passage_id, score, positive_score, verdict), ranked as they stand."""
    frame = pl.DataFrame(rows, ["query_id", "passage_id", "score", "positive_score", "verdict"], orient="row")
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over("query_id")
    return frame.with_columns(
        pl.col("score", "positive_score").cast(pl.Float32), pl.col("verdict").cast(pl.Enum(VERDICTS)), rank=rank
    )


MANY = records(*((f"r{n}", n / 100, f"margin {n % 3 + 1} of 3", ["c"], [True]) for n in range(90)))


def test_an_audit_takes_the_same_number_of_each_stratum():
    audit = draw_audit(MANY, 30, seed=1)
    assert sorted(audit["stratum"].value_counts().rows()) == [(f"margin {n} of 3", 10) for n in (1, 2, 3)]
    assert audit["why"].unique().sort().to_list() == [f"random audit of stratum margin {n} of 3" for n in (1, 2, 3)]


def test_an_audit_is_random_by_name_and_seed_alone():
    audit = draw_audit(MANY, 30, seed=1)
    assert audit.equals(draw_audit(MANY.sample(fraction=1, shuffle=True, seed=5), 30, seed=1))
    assert set(audit["record_id"]) != set(draw_audit(MANY, 30, seed=2)["record_id"])


def test_a_larger_audit_keeps_what_was_drawn():
    assert set(draw_audit(MANY, 15, 1)["record_id"]) <= set(draw_audit(MANY, 30, 1)["record_id"])


def test_queries_without_negatives_are_not_audited():
    lone = records(("a", None, "no negatives", [], []), ("b", None, "no negatives", ["c"], [False]))
    assert draw_audit(lone, 5, 1).is_empty()


def topics(*names):
    return pl.DataFrame({"passage_id": [f"p-{name}" for name, _ in names], "cluster": [topic for _, topic in names]})


def test_close_margins_come_first_and_each_topic_takes_its_turn():
    asked = records(
        *((name, margin, "s", ["c"], [True]) for name, margin in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True))
    )
    hits = candidates(*((f"q-{name}", "c", 0.5, 0.9, "negative") for name in "abcd"))
    ranked = rank_active(asked, hits, topics(("a", 0), ("b", 0), ("c", 0), ("d", 1)))
    assert ranked["record_id"].to_list() == ["a", "d", "b", "c"]
    assert ranked["why"][0] == "nearest negative only 0.1 below the passage; topic 0"


def test_a_query_whose_candidates_outscore_its_passage_is_worth_more():
    asked = records(("a", 0.1, "s", ["c"], [True]), ("b", 0.1, "s", ["c", "d"], [True, False]))
    hits = candidates(
        ("q-a", "c", 0.5, 0.9, "negative"),
        ("q-b", "unseen", 0.97, 0.9, "margin"),
        ("q-b", "d", 0.95, 0.9, "margin"),
        ("q-b", "c", 0.8, 0.9, "negative"),
    )
    ranked = rank_active(asked, hits, topics(("a", 0), ("b", 0)))
    assert ranked["record_id"].to_list() == ["b", "a"]
    assert ranked["why"][0] == "1 of the candidates score above the passage; topic 0"  # of those that are shown


def test_only_what_has_candidates_is_asked_and_every_row_says_why():
    asked = records(("a", None, "no negatives", [], []), ("b", None, "no negatives", ["c"], [False]))
    ranked = rank_active(asked, candidates(("q-b", "c", 0.8, 0.9, "margin")), topics(("a", 0), ("b", 1)))
    assert ranked["why"].to_list() == ["likely false negatives were left out; topic 1"]


def test_clusters_are_no_more_than_passages_and_follow_the_vectors():
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], dtype=np.float32)
    found = cluster(vectors, pl.Series(["a", "b", "c"]), 2, seed=1)["cluster"].to_list()
    assert (found[0] == found[1], found[0] == found[2]) == (True, False)
    assert set(cluster(vectors, pl.Series(["a", "b", "c"]), 24, seed=1)["cluster"]) <= {0, 1, 2}


def test_the_queue_shows_texts_in_rank_order():
    chosen = records(("a", 0.1, "s", ["far", "near"], [True, True])).with_columns(
        purpose=pl.lit("audit"), why=pl.lit("w")
    )
    hits = candidates(("q-a", "near", 0.8, 0.9, "negative"), ("q-a", "far", 0.5, 0.9, "negative"))
    passages = pl.DataFrame({"passage_id": ["p-a", "near", "far"], "text": ["own", "N", "F"]})
    row = queue_items(chosen, hits, passages).row(0, named=True)
    assert [one["text"] for one in row["candidates"]] == ["N", "F"]
    assert (row["passage"], row["position"], row["purpose"]) == ("own", 1, "audit")


def test_the_pairs_on_which_grade_and_encoder_differ_most_come_first():
    pairs = pl.DataFrame({"pair_id": ["same", "apart", "close"], "score": [0.5, 1.0, 0.0]})
    items = pair_items(pairs, np.array([0.5, 0.1, 0.9]), 2)
    assert items.select("record_id", "position").rows() == [("apart", 1), ("close", 2)]
    assert ["farther apart" in why for why in items["why"]] == [True, False]


TEXTS = [f"parola{n} detto{n % 5} fatto{n % 3} luogo{n % 2}" for n in range(12)]
NAMES = [f"{n:020x}" for n in range(12)]  # of passages, of their queries, of pairs
HELD_OUT = NAMES[0]
SETTINGS = {
    "shared": {
        "seed": 1,
        "current": "models/base",
        "encode": {"device": "cpu", "precision": "fp32", "batch_size": 8},
    },
    "select": {"candidates": 3, "audit": 4, "strata": 2, "active": 4, "clusters": 3, "pairs": 2},
}


def write_passages_and_queries():
    split = pl.when(pl.col("passage_id") == HELD_OUT).then(pl.lit("test")).otherwise(pl.lit("train"))
    both = pl.DataFrame({"passage_id": NAMES, "text": TEXTS}).with_columns(
        split=split.cast(pl.Enum(SPLITS)), language=pl.lit("it"), document_id="passage_id", group_id="passage_id"
    )
    one = pl.lit(1, dtype=pl.UInt32)
    passages = both.with_columns(title=pl.lit(""), start=one, end=one + 1, licence=pl.lit(None, dtype=pl.String))
    write_table(passages, "data/prepared/passages.parquet", Passage)
    asked = both.with_columns(query_id="passage_id", origin=pl.lit("recorded"), kind=pl.lit("recorded"))
    found = asked.with_columns(rank=one, score=pl.lit(0.9, dtype=pl.Float32), copied=pl.lit(0.0))
    write_table(found, "data/filtered/queries.parquet", FoundQuery)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with what the stage reads: twelve queries (one held out), two negatives each, pairs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SETTINGS))
    (tmp_path / "data/annotations").mkdir(parents=True)
    static = StaticParams(kind="static", dims=8, views={"word": 1.0}, saturation=1.2, max_features=100)
    save_encoder(make_encoder(static, TEXTS, [], 1), "models/base")
    write_passages_and_queries()
    hits = [(NAMES[n], NAMES[(n + step) % 12], 0.8 - n / 50 - step / 10, 0.9) for n in range(12) for step in (1, 2)]
    write_table(candidates(*((*hit, "negative") for hit in hits)), "data/mined/candidates.parquet", Candidate)
    pairs = pl.DataFrame(
        {"pair_id": NAMES[:3], "sentence1": TEXTS[:3], "sentence2": TEXTS[3:6], "score": [0.1, 0.5, 0.9]}
    )
    train = pairs.with_columns(split=pl.lit("train").cast(pl.Enum(SPLITS)))
    write_table(train, "data/prepared/pairs.parquet", SentencePair)
    return tmp_path


def queue(purpose):
    return set(read_table("data/queue/retrieval.parquet", QueueItem).filter(purpose=purpose)["record_id"])


def answer(project, record_ids, question="query_quality", value="good"):
    said = {
        "question": question,
        "value": value,
        "annotator": "a",
        "status": "submitted",
        "submitted_at": "2026-11-20",
    }
    lines = [json.dumps(said | {"record_id": name}) for name in record_ids]
    with (project / "data/annotations/one.jsonl").open("a") as file:
        file.write("\n".join(lines) + "\n")


def test_answers_leave_the_audit_as_it_is_and_are_not_asked_again(project):
    main()
    audit, active = queue("audit"), queue("active")
    answer(project, [*list(audit)[:2], *active])
    main()
    assert queue("audit") == audit
    assert len(queue("active")) == 3  # eleven records, four of them audited and four judged
    assert not queue("active") & (audit | active)


def test_a_graded_pair_is_not_asked_again(project):
    main()
    first = read_table("data/queue/sts.parquet", PairItem)["record_id"].to_list()
    answer(project, first, "similarity", 3)
    main()
    assert set(read_table("data/queue/sts.parquet", PairItem)["record_id"]) == set(NAMES[:3]) - set(first)


def test_held_out_queries_are_shown_to_nobody_and_every_row_says_why(project):
    main()
    assert HELD_OUT not in read_table("data/queue/records.parquet", ReviewRecord)["query_id"].to_list()
    items = read_table("data/queue/retrieval.parquet", QueueItem)
    assert (items["why"].str.len_chars() > 10).all()
    assert sorted(items["position"]) == list(range(1, 9))
