"""The rules of the stage on frames of a few rows, and the stage itself with a real encoder of its own."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from nestling.errors import UserError
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.encoders import StaticParams, make_encoder, save_encoder
from nestling.tables.corpus import SPLITS, Passage
from nestling.tables.io import check, empty, read_table, write_table
from nestling.tables.queries import Answerable, FoundPositive, FoundQuery, LostQuery, Query
from stages.filter import FilterParams, judge, main, may_answer, rank_own

ENCODE = EncodeParams(device="cpu", precision="fp32", batch_size=8)
TEXTS = {
    "a" * 20: "il mulino macina il grano",
    "b" * 20: "la barca torna in porto",
    "c" * 20: "il forno cuoce il pane",
    "d" * 20: "la barca torna in porto",
}
A, B, C, D = TEXTS


def params(**changes):
    given = {
        "current": "models/base", "encode": ENCODE, "max_rank": 2, "trusted_origins": ["recorded"], "max_copied": 0.5,
        "copied_from_words": 3,
    }  # fmt: skip
    return FilterParams(**given | changes)


def ranked(*rows):
    """Rows (text, origin, rank, copied); a query's id is its place."""
    frame = pl.DataFrame(rows, schema=["text", "origin", "rank", "copied"], orient="row").cast({"copied": pl.Float64})
    ids = [f"{number:020x}" for number in range(len(rows))]
    about = {"kind": "k", "language": "it", "split": "train", "passage_id": A, "document_id": "d", "score": 0.5}
    whole = frame.with_columns(pl.Series("query_id", ids), **{name: pl.lit(value) for name, value in about.items()})
    schema = {**empty(FoundQuery).schema, "document_id": pl.String}
    return whole.select(list(schema)).cast(schema)


def judged(*rows, **changes):
    made = judge(ranked(*rows), params(**changes))
    found, lost = made.found, made.lost
    check(found.select(empty(FoundQuery).columns), FoundQuery, "test")
    check(made.positives.select(empty(FoundPositive).columns), FoundPositive, "test")
    check(lost.select(empty(LostQuery).columns), LostQuery, "test")
    assert found.height + lost.height == len(rows)
    reasons = dict(lost.select("query_id", "reason").rows())
    return [reasons.get(f"{number:020x}", "") for number in range(len(rows))]


def test_every_reason_for_losing_a_query_comes_once():
    rows = [
        ("uno due tre", "x", 3, 0.0),
        ("quattro cinque sei", "x", 1, 0.6),
        ("sette", "x", 1, 0.0),
        ("Sette!", "x", 2, 0.0),
    ]
    assert judged(*rows) == ["not_found", "copied", "", "duplicate"]


@pytest.mark.parametrize(("rank", "reason"), [(1, ""), (2, ""), (3, "not_found")])
def test_a_query_stays_up_to_the_rank(rank, reason):
    assert judged(("mulino", "x", rank, 0.0)) == [reason]


def test_trusted_origins_stay_whatever_their_rank():
    assert judged(("mulino", "recorded", 900, 0.0), ("barca", "x", 900, 0.0)) == ["", "not_found"]
    assert judged(("mulino", "recorded", 900, 0.0), trusted_origins=[]) == ["not_found"]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_held_out_queries_stay_whatever_their_rank_and_wording(split):
    rows = ranked(("mulino", "x", 900, 0.0), ("il mulino macina", "x", 1, 1.0))
    made = judge(rows.with_columns(split=pl.lit(split, pl.Enum(SPLITS))), params())
    assert (made.found.height, made.lost.height) == (2, 0)


@pytest.mark.parametrize("ranks", [(1, 900), (900, 1)])
def test_which_held_out_query_of_the_same_words_stays_is_not_asked_of_the_encoder(ranks):
    rows = ranked(*(("mulino", "x", rank, 0.0) for rank in (*ranks, 1)))
    split = pl.Series("split", ["dev", "dev", "train"], dtype=pl.Enum(SPLITS))
    assert judge(rows.with_columns(split), params()).found["query_id"].to_list() == [f"{0:020x}"]


@pytest.mark.parametrize("rank", [1, 900])
def test_no_other_query_of_the_same_words_drives_out_a_trusted_one(rank):
    assert judged(("il mulino", "x", rank, 0.0), ("Il mulino?", "recorded", 800, 0.0))[1] == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("il mulino", ""),
        ("il mulino macina", "copied"),
        ("几点", ""),
        ("图书馆几点开门", "copied"),
        ("เปิด", ""),
        ("ห้องสมุดเปิดกี่โมง", "copied"),
    ],
)
def test_short_queries_may_be_copied(text, reason):
    assert judged((text, "x", 1, 1.0)) == [reason]


def test_trusted_queries_may_not_be_copied():
    assert judged(("il mulino macina", "recorded", 1, 1.0)) == ["copied"]


def test_of_the_same_words_the_best_ranked_stays_and_ties_go_to_the_smaller_id():
    assert judged(("mulino", "x", 2, 0.0), ("Mulino", "x", 1, 0.0), ("mulino!", "x", 1, 0.0)) == [
        "duplicate",
        "",
        "duplicate",
    ]


def test_a_query_that_is_lost_is_nobodys_original():
    assert judged(("il mulino macina", "x", 1, 1.0), ("il mulino macina", "x", 2, 0.2)) == ["copied", ""]


def test_queries_without_words_are_alike_only_if_equal():
    assert judged(("?", "x", 1, 0.0), ("!", "x", 1, 0.0), ("?", "x", 2, 0.0)) == ["", "", "duplicate"]


def several(*rows):
    """Rows (passage, rank, copied) of one query, each of a document of its own."""
    frame = pl.concat([ranked(("il mulino macina", "x", rank, copied)) for _, rank, copied in rows])
    names = pl.Series([name for name, *_ in rows])
    return frame.with_columns(passage_id=names, document_id=names)


def test_every_document_that_a_query_names_gives_a_positive_and_one_that_is_lost_leaves_its_reason():
    made = judge(several((A, 2, 0.0), (B, 1, 0.0), (C, 9, 0.0), (D, 1, 1.0)), params())
    assert made.found.select("passage_id", "rank").rows() == [(B, 1)]
    assert made.positives["passage_id"].to_list() == [B, A]
    assert made.lost.select("passage_id", "reason").sort(pl.all()).rows() == [(C, "not_found"), (D, "copied")]


def test_a_trusted_query_keeps_all_its_positives_whatever_their_rank():
    rows = several((A, 2, 0.0), (B, 900, 0.0)).with_columns(origin=pl.lit("recorded"))
    assert judge(rows, params()).positives["passage_id"].to_list() == [A, B]


def test_a_query_whose_positives_all_go_is_lost_with_a_reason_for_each():
    made = judge(several((A, 9, 0.0), (B, 8, 0.0)), params())
    assert (made.found.height, made.positives.height) == (0, 0)
    assert made.lost["reason"].to_list() == ["not_found"] * 2


def test_what_the_same_words_were_asked_of_may_answer_the_query_that_stays():
    asked = queries("cuoce pane", "Cuoce pane!", "barca porto")
    found = may_answer(asked[:1], asked, answers((0, C), (1, A), (2, B)))
    assert sorted(found.select("query_id", "passage_id").rows()) == [(f"{0:020x}", A), (f"{0:020x}", C)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A static encoder made of the four texts."""
    made = tmp_path_factory.mktemp("encoder") / "models/base"
    made.parent.mkdir()
    kind = StaticParams(kind="static", dims=3, views={"word": 1.0}, saturation=1.2, max_features=100)
    texts = list(TEXTS.values())
    save_encoder(make_encoder(kind, texts, texts, 1), made)
    return made


def passages():
    rows = pl.DataFrame({"passage_id": list(TEXTS), "text": list(TEXTS.values())}).with_columns(
        document_id="passage_id", title=pl.lit(""), start=0, end=9, language=pl.lit("it"), licence=None,
        group_id="passage_id", split=pl.lit("train"),
    )  # fmt: skip
    return rows.select(empty(Passage).columns).cast(empty(Passage).schema)


def queries(*texts):
    ids = [f"{number:020x}" for number in range(len(texts))]
    frame = pl.DataFrame({"query_id": ids, "text": texts}, schema={"query_id": pl.String, "text": pl.String})
    about = {"origin": "recorded", "kind": "recorded", "language": "it", "split": "train"}
    whole = frame.with_columns(**{name: pl.lit(value) for name, value in about.items()})
    return whole.select(empty(Query).columns).cast(empty(Query).schema)


def answers(*rows):
    """Rows (query, passage[, document that is named])."""
    return pl.DataFrame(
        [(f"{one[0]:020x}", one[1], one[-1], "recorded") for one in rows],
        schema=empty(Answerable).schema,
        orient="row",
    )


def own(folder, tmp_path, texts, pointers):
    encoder = Encoder(folder, ENCODE, tmp_path / "cache")
    found = rank_own(encoder, passages(), queries(*texts), answers(*pointers))
    return found.select("text", "passage_id", "rank").rows()


def test_a_query_finds_the_passage_with_its_words_first(folder, tmp_path):
    found = own(folder, tmp_path, ["macina grano", "cuoce pane", "cuoce pane oggi"], [(0, A), (1, C), (2, A)])
    assert found[:2] == [("macina grano", A, 1), ("cuoce pane", C, 1)]
    assert found[2][2] > 1


def test_of_several_passages_that_may_answer_the_nearest_counts(folder, tmp_path):
    assert own(folder, tmp_path, ["cuoce pane"], [(0, A, "x"), (0, B, "x"), (0, C, "x")]) == [("cuoce pane", C, 1)]


def test_of_every_document_that_is_named_the_nearest_passage_counts(folder, tmp_path):
    named = [(0, A, "x"), (0, C, "x"), (0, B, "y"), (0, C, "z")]
    assert own(folder, tmp_path, ["cuoce pane"], named)[0] == ("cuoce pane", C, 1)
    assert [name for _, name, _ in own(folder, tmp_path, ["cuoce pane"], named)] == [C, B]


def test_equal_passages_share_the_better_rank_and_the_smaller_id_is_named(folder, tmp_path):
    assert own(folder, tmp_path, ["barca porto"], [(0, D)]) == [("barca porto", D, 1)]
    assert own(folder, tmp_path, ["barca porto"], [(0, D, "x"), (0, B, "x")]) == [("barca porto", B, 1)]


@pytest.mark.parametrize("max_rank", [1, 99])
def test_a_query_that_shares_nothing_with_any_passage_is_not_found(max_rank, folder, tmp_path):
    encoder = Encoder(folder, ENCODE, tmp_path / "cache")
    found = rank_own(encoder, passages(), queries("xqzwv jkkhy"), answers((0, A)))
    assert found.select("rank", "score").rows() == [(len(TEXTS) + 1, 0.0)]
    made = found.with_columns(copied=0.0, origin=pl.lit("extractive"))
    assert judge(made, params(max_rank=max_rank)).lost["reason"].to_list() == ["not_found"]


def test_no_queries_are_no_error(folder, tmp_path):
    assert own(folder, tmp_path, [], []) == []


@pytest.fixture
def project(folder, tmp_path, monkeypatch):
    """A project up to this stage: two queries that are found, one that is copied."""
    monkeypatch.chdir(tmp_path)
    tree = {"shared": {"current": str(folder), "encode": ENCODE.model_dump()}}
    tree["filter"] = params().model_dump(exclude={"current", "encode"})
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    write_table(passages(), "data/prepared/passages.parquet", Passage)
    write_table(queries("grano macinato", "torna barca", "il forno cuoce"), "data/generated/queries.parquet", Query)
    write_table(answers((0, A), (1, B, "x"), (1, D, "x"), (2, C)), "data/generated/answerable.parquet", Answerable)


@pytest.mark.usefixtures("project")
def test_the_stage_keeps_every_query_in_one_of_two_tables():
    main()
    found = read_table("data/filtered/queries.parquet", FoundQuery)
    lost = read_table("data/filtered/lost.parquet", LostQuery)
    assert found.select("text", "passage_id", "rank").rows() == [("grano macinato", A, 1), ("torna barca", B, 1)]
    assert lost.select("text", "reason", "copied").rows() == [("il forno cuoce", "copied", 1.0)]
    report = json.loads(Path("reports/filter.json").read_text())
    assert report == {
        "kept": {"recorded": 2}, "positives": 2, "lost": {"copied": 1}, "positives_lost_alone": {},
        "found_first": {"recorded": 1.0},
    }  # fmt: skip
    assert read_table("data/filtered/positives.parquet", FoundPositive)["document_id"].to_list() == [A, "x"]
    told = read_table("data/filtered/answerable.parquet", Answerable)
    assert told["passage_id"].to_list() == [A, B, D]


@pytest.mark.usefixtures("project")
def test_a_missing_encoder_is_a_sentence_and_nothing_is_written():
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("models/base", "models/gone"))
    with pytest.raises(UserError, match="there is no encoder at"):
        main()
    assert not Path("data/filtered").exists()
