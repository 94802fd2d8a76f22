"""The rules of the stage on frames of a few rows, and the stage itself in a folder of its own."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.tables.corpus import Passage, Place, RecordedQuery, Rejected
from nestling.tables.io import check, empty, read_table, write_table
from nestling.tables.queries import Answerable, Query
from nestling.tables.sieve import rejected
from stages.generate import GenerateParams, generate, main, tidy

A, B, C, D = (letter * 20 for letter in "abcd")
MILL, FLOUR = "Il mulino apre alle nove del mattino.", "La farina si macina tra due pietre."
BOAT = "A barca regressa ao porto antes do pôr do sol."
EXTRACTIVE = {
    "kind": "extractive", "keywords": 2, "cloze": 1, "titles": 1, "min_words": 2, "max_words": 3, "inflect_share": 0.0,
    "function_words": 0,
}  # fmt: skip


def passages():
    rows = [
        (A, "mill", "Orari", f"Orari\n{MILL}", "it", "train"),
        (B, "mill", "Orari", f"Orari\n{FLOUR}", "it", "train"),
        (C, "boat", "", BOAT, "pt", "dev"),
    ]
    names = ["passage_id", "document_id", "title", "text", "language", "split"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        start=0, end=9, licence=None, group_id="document_id"
    )
    return frame.select(empty(Passage).columns).cast(empty(Passage).schema)


def places():
    return passages().select("document_id", "passage_id")


def recorded(*rows):
    return pl.DataFrame(rows, schema=empty(RecordedQuery).schema, orient="row")


def params(*sources, **changes):
    return GenerateParams.model_validate_json(
        json.dumps({"seed": 1, "sources": sources, "min_words": 1, "max_words": 12} | changes)
    )


def made(*queries, sources=({"kind": "recorded"},), **changes):
    asked = params(*sources, **changes)
    rows, out = tidy(generate(passages(), places(), recorded(*queries), asked), passages(), asked)
    check(rejected(out, "query", "query_id", detail="passage_id"), Rejected, "test")
    return rows, out


def test_a_recorded_query_may_be_answered_by_every_passage_of_its_document():
    rows, _ = made(("q", "mill", "quando apre il mulino"))
    assert rows.select("text", "passage_id", "split").rows() == [
        ("quando apre il mulino", A, "train"),
        ("quando apre il mulino", B, "train"),
    ]
    assert rows["query_id"].unique().to_list() == [content_id("quando apre il mulino", "")]


def test_a_query_of_two_splits_is_never_trained_on():
    rows, _ = made(("q", "mill", "orari"), ("q", "boat", "orari"))
    assert rows["split"].to_list() == ["dev"] * 3
    assert rows["query_id"].n_unique() == 1


def test_a_query_whose_document_was_left_out_is_rejected_and_not_lost():
    rows, out = made(("q", "gone", "dov'è finito"), ("r", "mill", "orari"), ("r", "gone", "orari"))
    assert rows.select("text", "passage_id", "language").unique().height == 2
    assert out.select("text", "reason").rows() == [("dov'è finito", "no_passage"), ("orari", "no_passage")]


def test_a_query_of_a_document_that_was_a_copy_is_answered_by_the_passage_that_was_kept():
    held = pl.concat([places(), pl.DataFrame({"document_id": ["copy"], "passage_id": [A]})])
    rows, _ = tidy(
        generate(passages(), held, recorded(("q", "copy", "orari")), params({"kind": "recorded"})),
        passages(),
        params({"kind": "recorded"}),
    )
    assert rows["passage_id"].to_list() == [A]


def test_a_query_written_twice_in_other_signs_is_one_query_with_both_answers():
    rows, _ = made(("q", "mill", "Orari, ufficio?"), ("r", "boat", "orari ufficio"))
    assert rows["query_id"].n_unique() == 1
    assert set(rows["passage_id"]) == {A, B, C}


def test_every_reason_for_leaving_a_query_out_comes_once():
    queries = ["\x07", "mulino", " ".join("a" * 13), "quando apre"]
    _, out = made(*[(text, "boat", text) for text in queries], ("e", "gone", "chi"), min_words=2)
    assert sorted(out["reason"]) == ["empty", "no_passage", "too_long", "too_short"]


def test_a_querys_control_characters_and_lines_vanish_and_its_markup_stays():
    rows, _ = made(("q", "boat", "a\x00 che\nora <b>../..</b>"))
    assert rows["text"].to_list() == ["a che ora <b>../..</b>"]


def test_queries_cut_out_of_a_passage_do_not_know_its_title_line():
    rows, _ = made(sources=[EXTRACTIVE | {"titles": 0, "cloze": 0}])
    assert set(rows["origin"]) == {"extractive"}
    assert not any("orari" in text for text in rows["text"])
    assert set(rows["passage_id"]) == {A, B, C}


def test_the_same_words_cut_out_of_two_passages_are_two_queries():
    twins = passages().with_columns(text=pl.lit(MILL), title=pl.lit(""))
    rows, _ = tidy(
        generate(twins, places(), recorded(), params(EXTRACTIVE | {"keywords": 0})), twins, params(EXTRACTIVE)
    )
    assert rows["text"].n_unique() == 1
    assert rows["query_id"].n_unique() == 3


def test_every_passage_goes_to_the_llm_and_its_answer_is_data():
    rows, _ = made(sources=[{"kind": "llm", "backend": "echo"}])
    assert rows.select("origin", "kind", "passage_id").rows() == [("llm", "question", name) for name in (A, B, C)]


def test_an_unknown_backend_is_a_sentence():
    with pytest.raises(UserError, match="there is no LLM backend 'gpt'"):
        made(sources=[{"kind": "llm", "backend": "gpt"}])


def test_no_recorded_queries_are_no_error():
    rows, out = made()
    assert (rows.height, out.height) == (0, 0)


def contents():
    return {path.name: path.read_bytes() for path in Path("data/generated").iterdir()}


def test_the_stage_writes_what_it_says_twice_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = {"shared": {"seed": 1}, "generate": params({"kind": "recorded"}, EXTRACTIVE).model_dump(exclude={"seed"})}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    write_table(passages(), "data/prepared/passages.parquet", Passage)
    asked = recorded(("q", "mill", "orari"), ("r", "gone", "chi"))
    write_table(places(), "data/prepared/places.parquet", Place)
    write_table(asked, "data/prepared/recorded.parquet", RecordedQuery)
    main()
    queries = read_table("data/generated/queries.parquet", Query)
    answerable = read_table("data/generated/answerable.parquet", Answerable)
    assert set(answerable["query_id"]) == set(queries["query_id"])
    report = json.loads(Path("reports/generate.json").read_text())
    assert (report["queries"]["recorded"], report["rejected"]) == (1, {"no_passage": 1})
    assert report["passages_with_queries"] == 3
    before = contents()
    main()
    assert contents() == before
