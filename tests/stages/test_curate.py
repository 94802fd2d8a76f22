import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
import yaml

from nestling.tables.corpus import SPLITS, Passage, Rejected, SentencePair
from nestling.tables.io import empty, read_table, write_table
from nestling.tables.queries import FoundPositive, FoundQuery, Judged
from nestling.tables.retrieval import VERDICTS, Candidate
from nestling.tables.review import PURPOSES, CuratedQuery, Disagreement, Negative, Positive, QueueItem, ReviewRecord
from stages.curate import main

QUERIES = [f"{n:020x}" for n in range(4)]
RECORDS = [f"{n:020x}" for n in range(16, 20)]
WORDS = ["chi macina", "chi presta", "quando apre", "dove si sale"]
OWN = [f"{n:020x}" for n in range(32, 36)]
NEAR, FAR = "a" * 20, "b" * 20  # the negatives of each query
GONE = "c" * 20  # a passage that the corpus had once
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
    write_table(found.with_columns(document_id=pl.lit("x")), "data/filtered/positives.parquet", FoundPositive)
    hits = asked.select("query_id", rank=pl.lit([1, 2]), passage_id=pl.lit([NEAR, FAR])).explode("rank", "passage_id")
    judged = {
        "score": score - 0.3,
        "positive_score": score,
        "mean_score": score * 0.0,
        "verdict": constant("negative", pl.Enum(VERDICTS)),
    }
    write_table(
        hits.with_columns(pl.col("rank").cast(pl.UInt32), **judged), "data/mined/candidates.parquet", Candidate
    )


def write_corpus() -> None:
    """The queries' own passages and their negatives."""
    passages = pl.DataFrame({"passage_id": [*OWN, NEAR, FAR]}).with_columns(
        start=constant(0, pl.UInt32),
        end=constant(1, pl.UInt32),
        licence=constant(None, pl.String),
        split=constant("train", pl.Enum(SPLITS)),
        **{name: pl.lit("x") for name in ("document_id", "title", "text", "language", "group_id")},
    )
    write_table(passages, "data/prepared/passages.parquet", Passage)


def write_queue() -> None:
    """All four queries as records; the first two are audited, the others active."""
    shown = pl.DataFrame({"record_id": RECORDS, "query_id": QUERIES, "query": WORDS, "passage_id": OWN})
    common = {"candidates": pl.lit([NEAR, FAR]), "mined": pl.lit([True, True]), "stratum": pl.lit("all")}
    common |= {"origin": pl.lit("recorded")}
    score, one = constant(0.3, pl.Float32), constant(1, pl.UInt32)
    write_table(shown.with_columns(margin=score, rank=one, **common), "data/queue/records.parquet", ReviewRecord)
    candidate = pl.struct(passage_id=pl.lit(NEAR), text=pl.lit(""), score=score, verdict=pl.lit("negative"))
    items = shown.with_columns(
        purpose=pl.Series(["audit", "audit", "active", "active"], dtype=pl.Enum(PURPOSES)),
        position=one,
        rank=one,
        positive_score=score,
        margin=score,
        candidates=pl.concat_list(candidate),
        **{name: pl.lit("x") for name in ("why", "kind", "language", "origin", "passage", "stratum")},
    )
    write_table(items, "data/queue/retrieval.parquet", QueueItem)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four queries with two negatives each, one pair, no answers yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({"shared": {"seed": 1}, "curate": {"replicates": 50, "width": 0.1}})
    )
    (tmp_path / "data/annotations").mkdir(parents=True)
    write_queries_and_candidates()
    write_corpus()
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


def test_further_labelled_positives_stand_until_people_say_no_and_outlive_the_best(project: Path) -> None:
    labelled = read_table("data/filtered/positives.parquet", FoundPositive)
    further = labelled[:2].with_columns(passage_id=pl.lit(FAR))
    write_table(pl.concat([labelled, further]), "data/filtered/positives.parquet", FoundPositive)
    curated(project)
    of_first = pl.col("query_id") == QUERIES[0]
    assert set(table("positives", Positive).filter(of_first)["passage_id"]) == {OWN[0], FAR}
    curated(project, (RECORDS[0], "relevant", "a", []), (RECORDS[1], "relevant", "a", [FAR]))
    kept = table("positives", Positive)
    assert kept.filter(of_first).is_empty()
    assert kept.filter(query_id=QUERIES[1]).select("passage_id", "source").rows() == [(FAR, "judged")]


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
    assert (report["false_negative_rate"]["ties"], report["false_negative_rate"]["ties_as_yes"]) == (1, 0.5)
    assert QUERIES[0] in table("queries", CuratedQuery)["query_id"].to_list()
    assert table("negatives", Negative).filter(query_id=QUERIES[0])["passage_id"].to_list() == [FAR]


def test_what_people_refuse_is_a_certified_negative_also_where_a_margin_kept_it_out(project: Path) -> None:
    hits = read_table("data/mined/candidates.parquet", Candidate)
    margin = pl.when(pl.col("passage_id") == NEAR).then(pl.lit("margin")).otherwise(pl.lit("negative"))
    write_table(hits.with_columns(verdict=margin.cast(pl.Enum(VERDICTS))), "data/mined/candidates.parquet", Candidate)
    report = curated(project, (RECORDS[0], "relevant", "a", [OWN[0]]))
    found = table("negatives", Negative).filter(query_id=QUERIES[0])
    assert found.select("passage_id", "certified").rows() == [(NEAR, True), (FAR, True)]
    assert table("negatives", Negative).filter(query_id=QUERIES[1])["passage_id"].to_list() == [FAR]
    assert (report["negatives_certified"], report["certified_that_the_miner_left_out"]) == (2, 1)
    assert report["negatives_out"] == 0


def test_a_pair_gets_peoples_mean_grade(project: Path) -> None:
    report = curated(project, (PAIR, "similarity", "a", 4), (PAIR, "similarity", "b", 5))
    assert table("pairs", SentencePair)["score"].to_list() == [pytest.approx(0.9)]
    assert (report["pairs_regraded"], report["records_judged"]) == (1, 1)


def test_answers_to_records_of_earlier_rounds_still_apply(project: Path) -> None:
    old = {"record_id": "old", "query": WORDS[0], "passage_id": OWN[0], "candidates": [NEAR, GONE]}
    report = curated(project, ("old", "relevant", "a", [OWN[0], NEAR]), records=[old])
    assert (QUERIES[0], NEAR, "judged") in table("positives", Positive).rows()
    assert report["answers_that_no_longer_fit"] == 0


def test_a_passage_that_left_the_corpus_is_never_made_a_positive(project: Path) -> None:
    old = {"record_id": "old", "query": WORDS[0], "passage_id": OWN[0], "candidates": [GONE]}
    report = curated(project, ("old", "relevant", "a", [OWN[0], GONE]), records=[old])
    assert GONE not in table("positives", Positive)["passage_id"]
    assert (report["answers_that_no_longer_fit"], report["no_longer_fit"]["passages_judged"]) == (0, 1)


def test_answers_on_queries_and_pairs_that_are_gone_are_counted_and_change_nothing(project: Path) -> None:
    old = {"record_id": "old", "query": "parole di ieri", "passage_id": OWN[0], "candidates": [NEAR]}
    said = [("old", name, "a", value) for name, value in (("query_quality", "vague"), ("relevant", [OWN[0], NEAR]))]
    tied = [("old", "query_quality", "b", "good"), ("0" * 20, "similarity", "a", 1)]
    report = curated(project, *said, *tied, records=[old])
    assert report["no_longer_fit"]["causes"] == {
        "record_unknown": 0,
        "query_gone": 3,
        "passages_gone": 0,
        "pair_gone": 1,
    }
    assert (report["queries_out"], report["negatives_promoted"], report["pairs_regraded"]) == ({}, 0, 0)
    assert (report["ties_left_out"]["query_quality"], table("disagreements", Disagreement).height) == (0, 0)
    assert report["agreement"]["query_quality"]["units"] == 1  # people differed, whatever became of the query


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
    assert found["population"] == "mined negatives of 4 recorded queries"


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


def test_the_false_negative_rate_is_broken_down(project: Path) -> None:
    report = curated(project, *((record, "relevant", "a", [NEAR]) for record in RECORDS[:2]))
    found = report["false_negative_rate"]
    assert [(each["from"], each["rate"], each["judged_queries"]) for each in found["by_rank"]] == [
        (1, 1, 2),
        (2, 0, 2),
    ]
    assert [(each["stratum"], each["rate"]) for each in found["by_margin"]] == [("all", 0.5)]
    assert [(each["from"], each["to"], each["judged_negatives"]) for each in found["by_score"]] == [(0.6, 0.7, 4)]


def test_people_are_compared_by_twos_and_each_with_the_rest(project: Path) -> None:
    votes = [(RECORDS[n], "query_quality", who, "good") for n in range(3) for who in "abc"]
    report = curated(
        project, *votes, (RECORDS[3], "query_quality", "a", "vague"), (RECORDS[3], "query_quality", "b", "good")
    )
    found = report["agreement"]["query_quality"]
    assert [(each["annotators"], each["units"], each["observed"]) for each in found["pairs"]] == [
        (["a", "b"], 4, 0.75),
        (["a", "c"], 3, 1),
        (["b", "c"], 3, 1),
    ]
    assert [(each["annotator"], each["units"]) for each in found["with_the_rest"]] == [("a", 4), ("b", 4), ("c", 3)]
    assert report["by_annotator"]["c"] == {"answers": 3, "records": 3, "as_referee": 0}


def referee(project: Path, record: str, question: str, value: Any) -> None:
    """Write what a referee said, in a round of its own."""
    line = {"record_id": record, "question": question, "annotator": "zoe", "value": value, "referee": True}
    line |= {"status": "submitted", "submitted_at": "2026-11-21T10:00:00Z"}
    with (project / "data/annotations/two.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_disagreements_are_listed_until_a_referee_settles_them(project: Path) -> None:
    split = [(RECORDS[0], "query_quality", who, value) for who, value in (("a", "good"), ("b", "vague"))]
    marks = [(RECORDS[0], "relevant", who, value) for who, value in (("a", [OWN[0], NEAR]), ("b", [OWN[0]]))]
    report = curated(project, *split, *marks)
    assert report["disagreements"]["query_quality"] == report["disagreements"]["relevant"] == {"open": 1, "settled": 0}
    found = table("disagreements", Disagreement)
    assert found.select("record_id", "question", "passage_id", "settled").rows() == [
        (RECORDS[0], "query_quality", None, False),
        (RECORDS[0], "relevant", NEAR, False),
    ]
    assert found["votes"][1].to_list() == [{"annotator": "a", "value": "true"}, {"annotator": "b", "value": "false"}]
    referee(project, RECORDS[0], "query_quality", "good")
    referee(project, RECORDS[0], "relevant", [OWN[0], NEAR])
    report = curated(project, *split, *marks)
    assert report["disagreements"]["query_quality"] == report["disagreements"]["relevant"] == {"open": 0, "settled": 1}
    assert report["ties_left_out"] == {"query_quality": 0, "rewrite": 0, "relevant": 0}
    assert (QUERIES[0], NEAR, "judged") in table("positives", Positive).rows()


def test_a_referee_decides_the_audit_and_says_nothing_of_agreement(project: Path) -> None:
    marks = [(RECORDS[0], "relevant", who, [OWN[0], *more]) for who, more in (("a", [NEAR]), ("b", []))]
    before = curated(project, *marks)
    referee(project, RECORDS[0], "relevant", [OWN[0], NEAR])
    after = curated(project, *marks)
    assert [found["false_negative_rate"]["ties"] for found in (before, after)] == [1, 0]
    assert [found["false_negative_rate"]["false_negatives"] for found in (before, after)] == [0, 1]
    assert after["agreement"] == before["agreement"]


def test_what_was_said_after_a_suggestion_is_applied_and_measures_nothing(project: Path) -> None:
    write_judged(0.95, 0.75)
    blind = [*qualities("good", "vague"), (RECORDS[0], "query_quality", "b", "good")]
    before = curated(project, *blind, (RECORDS[1], "relevant", "a", [OWN[1]]))
    primed = [("query_quality", "c", "vague"), ("query_quality", "d", "vague"), ("relevant", "c", [OWN[0], NEAR])]
    lines = [
        {"record_id": RECORDS[0], "question": question, "annotator": who, "value": value, "suggested": True}
        | {"status": "submitted", "submitted_at": "2026-11-20T10:00:00Z"}
        for question, who, value in [*primed, ("query_quality", "e", "vague")]
    ]
    (project / "data/annotations/primed.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    after = curated(project, *blind, (RECORDS[1], "relevant", "a", [OWN[1]]))
    assert [report["suggested_answers"] for report in (before, after)] == [0, 4]
    assert after["unconfirmed"] == {"query_quality": 0, "relevant": 3}  # c alone spoke of the passages
    assert table("positives", Positive).filter(source="judged").is_empty()
    for measure in ("false_negative_rate", "agreement", "llm_judge"):
        assert after[measure] == before[measure]
    assert (before["queries_out"], after["queries_out"]) == ({"quality": 1}, {"quality": 2})


def test_names_and_comments_may_hold_anything(project: Path) -> None:
    names = ["<script>", "\u202eabc\x00\x1b[31m", "x" * 100_000]
    votes = [
        (RECORDS[0], "query_quality", who, value) for who, value in zip(names, ("good", "vague", "good"), strict=True)
    ]
    report = curated(project, *votes, (RECORDS[0], "comment", names[1], "|\n<b>" * 20_000))
    assert set(report["by_annotator"]) == set(names)
    assert {vote["annotator"] for vote in table("disagreements", Disagreement)["votes"][0]} == set(names)
