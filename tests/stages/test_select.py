import json

import numpy as np
import polars as pl
import pytest
import yaml

from nestling.retrieval.encoders import StaticParams, make_encoder, save_encoder
from nestling.review.answers import read_answers, read_shown_records
from nestling.tables.corpus import SPLITS, Passage, SentencePair
from nestling.tables.io import empty, read_table, write_table
from nestling.tables.queries import FoundQuery, Judged
from nestling.tables.retrieval import VERDICTS, Candidate
from nestling.tables.review import PairItem, QueueItem, ReviewRecord
from stages.select import cluster, draw_audit, hear, main, pair_items, queue_items, rank_active, weigh


def records(*rows):
    """Review records: (record_id, margin, stratum, candidates, mined)."""
    return pl.DataFrame(
        {
            "record_id": [row[0] for row in rows],
            "query_id": [f"q-{row[0]}" for row in rows],
            "query": "chi",
            "passage_id": [f"p-{row[0]}" for row in rows],
            "rank": pl.Series([1] * len(rows), dtype=pl.UInt32),
            "score": pl.Series([0.9] * len(rows), dtype=pl.Float32),
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
    return frame.with_columns(mean_score=pl.lit(0.0, dtype=pl.Float32)).with_columns(
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


def worths(**values):
    """What judging each record is worth: all of it in a false negative."""
    rows = [(name, value, value, 0.04, value) for name, value in values.items()]
    return pl.DataFrame(rows, ["record_id", "expected", "false", "bad", "worth"], orient="row")


def ranked(repeat, topic_of, **values):
    asked = records(*((name, 0.1, "s", ["c"], [True]) for name in values))
    return rank_active(asked, worths(**values), topics(*topic_of.items()), repeat)["record_id"].to_list()


def test_the_most_is_asked_first_and_names_settle_ties():
    one_topic = dict.fromkeys("abcd", 0)
    assert ranked(1.0, one_topic, d=0.5, a=0.2, b=0.9, c=0.5) == ["b", "c", "d", "a"]


def test_each_further_record_of_a_topic_is_worth_less_than_the_one_before():
    topic_of = {"a": 0, "b": 0, "c": 0, "d": 1}
    assert ranked(0.5, topic_of, a=1.0, b=0.9, c=0.8, d=0.3) == ["a", "b", "d", "c"]
    assert ranked(1.0, topic_of, a=1.0, b=0.9, c=0.8, d=0.3) == ["a", "b", "c", "d"]


def test_a_judgement_gains_as_much_as_the_rows_that_it_changes():
    asked = pl.DataFrame({"record_id": ["a", "b", "c"], "origin": ["extractive", "recorded", "unheard of"]})
    weighed = weigh(worths(a=1.0, b=0.5, c=0.75), asked, {"extractive": 0.5, "recorded": 4.0})
    assert dict(weighed.select("record_id", "worth").iter_rows()) == {"a": 0.5, "b": 2.0, "c": 0.75}


def test_every_row_says_in_words_what_is_expected_of_it():
    asked = records(("a", None, "no negatives", [], []), ("b", 0.1, "s", ["c", "d"], [True, False]))
    why = rank_active(asked, worths(a=0.0, b=1.26), topics(("a", 0), ("b", 1)), 1.0)["why"].to_list()
    assert why == [
        "1.3 of 2 candidates expected to answer, 1.3 of them among the negatives; bad query 4%; worth 1.26; topic 1",
        "no candidates; bad query 4%; worth 0.0; topic 0",
    ]


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
    assert (row["rank"], row["positive_score"]) == (1, pytest.approx(0.9))


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
        "people": {"audit": 2, "active": 1, "sts": 1},
    },
    "select": {
        "candidates": 3,
        "audit": 4,
        "strata": 2,
        "active": 4,
        "clusters": 3,
        "judged_origins": ["recorded", "llm"],
        "origins": {"recorded": 2.0},
        "repeat": 0.9,
        "pairs": 2,
        "worth": {
            "gains": {"false_negative": 1.0, "missed_positive": 0.2, "bad_query": 0.2},
            "answers": {"base": -3.0, "standing": 1.0, "score": 1.0, "kinship": 0.0},
            "bad": {"base": -3.0, "rank": 1.0, "faintness": 0.0, "doubt": 2.0},
            "spread": 1.0,
        },
    },
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
    write_table(empty(Judged), "data/generated/judged.parquet", Judged)


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


def judge(project, record_ids):
    """Say of records what makes a judgement."""
    answer(project, record_ids)
    answer(project, record_ids, "relevant", [])


def test_answers_leave_the_audit_as_it_is_and_are_not_asked_again(project):
    main()
    audit, active = queue("audit"), queue("active")
    judge(project, [*list(audit)[:2], *active])
    main()
    assert queue("audit") == audit
    assert len(queue("active")) == 3  # eleven records, four of them audited and four judged
    assert not queue("active") & (audit | active)


@pytest.mark.parametrize(("question", "value"), [("comment", "mah"), ("rewrite", "chi?"), ("query_quality", "good")])
def test_a_comment_or_half_a_judgement_leaves_the_record_in_the_queue(project, question, value):
    main()
    active = queue("active")
    answer(project, active, question, value)
    main()
    assert queue("active") == active


def test_a_record_with_one_of_two_wanted_judgements_comes_first_until_it_has_both(project):
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["shared"]["people"]["active"] = 2
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    main()
    last = read_table("data/queue/retrieval.parquet", QueueItem).filter(purpose="active").sort("position")[-1]
    judge(project, last["record_id"])
    main()
    first = read_table("data/queue/retrieval.parquet", QueueItem).filter(purpose="active").sort("position")[0]
    assert first["record_id"].to_list() == last["record_id"].to_list()
    assert first["why"].to_list() == ["begun: 1 of 2 people have judged it"]
    answers = (project / "data/annotations/one.jsonl").read_text()
    (project / "data/annotations/two.jsonl").write_text(answers.replace('"annotator": "a"', '"annotator": "b"'))
    main()
    assert last["record_id"][0] not in queue("active")


def test_what_a_referee_settled_is_not_asked_again(project):
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["shared"]["people"]["active"] = 3
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    main()
    active = queue("active")
    judge(project, active)
    answers = (project / "data/annotations/one.jsonl").read_text()
    (project / "data/annotations/one.jsonl").write_text(answers.replace('"annotator"', '"referee": true, "annotator"'))
    main()
    assert not queue("active") & active


def from_origins(*origins):
    """Give the twelve queries these origins, in turn."""
    found = read_table("data/filtered/queries.parquet", FoundQuery)
    named = [origins[place % len(origins)] for place in range(found.height)]
    write_table(found.with_columns(origin=pl.Series(named)), "data/filtered/queries.parquet", FoundQuery)


@pytest.mark.parametrize(
    ("origins", "judged", "population"),
    [
        (("extractive", "recorded"), {"recorded"}, "6 recorded queries"),
        (("extractive", "llm", "recorded"), {"llm", "recorded"}, "4 llm queries and 4 recorded queries"),
        (("extractive", "extractive", "llm"), {"llm"}, "4 llm queries"),
        (("extractive",), {"extractive"}, "11 queries cut out of the passages"),
    ],
)
def test_people_see_queries_that_somebody_asked_and_others_only_where_there_are_no_such(
    project, origins, judged, population
):
    from_origins(*origins)
    main()
    items = read_table("data/queue/retrieval.parquet", QueueItem)
    assert set(items["origin"]) == judged
    assert items.filter(purpose="audit").height == 4
    assert json.loads((project / "reports/select.json").read_text())["population"] == population


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


def worth_of(record_id):
    item = read_table("data/queue/retrieval.parquet", QueueItem).row(
        by_predicate=pl.col("record_id") == record_id, named=True
    )
    return float(item["why"].split("worth ")[1].split(";")[0])


@pytest.mark.parametrize(("marked", "grows"), [(True, True), (False, False)])
def test_answers_teach_what_the_others_are_worth(project, marked, grows):
    """The audit's records are judged: all of their candidates answer, or none."""
    main()
    before = {name: worth_of(name) for name in queue("active")}
    shown = read_table("data/queue/records.parquet", ReviewRecord).filter(pl.col("record_id").is_in(queue("audit")))
    for name, own, beside in shown.select("record_id", "passage_id", "candidates").iter_rows():
        answer(project, [name], "relevant", [own, *(beside if marked else [])])
    main()
    both = queue("active") & set(before)
    assert both
    assert all((worth_of(name) > before[name]) == grows for name in both)


def test_what_was_judged_in_an_earlier_round_under_another_name_is_worth_nothing_now(project):
    main()
    row = read_table("data/queue/records.parquet", ReviewRecord).row(
        by_predicate=pl.col("record_id") == min(queue("active")), named=True
    )
    old = {key: row[key] for key in ("query", "passage_id", "candidates")} | {"record_id": "old"}
    (project / "data/annotations/zero.records.jsonl").write_text(json.dumps(old))
    answer(project, ["old"], "relevant", [row["passage_id"]])
    main()
    assert read_table("data/queue/retrieval.parquet", QueueItem)["record_id"].is_in([row["record_id"]]).sum() <= 1
    again = read_table("data/queue/retrieval.parquet", QueueItem).filter(purpose="active").sort("position")
    assert row["record_id"] not in again["record_id"].head(3).to_list()


def test_an_item_holds_what_a_desk_filters_by(project):
    main()
    item = read_table("data/queue/retrieval.parquet", QueueItem).row(0, named=True)
    assert {item[name] for name in ("kind", "origin")} == {"recorded"}
    assert (item["language"], item["rank"], item["positive_score"]) == ("it", 1, pytest.approx(0.9))
    assert item["margin"] == pytest.approx(0.9 - max(one["score"] for one in item["candidates"]))


def test_the_same_answers_make_the_same_bytes(project):
    main()
    answer(project, queue("audit"), "relevant", [])
    files = [project / f"data/queue/{name}.parquet" for name in ("records", "retrieval", "sts")]
    main()
    first = [file.read_bytes() for file in files]
    main()
    assert [file.read_bytes() for file in files] == first


def test_what_one_person_said_beside_a_suggestion_stays_in_the_queue(project):
    main()
    active = sorted(queue("active"))
    judge(project, active[:1])
    answers = (project / "data/annotations/one.jsonl").read_text()
    (project / "data/annotations/one.jsonl").write_text(
        answers.replace('"annotator"', '"suggested": true, "annotator"')
    )
    main()
    assert active[0] in queue("active")


def test_what_was_judged_in_another_spelling_is_not_asked_again(project):
    main()
    active = sorted(queue("active"))
    records = read_table("data/queue/records.parquet", ReviewRecord).filter(pl.col("record_id").is_in(active))
    shown = records.select("record_id", pl.col("query").str.to_uppercase() + "!", "passage_id", "candidates")
    (project / "data/annotations/zero.records.jsonl").write_text(
        "\n".join(json.dumps(row | {"record_id": f"old-{row['record_id']}"}) for row in shown.iter_rows(named=True))
    )
    judge(project, [f"old-{name}" for name in active])
    main()
    assert not queue("active") & set(active)
    told = hear(
        read_answers(project / "data/annotations")[0], records, read_shown_records(project / "data/annotations")
    )
    assert set(told.quality["query"]) == set(records["query"])
