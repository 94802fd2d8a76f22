"""What people's judgements changed, as told on the screen; curate itself makes the tables."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from nestling.commands.review_effect import effect
from nestling.errors import TableError, UserError
from nestling.review.apply import quality
from nestling.review.effect import Built, effect_lines
from nestling.review.fitting import Present, gathered
from nestling.tables.io import empty
from nestling.tables.review import Answer
from nestling.tables.sieve import rejected
from stages.curate import counts, curate

WORDS = ["chi macina", "chi presta", "quando apre"]
FOUND = pl.DataFrame({"query_id": ["q0", "q1", "q2"], "text": WORDS, "passage_id": ["mulino", "libri", "baita"]})
FOUND = FOUND.with_columns(origin=pl.lit("x"), kind=pl.lit("x"), language=pl.lit("it"), split=pl.lit("train"))
PASSAGES = pl.DataFrame({"passage_id": ["mulino", "libri", "baita", "grano", "pane"]})
PASSAGES = PASSAGES.with_columns(text=pl.concat_str(pl.lit("Del "), "passage_id"), split=pl.lit("train"))
PAIRS = pl.DataFrame({"pair_id": ["p0", "p1"], "sentence1": ["a", "c"], "sentence2": ["b", "d"], "score": [0.5, 0.8]})


def built(*said, found=FOUND, passages=PASSAGES):
    """The build before and after (record, question, annotator, value), and curate's counts."""
    rows = [
        (record, question, who, False, False, json.dumps(value), f"t{time}", "a")
        for time, (record, question, who, value) in enumerate(said)
    ]
    answers = pl.DataFrame(rows, schema=empty(Answer).schema, orient="row")
    names = pl.Series([f"r{number}" for number in range(found.height)])
    near = pl.lit(["grano", "pane"])
    records = found.select(record_id=names, query="text", passage_id="passage_id", candidates=near)
    mined = found.select(
        "query_id", rank=pl.lit([1, 2]), passage_id=near, score=pl.lit(0.5), verdict=pl.lit("negative")
    ).explode("rank", "passage_id")
    told = gathered(answers, records, records.clear(), Present(found, passages, PAIRS))
    after = curate(found, mined, PAIRS, told, found.select("query_id", "passage_id"))
    left_out = rejected(after.left_out, "query", "query_id", detail="passage_id")
    out = (after.queries, after.positives, after.negatives, after.pairs, left_out)
    return Built(found, mined, passages, PAIRS, *out, quality(answers, records)), counts(told, after)


def lines(*said, every=False, **before):
    return effect_lines(*built(*said, **before), every)


def test_where_people_confirm_everything_one_line_says_so():
    assert lines(("r0", "query_quality", "a", "good")) == ["1 of 1 answers fit: all of it stands as it was"]


def test_a_query_goes_out_with_people_s_word_for_it_and_takes_its_negatives():
    told = lines(("r0", "query_quality", "a", "vague"), ("r1", "relevant", "a", []))
    assert told == [
        "2 of 2 answers fit: 2 queries out, 4 negatives out",
        "",
        "queries out: 2 (1 no relevant passage, 1 vague)",
        "  chi presta: no passage answers it",
        "  chi macina: people find it vague",
        "",
        "negatives out: 4 (4 went with their query)",
    ]


def test_a_word_that_the_answers_no_longer_have_is_told_as_bad():
    tables, report = built(("r0", "query_quality", "a", "vague"))
    assert "  chi macina: people find it bad" in effect_lines(
        replace(tables, called=tables.called.clear()), report, True
    )


def test_a_query_in_better_words_keeps_its_negatives():
    told = lines(("r0", "query_quality", "a", "vague"), ("r0", "rewrite", "a", "chi macina il grano?"))
    assert told[1:] == ["", "in better words: 1", "  chi macina -> chi macina il grano?"]


def test_better_words_that_no_passage_answers_go_out_under_the_old_ones():
    told = lines(
        ("r0", "rewrite", "a", "chi impasta?"), ("r0", "query_quality", "a", "vague"), ("r0", "relevant", "a", [])
    )
    assert "  chi macina: no passage answers it" in told


def test_of_two_queries_that_come_to_the_same_words_one_is_out_and_the_other_is_found_again():
    found = FOUND.with_columns(
        text=pl.Series(["chi macina", "chi macina?", "quando apre"]), passage_id=pl.lit("mulino")
    )
    told = lines(("r0", "query_quality", "a", "vague"), ("r0", "rewrite", "a", "chi macina?"), found=found)
    assert "  chi macina: in its better words it is there already" in told


def test_a_false_negative_is_told_as_a_positive_and_a_tie_as_a_negative_less():
    marks = [("r0", "relevant", "a", ["mulino", "grano", "pane"]), ("r0", "relevant", "b", ["mulino", "grano"])]
    assert lines(*marks) == [
        "2 of 2 answers fit: 1 passages made positives, 2 negatives out",
        "",
        "passages made positives: 1",
        "  chi macina | Del grano",
        "",
        "negatives out: 2 (1 made positives, 1 that people have not settled)",
        "  chi macina | Del pane | not settled",
    ]


def test_an_own_passage_that_does_not_answer_is_told_where_another_does():
    told = lines(("r0", "relevant", "a", ["grano"]))
    assert told[told.index("passages no longer positives: 1") + 1] == "  chi macina | Del mulino"


def test_grades_are_told_from_0_to_5_and_the_confirmed_are_counted():
    told = lines(("p0", "similarity", "a", 4), ("p1", "similarity", "a", 4))
    assert told[1:] == ["", "pairs regraded: 1 (1 more graded as before)", "  2.5 -> 4: a | b"]


def test_a_long_section_is_cut_unless_all_is_wanted():
    found = pl.concat([FOUND] * 4).with_columns(
        query_id=pl.Series([f"q{n}" for n in range(12)]), text=pl.Series([f"chi {n:02}" for n in range(12)])
    )
    said = [(f"r{number}", "query_quality", "a", "vague") for number in range(12)]
    few, whole = (lines(*said, every=every, found=found) for every in (False, True))
    assert few[3:14] == [*(f"  chi {n:02}: people find it vague" for n in range(10)), "  ... and 2 more: --all"]
    assert whole[3:15] == [f"  chi {n:02}: people find it vague" for n in range(12)]


def test_texts_move_no_cursor_and_are_cut():
    passages = PASSAGES.with_columns(text=pl.lit("a\x1b[2J\u202e\n" + "b" * 500))
    told = lines(("r0", "relevant", "a", ["mulino", "grano"]), passages=passages)
    assert told[3] == f"  chi macina | a?[2J? {'b' * 73}..."


def test_tables_of_two_builds_are_refused():
    tables, report = built(("r0", "query_quality", "a", "vague"))
    with pytest.raises(UserError, match="not of one build: run `dvc repro`"):
        effect_lines(replace(tables, found=FOUND.with_columns(query_id="query_id" + pl.lit("x"))), report, True)


def test_before_anybody_judged_one_sentence_says_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TableError, match=r"curation\.json is missing: run `dvc repro`"):
        effect()
    Path("reports").mkdir()
    Path("reports/curation.json").write_text('{"answers": 0}')
    effect()
    assert "`nestling review pull`" in capsys.readouterr().out
    Path("reports/curation.json").write_text('{"answers": 1}')
    with pytest.raises(TableError, match=r"records\.parquet is missing: run `dvc repro`"):
        effect()
