import json

import dataframely as dy
import polars as pl
import pytest

from nestling.errors import TableError
from nestling.tables.corpus import Passage, SentencePair, SuiteQrel
from nestling.tables.io import check, empty, read_table, replacing, write_json, write_table, write_text
from nestling.tables.queries import FoundQuery, Query
from nestling.tables.retrieval import Candidate
from nestling.tables.sieve import EXCERPT, reasons, rejected, sieve


class Jar(dy.Schema):
    jar_id = dy.String(primary_key=True, min_length=1)
    size = dy.Int32(min=1, nullable=False)
    label = dy.String(nullable=True)


JARS = pl.DataFrame(
    {"label": ["miele", None, "mosto"], "size": [3, 2, 1], "jar_id": ["c", "a", "b"]},
    schema_overrides={"size": pl.Int32},
)
ID, OTHER = "0" * 20, "1" * 20
PASSAGE = {
    "passage_id": ID, "document_id": "d", "title": "", "text": "Il mulino.", "start": 0, "end": 10, "language": "it",
    "licence": None, "group_id": "d", "split": "train",
}  # fmt: skip
QUERY = {"query_id": ID, "text": "mulino", "origin": "recorded", "kind": "recorded", "language": "it", "split": "dev"}
FOUND = QUERY | {"passage_id": ID, "rank": 1, "score": 0.5, "copied": 0.0}
PAIR = {"pair_id": ID, "sentence1": "uno", "sentence2": "due", "score": 0.5, "split": "train"}
QREL = {"suite": "gold", "query_id": "q", "document_id": "d", "relevance": 1}
HIT = {
    "query_id": ID,
    "rank": 1,
    "passage_id": ID,
    "score": 0.5,
    "positive_score": 0.9,
    "mean_score": 0.1,
    "verdict": "negative",
}


def frame(schema, *rows):
    return pl.DataFrame(list(rows), schema=empty(schema).schema)


def test_a_table_comes_back_in_the_schemas_order_sorted_by_its_key(tmp_path):
    write_table(JARS.with_columns(extra=1), tmp_path / "deep/jars.parquet", Jar)
    back = read_table(tmp_path / "deep/jars.parquet", Jar)
    assert back.rows() == [("a", 2, None), ("b", 1, "mosto"), ("c", 3, "miele")]
    assert back.columns == ["jar_id", "size", "label"]


def test_same_rows_in_another_order_are_the_same_bytes(tmp_path):
    write_table(JARS, tmp_path / "one", Jar)
    write_table(JARS.reverse().select("size", "jar_id", "label"), tmp_path / "other", Jar)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (JARS.with_columns(size=pl.lit(0, pl.Int32)), "size"),
        (JARS.with_columns(jar_id=pl.lit("a")), "primary_key"),
        (JARS.with_columns(jar_id=pl.lit(None, pl.String)), "jar_id"),
        (JARS.with_columns(size=pl.lit("3")), "size"),
        (JARS.drop("size"), "size"),
        (JARS.drop("jar_id"), "jar_id"),
    ],
)
def test_a_table_that_breaks_a_rule_leaves_the_old_file_untouched(tmp_path, broken, told):
    write_table(JARS, tmp_path / "jars.parquet", Jar)
    before = (tmp_path / "jars.parquet").read_bytes()
    with pytest.raises(TableError, match=rf"^writing .*jars.parquet: not a Jar table \(3 rows\)\. .*{told}") as raised:
        write_table(broken, tmp_path / "jars.parquet", Jar)
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["jars.parquet"]
    assert (tmp_path / "jars.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (Passage, PASSAGE, {"passage_id": "x"}),
        (Passage, PASSAGE, {"end": 0}),
        (Passage, PASSAGE, {"text": ""}),
        (Query, QUERY, {"text": ""}),
        (FoundQuery, FOUND, {"rank": 0}),
        (FoundQuery, FOUND, {"copied": 1.1}),
        (SentencePair, PAIR, {"score": 5.0}),
        (SuiteQrel, QREL, {"relevance": -1}),
        (Candidate, HIT, {"rank": 0}),
    ],
)
def test_each_rule_of_a_table_lets_the_good_row_through_and_stops_the_bad(schema, good, bad):
    assert check(frame(schema, good), schema, "test").height == 1
    with pytest.raises(TableError, match=next(iter(bad)) if "end" not in bad else "span_is_not_empty"):
        check(frame(schema, good | bad), schema, "test")


def test_a_passage_is_judged_once_a_query():
    twice = frame(Candidate, HIT, HIT | {"rank": 2})
    with pytest.raises(TableError, match="a_passage_is_judged_once"):
        check(twice, Candidate, "test")
    assert check(twice.with_columns(passage_id=pl.Series([ID, OTHER])), Candidate, "test").height == 2


@pytest.mark.parametrize("content", [b"", b"not parquet at all", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_named_in_one_line(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(TableError, match=r"x.parquet is not a readable Parquet file: ") as raised:
        read_table(tmp_path / "x.parquet", Jar)
    assert "\n" not in str(raised.value)


def test_a_missing_table_says_which_command_makes_it(tmp_path):
    with pytest.raises(TableError, match=r"x.parquet is missing: run `dvc repro`"):
        read_table(tmp_path / "x.parquet", Jar)


def test_another_table_in_its_place_is_refused_when_read(tmp_path):
    write_table(frame(Query, QUERY), tmp_path / "x.parquet", Query)
    with pytest.raises(TableError, match=r"^reading .*x.parquet: not a Jar table"):
        read_table(tmp_path / "x.parquet", Jar)


def test_a_path_with_stars_names_one_file(tmp_path):
    write_table(JARS, tmp_path / "a[1]*.parquet", Jar)
    assert read_table(tmp_path / "a[1]*.parquet", Jar).height == 3


def test_a_table_without_rows_is_a_table(tmp_path):
    write_table(empty(Passage), tmp_path / "none.parquet", Passage)
    assert read_table(tmp_path / "none.parquet", Passage).is_empty()


def fail(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    write_text("old", tmp_path / "x")
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "x")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


def test_a_report_keeps_order_and_accents_and_refuses_what_json_has_not(tmp_path):
    write_json({"b": "è", "a": [1, 0.5]}, tmp_path / "r.json")
    assert (tmp_path / "r.json").read_text() == '{\n  "b": "è",\n  "a": [\n    1,\n    0.5\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")}, tmp_path / "r.json")
    assert list(json.loads((tmp_path / "r.json").read_text())) == ["b", "a"]
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


RULES = {"short": pl.col("words") >= 3, "rude": pl.col("polite")}


def test_every_row_is_kept_or_rejected_with_the_first_rule_it_breaks():
    rows = pl.DataFrame({"id": ["a", "b", "c"], "words": [2, 5, 5], "polite": [False, False, True]})
    kept, out = sieve(rows, RULES)
    assert (kept["id"].to_list(), out.select("id", "reason").rows()) == (["c"], [("a", "short"), ("b", "rude")])
    assert kept.columns == rows.columns


def test_what_is_not_known_does_not_pass():
    rows = pl.DataFrame({"words": [None, 5], "polite": [True, None]})
    assert sieve(rows, RULES)[1]["reason"].to_list() == ["short", "rude"]


def test_a_rejected_row_keeps_the_beginning_of_its_text_and_the_reasons_are_counted():
    out = pl.DataFrame({"n": [1, 2], "text": ["x" * 900, None], "reason": ["short", "rude"], "of": ["d", None]})
    assert rejected(out, "passage", "n", detail="of").rows() == [
        ("passage", "1", "short", "d", "x" * EXCERPT),
        ("passage", "2", "rude", "", ""),
    ]
    assert reasons(pl.concat([out, out])) == {"rude": 2, "short": 2}
