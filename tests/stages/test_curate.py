import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
import yaml

from nestling.tables.corpus import SPLITS, Rejected, SentencePair
from nestling.tables.io import empty, read_table, write_table
from nestling.tables.queries import FoundQuery, Judged
from nestling.tables.retrieval import VERDICTS, Candidate
from nestling.tables.review import PURPOSES, CuratedQuery, Negative, Positive, QueueItem, ReviewRecord
from stages.curate import CurateParams, Judgements, agreement, audited, main

QUERIES = [f"{n:020x}" for n in range(4)]
RECORDS = [f"{n:020x}" for n in range(16, 20)]
WORDS = ["chi macina", "chi presta", "quando apre", "dove si sale"]
OWN = ["mulino", "libri", "baita", "sentiero"]
NEAR, FAR = "vicino", "lontano"  # the negatives of each query
PAIR = "f" * 20


def constant(value: object, kind: type[pl.DataType] | pl.DataType) -> pl.Expr:
    return pl.lit(value, dtype=kind)


def write_queries_and_candidates() -> None:
    score, one = constant(0.9, pl.Float32), constant(1, pl.UInt32)
    asked = pl.DataFrame({"query_id": QUERIES, "text": WORDS, "passage_id": OWN})
    found = asked.with_columns(
        rank=one,
        score=score,
        split=constant("train", pl.Enum(SPLITS)),
        copied=pl.lit(0.0),
        **{name: pl.lit("it") for name in ("origin", "kind", "language")},
    )
    write_table(found, "data/filtered/queries.parquet", FoundQuery)
    hits = asked.select("query_id", rank=pl.lit([1, 2]), passage_id=pl.lit([NEAR, FAR])).explode("rank", "passage_id")
    judged = {"score": score - 0.3, "positive_score": score, "verdict": constant("negative", pl.Enum(VERDICTS))}
    write_table(
        hits.with_columns(pl.col("rank").cast(pl.UInt32), **judged), "data/mined/candidates.parquet", Candidate
    )


def write_queue() -> None:
    """All four queries as records; the first two are audited, the others active."""
    shown = pl.DataFrame({"record_id": RECORDS, "query_id": QUERIES, "query": WORDS, "passage_id": OWN})
    common = {"candidates": pl.lit([NEAR, FAR]), "mined": pl.lit([True, True]), "stratum": pl.lit("all")}
    score, one = constant(0.3, pl.Float32), constant(1, pl.UInt32)
    write_table(shown.with_columns(margin=score, rank=one, **common), "data/queue/records.parquet", ReviewRecord)
    candidate = pl.struct(passage_id=pl.lit(NEAR), text=pl.lit(""), score=score, verdict=pl.lit("negative"))
    items = shown.with_columns(
        purpose=pl.Series(["audit", "audit", "active", "active"], dtype=pl.Enum(PURPOSES)),
        position=one,
        why=pl.lit("w"),
        passage=pl.lit(""),
        candidates=pl.concat_list(candidate),
    )
    write_table(items, "data/queue/retrieval.parquet", QueueItem)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four queries with two negatives each, one pair, no answers yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"shared": {"seed": 1}, "curate": {"replicates": 50}}))
    (tmp_path / "data/annotations").mkdir(parents=True)
    write_queries_and_candidates()
    write_queue()
    write_table(empty(Judged), "data/generated/judged.parquet", Judged)
    pair = {"pair_id": [PAIR], "sentence1": ["a"], "sentence2": ["b"], "score": [0.5]}
    train = pl.DataFrame(pair).with_columns(split=constant("train", pl.Enum(SPLITS)))
    write_table(train, "data/prepared/pairs.parquet", SentencePair)
    return tmp_path


def write_judged(*scores: float) -> None:
    """What an LLM thinks of the queries beside their own passages, in their order."""
    grades = dict.fromkeys(("answerable", "specific", "fluent", "language"), constant(3, pl.UInt8))
    rows = pl.DataFrame({"text": WORDS[: len(scores)], "passage_id": OWN[: len(scores)], "judge_score": scores})
    write_table(rows.with_columns(judge=pl.lit("m@1"), **grades), "data/generated/judged.parquet", Judged)


def curated(
    project: Path, *answers: tuple[str, str, str, Any], records: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Run the stage on (record, question, annotator, value) and return its report."""
    lines = [
        {"record_id": record, "question": question, "annotator": who, "value": value}
        | {"status": "submitted", "submitted_at": f"2026-11-20T10:00:{second:02}Z"}
        for second, (record, question, who, value) in enumerate(answers)
    ]
    for name, rows in (("one", lines), ("one.records", records)):
        (project / f"data/annotations/{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    main()
    return dict(json.loads((project / "reports/curation.json").read_text()))


def table(name: str, schema: type[dy.Schema]) -> pl.DataFrame:
    return read_table(f"data/curated/{name}.parquet", schema)


def test_without_answers_everything_stands(project: Path) -> None:
    report = curated(project)
    assert table("queries", CuratedQuery)["query_id"].to_list() == QUERIES
    assert table("positives", Positive)["source"].unique().to_list() == ["own"]
    assert table("negatives", Negative).height == 8
    assert (report["answers"], report["queries_out"], report["false_negative_rate"]["rate"]) == (0, {}, None)


def test_bad_queries_go_out_and_are_saved_by_a_rewrite(project: Path) -> None:
    report = curated(
        project,
        (RECORDS[0], "query_quality", "a", "vague"),
        (RECORDS[1], "query_quality", "a", "not_answerable"),
        (RECORDS[1], "rewrite", "a", "chi presta i libri?"),
    )
    assert table("queries", CuratedQuery).filter(pl.col("rewritten_from").is_not_null())["text"].to_list() == [
        "chi presta i libri?"
    ]
    assert table("rejected", Rejected).select("item", "item_id", "reason").rows() == [("query", QUERIES[0], "quality")]
    assert (report["queries_out"], report["queries_rewritten"], report["negatives_out"]) == ({"quality": 1}, 1, 2)


def test_false_negatives_are_promoted_and_a_query_without_positives_goes_out(project: Path) -> None:
    report = curated(project, (RECORDS[0], "relevant", "a", [OWN[0], NEAR]), (RECORDS[1], "relevant", "a", []))
    assert table("positives", Positive).filter(source="judged").rows() == [(QUERIES[0], NEAR, "judged")]
    assert table("negatives", Negative).filter(query_id=QUERIES[0])["passage_id"].to_list() == [FAR]
    assert QUERIES[1] not in table("negatives", Negative)["query_id"].to_list()
    assert (report["negatives_promoted"], report["queries_out"]) == (1, {"no_relevant_passage": 1})


def test_ties_are_left_out_and_counted(project: Path) -> None:
    quality = [(RECORDS[0], "query_quality", who, value) for who, value in (("a", "good"), ("b", "vague"))]
    marks = [(RECORDS[0], "relevant", who, value) for who, value in (("a", [OWN[0], NEAR]), ("b", [OWN[0]]))]
    report = curated(project, *quality, *marks)
    assert report["ties_left_out"] == {"query_quality": 1, "rewrite": 0, "relevant": 1}
    assert QUERIES[0] in table("queries", CuratedQuery)["query_id"].to_list()
    assert table("negatives", Negative).filter(query_id=QUERIES[0])["passage_id"].to_list() == [FAR]


def test_a_pair_gets_peoples_mean_grade(project: Path) -> None:
    report = curated(project, (PAIR, "similarity", "a", 4), (PAIR, "similarity", "b", 5))
    assert table("pairs", SentencePair)["score"].to_list() == [pytest.approx(0.9)]
    assert (report["pairs_regraded"], report["records_judged"]) == (1, 1)


def test_answers_to_records_of_earlier_rounds_still_apply(project: Path) -> None:
    old = {"record_id": "old", "query": WORDS[0], "passage_id": OWN[0], "candidates": [NEAR, "andato"]}
    report = curated(project, ("old", "relevant", "a", [OWN[0], NEAR]), records=[old])
    assert (QUERIES[0], NEAR, "judged") in table("positives", Positive).rows()
    assert report["answers_that_no_longer_fit"] == 0


def test_answers_that_fit_no_record_and_broken_lines_are_counted(project: Path) -> None:
    (project / "data/annotations/zero.jsonl").write_text('{"record_id": \n')
    report = curated(project, ("gone", "query_quality", "a", "vague"), (RECORDS[0], "comment", "a", "mah"))
    assert (report["answers"], report["answers_that_no_longer_fit"], report["records_judged"]) == (2, 1, 1)
    assert report["lines_left_out"] == {"broken_json": 1}
    assert table("rejected", Rejected).select("item_id", "reason").rows() == [("zero:1", "broken_json")]


def test_the_false_negative_rate_comes_from_the_audit_alone(project: Path) -> None:
    marks = [
        (RECORDS[0], [OWN[0]]),
        (RECORDS[1], [OWN[1], NEAR]),
        (RECORDS[2], [NEAR, FAR]),
        (RECORDS[3], [NEAR, FAR]),
    ]
    report = curated(project, *((record, "relevant", "a", value) for record, value in marks))
    found = report["false_negative_rate"]
    assert (found["judged_queries"], found["judged_negatives"], found["false_negatives"]) == (2, 4, 1)
    assert (found["rate"], found["strata"][0]["population"]) == (0.25, 4)


def qualities(*values: str) -> list[tuple[str, str, str, Any]]:
    return [(record, "query_quality", "a", value) for record, value in zip(RECORDS, values, strict=False)]


def test_without_a_judge_there_is_nothing_to_compare_with_people(project: Path) -> None:
    assert curated(project, *qualities("good", "vague"))["llm_judge"] is None


def test_the_judges_scores_are_compared_with_peoples_word(project: Path) -> None:
    write_judged(0.95, 0.75, 0.85, 0.5)
    found = curated(project, *qualities("good", "good", "vague", "not_answerable"))["llm_judge"]
    assert (found["pairs"], found["good"], found["auc"]) == (4, 2, 0.75)
    assert 0 <= found["auc_low"] <= 0.75 <= found["auc_high"] <= 1
    assert [(each["from"], each["pairs"], each["good"]) for each in found["bins"]] == [
        (0.5, 1, 0),
        (0.7, 1, 1),
        (0.8, 1, 0),
        (0.9, 1, 1),
    ]


def test_a_judge_whom_nobody_checked_has_no_figures(project: Path) -> None:
    write_judged(0.95, 0.75)
    found = curated(project)["llm_judge"]
    assert (found["pairs"], found["auc"], found["auc_low"], found["bins"]) == (0, None, None, [])


def test_what_people_said_in_earlier_rounds_counts_and_their_ties_do_not(project: Path) -> None:
    write_judged(0.95, 0.75, 0.85)
    old = {"record_id": "old", "query": WORDS[0], "passage_id": OWN[0], "candidates": [NEAR]}
    said = [("old", "query_quality", "a", "good"), *qualities("good", "vague")[1:]]
    tied = [(RECORDS[2], "query_quality", who, value) for who, value in (("a", "good"), ("b", "vague"))]
    found = curated(project, *said, *tied, records=[old])["llm_judge"]
    assert (found["pairs"], found["good"], found["auc"]) == (2, 1, 1.0)


ANSWERS = dict.fromkeys(("record_id", "question", "annotator", "value", "submitted_at", "round"), pl.String)


def marks(*rows: tuple[str, str, list[str]]) -> pl.DataFrame:
    """Answers on passages: (record_id, annotator, marked)."""
    told = [(record, "relevant", who, json.dumps(value), "t", "a") for record, who, value in rows]
    return pl.DataFrame(told, schema=ANSWERS, orient="row")


def test_agreement_on_passages_is_measured_on_the_candidates_alone() -> None:
    records = pl.DataFrame({"record_id": RECORDS[:2], "query": WORDS[:2], "passage_id": OWN[:2]}).with_columns(
        candidates=pl.lit([NEAR, FAR])
    )
    told = marks(
        *((RECORDS[n], "a", [OWN[n], NEAR]) for n in (0, 1)), *((RECORDS[n], "b", [OWN[n], FAR]) for n in (0, 1))
    )
    found = agreement(Judgements(told, records), CurateParams(seed=1, replicates=20))["relevant"]
    assert found["units"] == 4  # the queries' own passages, which both marked in both records, are not counted
    assert found["alpha"] < 0  # on the candidates they never agree


def test_an_audited_tie_and_a_passage_kept_out_by_a_margin_are_no_judged_negatives() -> None:
    records = pl.DataFrame({"record_id": ["r"], "query": ["chi"], "passage_id": ["p"], "stratum": ["s"]}).with_columns(
        candidates=pl.lit([NEAR, FAR, "margine"]), mined=pl.lit([True, True, False])
    )
    queue = pl.DataFrame({"record_id": ["r"], "purpose": ["audit"]})
    told = marks(("r", "a", ["p", NEAR, "margine"]), ("r", "b", ["p", "margine"]))
    assert audited(told, records, queue).rows() == [("r", "s", 1, 0)]
