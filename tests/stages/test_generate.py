"""The rules of the stage on frames of a few rows, and the stage itself in a folder of its own."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import polars as pl
import pytest
import yaml

from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRequest
from nestling.llm.meter import Meter
from nestling.llm.registry import answering
from nestling.llm.response_cache import ResponseCache
from nestling.llm.server_params import KEY
from nestling.queries.writing import write_queries
from nestling.tables.corpus import Passage, Place, Rejected, SplitQuery
from nestling.tables.io import check, empty, read_table, write_table
from nestling.tables.queries import Answerable, Judged, Query
from nestling.tables.sieve import rejected
from stages.generate import CACHE, RESPONSES, GenerateParams, from_recorded, generate, main, tidy
from tests.liar import Liar

A, B, C = (letter * 20 for letter in "abc")
MILL, FLOUR = "Il mulino apre alle nove del mattino.", "La farina si macina tra due pietre."
BOAT = "A barca regressa ao porto antes do pôr do sol."
RECORDED, FROM_LLM = {"kind": "recorded"}, {"kind": "llm"}
EXTRACTIVE = {
    "kind": "extractive", "keywords": 2, "cloze": 1, "titles": 1, "min_words": 2, "max_words": 3, "inflect_share": 0.0,
    "function_words": 0,
}  # fmt: skip
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 64}
JUDGE = {"kind": "writer", "threshold": 0.1, "attempts": 2, "sampling": SAMPLING}
LLM = {
    "model": {"name": "echo", "revision": "a" * 40},
    "backend": {"kind": "echo"},
    "writing": {
        "kinds": {"question": {"queries": 3.0, "min_words": 2, "max_words": 20}},
        "summary_words": 0, "attempts": 2, "sampling": SAMPLING,
    },
    "gates": {
        "min_language_share": 0.05, "language_from_words": 7, "max_copied": 0.9, "copied_from_words": 4,
        "near_duplicate": 0.9, "max_passages": 2,
    },
    "judge": {"kind": "none"},
}  # fmt: skip
SERVER = {
    "kind": "server", "served_as": "liar", "structure": "schema", "in_flight": 1, "tries": 1, "timeout_s": 9.0,
}  # fmt: skip
GONE = object()  # a parameter that is left out


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY, raising=False)


def passages() -> pl.DataFrame:
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


def places() -> pl.DataFrame:
    return passages().select("document_id", "passage_id")


def recorded(*rows: tuple[str, str, str], split: str = "train") -> pl.DataFrame:
    return pl.DataFrame([(*row, split) for row in rows], schema=empty(SplitQuery).schema, orient="row")


def section(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The stage's section of params.yaml; a change of `llm` is named by its dotted path, as in `judge.threshold`."""
    tree = {"sources": list(sources), "min_words": 1, "max_words": 12, "llm": json.loads(json.dumps(LLM))}
    for path, value in changes.items():
        *steps, last = path.split(".")
        place: Any = tree["llm"] if steps or path in LLM else tree
        for step in steps:
            place = place[step]
        place[last] = value
        if value is GONE:
            del place[last]
    return tree


def params(*sources: dict[str, Any], **changes: Any) -> GenerateParams:
    return GenerateParams.model_validate_json(json.dumps({"seed": 1} | section(*sources, **changes)))


def made(
    *queries: tuple[str, str, str],
    sources: Iterable[dict[str, Any]] = (RECORDED,),
    about: pl.DataFrame | None = None,
    held: pl.DataFrame | None = None,
    **changes: Any,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that stay and the rows that go."""
    asked, about = params(*sources, **changes), passages() if about is None else about
    with ResponseCache(CACHE) as cache:
        found = generate(about, places() if held is None else held, recorded(*queries), asked, cache)
    rows, out = tidy(found.rows, about, asked)
    check(rejected(out, "query", "query_id", detail="passage_id"), Rejected, "test")
    return rows, out


def test_a_recorded_query_may_be_answered_by_every_passage_of_its_document() -> None:
    rows, _ = made(("q", "mill", "quando apre il mulino"))
    assert rows.select("text", "passage_id", "split").rows() == [
        ("quando apre il mulino", A, "train"),
        ("quando apre il mulino", B, "train"),
    ]
    assert rows["query_id"].unique().to_list() == [content_id("quando apre il mulino", "")]


def test_a_query_of_two_splits_is_never_trained_on() -> None:
    rows, _ = made(("q", "mill", "orari"), ("q", "boat", "orari"))
    assert rows["split"].to_list() == ["dev"] * 3
    assert rows["query_id"].n_unique() == 1


def test_a_query_that_was_ever_held_out_is_never_trained_on() -> None:
    found = [from_recorded(places(), recorded(("q", "mill", "orari"), split=split)) for split in ("train", "test")]
    splits = [tidy(rows, passages(), params(RECORDED))[0]["split"].unique().to_list() for rows in found]
    assert splits == [["train"], ["test"]]


def test_a_query_whose_document_was_left_out_is_rejected_and_not_lost() -> None:
    rows, out = made(("q", "gone", "dov'è finito"), ("r", "mill", "orari"), ("r", "gone", "orari"))
    assert rows.select("text", "passage_id", "language").unique().height == 2
    assert out.select("text", "reason").rows() == [("dov'è finito", "no_passage"), ("orari", "no_passage")]


def test_a_query_of_a_document_that_was_a_copy_is_answered_by_the_passage_that_was_kept() -> None:
    held = pl.concat([places(), pl.DataFrame({"document_id": ["copy"], "passage_id": [A]})])
    rows, _ = made(("q", "copy", "orari"), held=held)
    assert rows["passage_id"].to_list() == [A]


def test_a_query_written_twice_in_other_signs_is_one_query_with_both_answers() -> None:
    rows, _ = made(("q", "mill", "Orari, ufficio?"), ("r", "boat", "orari ufficio"))
    assert rows["query_id"].n_unique() == 1
    assert set(rows["passage_id"]) == {A, B, C}


def test_every_reason_for_leaving_a_query_out_comes_once() -> None:
    queries = ["\x07", "mulino", " ".join("a" * 13), "quando apre"]
    _, out = made(*[(text, "boat", text) for text in queries], ("e", "gone", "chi"), min_words=2)
    assert sorted(out["reason"]) == ["empty", "no_passage", "too_long", "too_short"]


@pytest.mark.parametrize("text", ["图书馆几点开门", "ห้องสมุดเปิดกี่โมง"])
def test_words_that_no_blank_parts_are_counted_one_by_one(text: str) -> None:
    assert made(("q", "boat", text), min_words=4, max_words=5)[0]["text"].to_list() == [text]
    assert made(("q", "boat", text), max_words=3)[1]["reason"].to_list() == ["too_long"]


def test_a_querys_control_characters_and_lines_vanish_and_its_markup_stays() -> None:
    rows, _ = made(("q", "boat", "a\x00 che\nora <b>../..</b>"))
    assert rows["text"].to_list() == ["a che ora <b>../..</b>"]


def test_queries_cut_out_of_a_passage_do_not_know_its_title_line() -> None:
    rows, _ = made(sources=[EXTRACTIVE | {"titles": 0, "cloze": 0}])
    assert set(rows["origin"]) == {"extractive"}
    assert not any("orari" in text for text in rows["text"])
    assert set(rows["passage_id"]) == {A, B, C}


def test_the_same_words_cut_out_of_two_passages_are_two_queries() -> None:
    twins = passages().with_columns(text=pl.lit(MILL), title=pl.lit(""))
    rows, _ = made(sources=[EXTRACTIVE | {"keywords": 0}], about=twins)
    assert rows["text"].n_unique() == 1
    assert rows["query_id"].n_unique() == 3


def test_no_recorded_queries_are_no_error() -> None:
    rows, out = made()
    assert (rows.height, out.height) == (0, 0)


# --- queries of an LLM


class Scripted:
    """Says the same queries of every passage whose text holds a word."""

    def __init__(self, queries: dict[str, list[str]]) -> None:
        self.queries = queries

    def answer(self, asked: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        for request in asked:
            said = next(texts for word, texts in self.queries.items() if word in request.messages[-1][1])
            yield ChatAnswer(request.key, json.dumps({"question": said}), "stop", 10, 1)

    def close(self) -> None:
        """Free nothing."""


def taught(asked: GenerateParams, **queries: list[str]) -> None:
    """Leave in the cache what a model said of each passage, by a word of its text."""
    with ResponseCache(CACHE) as cache:
        llm = Llm(answering(asked.llm.model, asked.llm.backend), lambda: Scripted(queries), cache, Meter())
        write_queries(llm, passages(), asked.llm.writing, asked.seed)


QUESTION = {"queries": 1.0, "min_words": 2, "max_words": 20}
ONE: dict[str, Any] = {"writing.kinds": {"question": QUESTION}}


def test_every_passage_goes_to_the_llm_and_what_it_says_is_data() -> None:
    rows, _ = made(sources=[FROM_LLM])
    assert rows.select("origin", "kind").unique().rows() == [("llm", "question")]
    assert set(rows["passage_id"]) == {A, B, C}
    assert dict(rows.select("passage_id", "language").unique().rows()) == {A: "it", B: "it", C: "pt"}


def test_a_query_that_two_passages_got_is_one_query_that_both_may_answer() -> None:
    taught(params(FROM_LLM, **ONE), mulino=["Dove si macina?"], farina=["dove si MACINA"], barca=["Onde fica a lota?"])
    rows, _ = made(sources=[FROM_LLM], **ONE)
    same = rows.filter(pl.col("passage_id").is_in([A, B]))
    assert same["query_id"].unique().to_list() == [content_id("dove si macina", "")]
    assert rows["query_id"].n_unique() == 2


def test_a_query_of_the_llm_that_a_person_asked_too_is_one_query_and_the_persons() -> None:
    taught(params(FROM_LLM, **ONE), mulino=["Dove si macina?"], farina=["Quali pietre?"], barca=["Onde fica a lota?"])
    rows, _ = made(("q", "boat", "dove si macina"), sources=[RECORDED, FROM_LLM], **ONE)
    same = rows.filter(pl.col("query_id") == content_id("dove si macina", ""))
    assert same.select("origin", "passage_id", "split").rows() == [("recorded", C, "dev"), ("llm", A, "dev")]


# --- the whole stage


def write_inputs(*queries: tuple[str, str, str]) -> None:
    write_table(passages(), "data/prepared/passages.parquet", Passage)
    write_table(places(), "data/prepared/places.parquet", Place)
    write_table(recorded(*queries), "data/prepared/recorded.parquet", SplitQuery)


def stage(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Run the stage and return its report."""
    tree = {"shared": {"seed": 1}, "generate": section(*sources, **changes)}
    Path("params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    main()
    return dict(json.loads(Path("reports/generate.json").read_text()))


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [*Path("data/generated").iterdir(), RESPONSES]}


def asked_in(report: dict[str, Any]) -> int:
    return int(report["llm"]["run"]["asked"])


TABLES = {"queries.parquet", "answerable.parquet", "judged.parquet", "rejected.parquet", "responses.jsonl"}


def test_the_stage_writes_what_it_says_twice_the_same() -> None:
    write_inputs(("q", "mill", "orari"), ("r", "gone", "chi"))
    report = stage(RECORDED, EXTRACTIVE)
    queries = read_table("data/generated/queries.parquet", Query)
    answerable = read_table("data/generated/answerable.parquet", Answerable)
    assert set(answerable["query_id"]) == set(queries["query_id"])
    assert (report["queries"]["recorded"], report["rejected"]) == (1, {"no_passage": 1})
    assert report["passages_with_queries"] == 3
    before = contents()
    assert stage(RECORDED, EXTRACTIVE) == report
    assert contents() == before


def test_without_an_llm_nothing_is_judged_and_no_answer_is_kept() -> None:
    write_inputs(("q", "mill", "orari"))
    report = stage(RECORDED)
    assert read_table("data/generated/judged.parquet", Judged).height == 0
    assert (RESPONSES.read_bytes(), "llm" in report) == (b"", False)


def test_a_second_run_asks_nothing_and_writes_the_same_bytes() -> None:
    write_inputs(("q", "mill", "orari"))
    first, before = stage(RECORDED, FROM_LLM, judge=JUDGE), contents()
    second = stage(RECORDED, FROM_LLM, judge=JUDGE)
    assert set(before) == TABLES
    assert asked_in(first) == len(RESPONSES.read_text().splitlines()) > 3
    assert asked_in(second) == 0
    assert contents() == before
    del first["llm"]["run"], second["llm"]["run"]
    assert first == second


def test_the_artifact_alone_spares_all_asking_and_without_it_all_is_asked_again() -> None:
    write_inputs()
    first, before = asked_in(stage(FROM_LLM, judge=JUDGE)), contents()
    rmtree(CACHE.parent)
    assert asked_in(stage(FROM_LLM, judge=JUDGE)) == 0
    assert contents() == before
    rmtree(CACHE.parent)
    RESPONSES.unlink()
    assert asked_in(stage(FROM_LLM, judge=JUDGE)) == first
    assert contents() == before


def test_the_cache_alone_spares_all_asking() -> None:
    write_inputs()
    stage(FROM_LLM)
    before = contents()
    RESPONSES.unlink()
    assert asked_in(stage(FROM_LLM)) == 0
    assert contents() == before


def test_answers_outlive_a_run_without_the_llm() -> None:
    write_inputs()
    stage(FROM_LLM)
    rmtree(CACHE.parent)
    stage(EXTRACTIVE)
    assert RESPONSES.read_bytes() == b""
    assert asked_in(stage(FROM_LLM)) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"gates.max_copied": 0.0},
        {"gates.near_duplicate": 0.1},
        {"judge": JUDGE | {"threshold": 0.9}},
        {"max_words": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_what_is_done_with_answers_asks_nothing(change: dict[str, Any]) -> None:
    write_inputs()
    stage(FROM_LLM, judge=JUDGE)
    stored, left_out = CACHE.read_bytes(), Path("data/generated/rejected.parquet").read_bytes()
    with suppress(UserError):  # some leave no query
        assert asked_in(stage(FROM_LLM, **({"judge": JUDGE} | change))) == 0
    assert CACHE.read_bytes() == stored
    assert Path("data/generated/rejected.parquet").read_bytes() != left_out


@pytest.mark.parametrize(
    "change",
    [
        {"writing.sampling.temperature": 0.7},
        {"writing.summary_words": 20},
        {"model.revision": "c" * 40},
        {"writing.kinds.question.queries": 2.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_what_is_asked_asks_everything_again(change: dict[str, Any]) -> None:
    write_inputs()
    stage(FROM_LLM)
    assert asked_in(stage(FROM_LLM, **change)) == 3
    assert len(RESPONSES.read_text().splitlines()) == 3
    assert asked_in(stage(FROM_LLM)) == 0  # nor was anything lost by the change


def test_a_changed_passage_is_asked_about_and_the_others_are_not() -> None:
    write_inputs()
    stage(FROM_LLM)
    other = pl.col("text").replace({BOAT: BOAT.upper()})
    write_table(passages().with_columns(other), "data/prepared/passages.parquet", Passage)
    assert asked_in(stage(FROM_LLM)) == 1


def test_what_left_is_told_with_its_reason_whoever_left_it_out() -> None:
    write_inputs(("r", "gone", "chi"), ("q", "mill", "orari"))
    queries = {"mulino": ["Che cosa apre?"], "farina": ["Di che cosa si parla in questo passaggio?"], "barca": []}
    taught(params(FROM_LLM, **ONE), **queries)
    report = stage(RECORDED, FROM_LLM, **ONE)
    out = read_table("data/generated/rejected.parquet", Rejected).select("item", "reason", "text")
    assert set(out.rows()) == {
        ("passage", "not_json", '{"question": []}'),
        ("query", "no_passage", "chi"),
        ("query", "refers_to_text", "Di che cosa si parla in questo passaggio?"),
    }
    assert report["rejected"] == {"no_passage": 1, "not_json": 1, "refers_to_text": 1}
    assert report["llm"]["passages_without_answer"] == 1


@pytest.mark.parametrize(
    ("sources", "queries", "sentence"),
    [
        ([RECORDED], (), "leave no query of any source, for none made one"),
        ([RECORDED], (("r", "gone", "chi"),), "leave no query of recorded: 1 no_passage: mend"),
        ([RECORDED, EXTRACTIVE], (("r", "gone", "chi"),), "leave no query of recorded: 1 no_passage: mend"),
        ([FROM_LLM, EXTRACTIVE], (), "leave no query of llm: 2 not_json, 1 refers_to_text: mend"),
    ],
)
def test_a_source_that_leaves_no_query_stops_here_and_says_why(sources: Any, queries: Any, sentence: str) -> None:
    write_inputs(*queries)
    said = {"mulino": [], "farina": ["Di che cosa si parla in questo passaggio?"], "barca": []}
    taught(params(FROM_LLM, **ONE), **said)
    with pytest.raises(UserError, match=f"^generate.sources {sentence}"):
        stage(*sources, **ONE)
    written = {path.name for path in Path("data/generated").iterdir()}
    assert written == {"rejected.parquet"}
    out = read_table("data/generated/rejected.parquet", Rejected)
    assert out.height == len(queries) + 3 * (FROM_LLM in sources)


def test_the_reports_figures_add_up() -> None:
    write_inputs(("q", "mill", "orari"))
    report = stage(RECORDED, EXTRACTIVE, FROM_LLM)
    queries = read_table("data/generated/queries.parquet", Query)
    for name in ("queries", "kinds", "splits"):
        assert sum(report[name].values()) == queries.height
    assert report["queries"]["llm"] == sum(sum(each.values()) for each in report["llm"]["queries"].values())
    assert report["passages_with_queries"] == 3


def test_a_run_that_ends_on_the_way_keeps_its_answers() -> None:
    write_inputs()
    server = {"kind": "server", "url": "http://127.0.0.1:9/v1", "served_as": "", "structure": "schema"}
    backend = server | {"in_flight": 1, "tries": 1, "timeout_s": 1.0}
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9"):
        stage(FROM_LLM, judge=JUDGE | {"kind": "llm", "model": {"name": "j", "revision": "j"}, "backend": backend})
    assert not RESPONSES.exists()
    assert asked_in(stage(FROM_LLM)) == 0


def test_a_source_that_refuses_every_passage_is_an_error_and_the_rejects_say_why() -> None:
    write_inputs(("q", "mill", "orari"))
    taught(params(FROM_LLM, **ONE), mulino=[], farina=[], barca=[])
    with pytest.raises(UserError, match=r"^generate.llm: none of 3 passages has an answer \(3 not_json; ") as error:
        stage(RECORDED, FROM_LLM, **ONE)
    assert "\n" not in str(error.value)
    out = read_table("data/generated/rejected.parquet", Rejected)
    assert out.select("item", "reason").unique().rows() == [("passage", "not_json")]
    assert not Path("data/generated/queries.parquet").exists()


def test_a_server_whose_context_holds_no_prompt_is_an_error() -> None:
    write_inputs()
    with Liar(lies={"*": ["context vllm"]}) as server, pytest.raises(UserError, match=r"3 passage_too_long.*context"):
        stage(FROM_LLM, backend=SERVER | {"url": server.url})
    assert read_table("data/generated/rejected.parquet", Rejected).height == 3


def test_a_server_whose_model_has_no_version_is_not_asked() -> None:
    write_inputs()
    with Liar() as server, pytest.raises(UserError, match=r"liar has an empty revision.*today's date"):
        stage(FROM_LLM, backend=SERVER | {"url": server.url}, model={"name": "liar", "revision": " "})
    assert server.bodies == []


# --- parameters


def test_two_sources_of_kind_llm_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^params.yaml: generate: sources hold more than one of kind llm: .*llm$"):
        stage(FROM_LLM, RECORDED, FROM_LLM)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("backend.kind", "gpt", r"generate\.llm\.backend\.kind is 'gpt'.*'echo', 'vllm', 'server', 'ray'"),
        ("backend", GONE, r"generate\.llm\.backend is missing"),
        ("backend", {"kind": "echo", "memory": 0.9}, r"generate\.llm\.backend\.memory is not a parameter"),
        ("model.revision", GONE, r"generate\.llm\.model\.revision is missing"),
        ("model.name", "", r"generate\.llm\.model\.name is '': .*at least 1 character"),
        ("model.path", "x", r"generate\.llm\.model\.path is not a parameter"),
        ("writing.attempts", 0, r"generate\.llm\.writing\.attempts is 0: .*greater than 0"),
        ("writing.summary_words", -1, r"generate\.llm\.writing\.summary_words is -1: .*greater than or equal to 0"),
        ("writing.sampling.temperature", 3.0, r"generate\.llm\.writing\.sampling\.temperature is 3\.0: .*equal to 2"),
        ("writing.sampling.top_p", 0, r"generate\.llm\.writing\.sampling\.top_p is 0: .*greater than 0"),
        ("writing.sampling.max_tokens", 1.5, r"generate\.llm\.writing\.sampling\.max_tokens is 1\.5: .*integer"),
        ("writing.kinds", {}, r"generate\.llm\.writing\.kinds is {}: .*at least 1 item"),
        ("writing.kinds.question.queries", -1, r"generate\.llm\.writing\.kinds\.question\.queries is -1: "),
        ("writing.kinds.question.queries", 0, r"generate\.llm\.writing: kinds ask for no query: set .* above 0"),
        ("writing.kinds.question.min_words", 21, r"kinds\.question: min_words is 21 and max_words 20: no query"),
        ("writing.kinds.poem", 1, r"generate\.llm\.writing\.kinds\.poem"),
        ("gates.near_duplicate", 0, r"generate\.llm\.gates\.near_duplicate is 0: .*greater than 0"),
        ("gates.max_copied", "half", r"generate\.llm\.gates\.max_copied is 'half': .*number"),
        ("judge.kind", "nobody", r"generate\.llm\.judge\.kind is 'nobody'.*'none', 'writer', 'llm'"),
        ("judge", JUDGE | {"threshold": 2.0}, r"generate\.llm\.judge\.threshold is 2\.0: .*equal to 1"),
        ("judge", JUDGE | {"kind": "llm"}, r"generate\.llm\.judge\.model is missing"),
        ("llm", GONE, r"generate\.llm is missing"),
    ],
)
def test_a_parameter_that_cannot_be_is_named_in_one_sentence(path: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        stage(FROM_LLM, **{path: value})
    assert "\n" not in str(error.value)
    assert not Path("data/generated").exists()


def test_what_the_llm_needs_is_looked_at_though_nothing_asks_it() -> None:
    with pytest.raises(UserError, match=r"generate\.llm\.model\.revision is missing"):
        stage(RECORDED, **{"model.revision": GONE})
