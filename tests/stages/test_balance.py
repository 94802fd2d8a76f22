import json

import polars as pl
import pytest
import yaml
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nestling.errors import UserError
from nestling.reporting.cards import data_card
from nestling.tables.corpus import SPLITS, Passage, SentencePair, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.io import empty, read_table, write_table
from nestling.tables.queries import Answerable, Query
from nestling.tables.review import CuratedQuery, Negative, Positive
from nestling.tables.training import RetrievalRow, StsRow
from stages.balance import LEAKS, BalanceParams, main, matched_sizes, resized, retrieval_rows, weighted, with_answers

SETTINGS = {
    "origins": {"recorded": 2.0},
    "heldout": 100,
    "match": "largest",
    "max_repeat": 8.0,
    "contamination": "stop",
    "near_duplicate": {"passages": 0.8, "short": 0.85},
}
PARAMS = BalanceParams(set="prova", seed=1, **SETTINGS)
NAMES = [f"{n:020x}" for n in range(6)]
SPLIT = ["train", "train", "train", "train", "dev", "test"]
WORDS = ["mulino", "biblioteca", "rifugio", "campo", "forno", "museo"]
QUESTIONS = [f"quando apre il {word} del paese e chi tiene le chiavi del {word} nel mese di agosto" for word in WORDS]
TEXTS = [f"chi cerca il {word} trova una casa antica vicino alla piazza dove passa anche la {word}" for word in WORDS]


def but(**changes):
    return PARAMS.model_copy(update=changes)


def number(value):
    return pl.lit(value, dtype=pl.UInt32)


def rows(**origins):
    """Training rows: origin=how many."""
    names = [(f"{origin}{n}", origin) for origin, size in origins.items() for n in range(size)]
    return pl.DataFrame(names, schema=["query_id", "origin"], orient="row").with_columns(
        copy=pl.lit(0, dtype=pl.UInt32)
    )


@given(st.integers(1, 7), st.integers(0, 30), st.integers(0, 3))
def test_a_set_is_repeated_whole_and_the_rest_sampled_once(height, size, copies):
    before = rows(a=height).with_columns(copy=number(copies))
    after = resized(before, size, seed=1)
    assert after.height == size
    assert not after.select("query_id", "copy").is_duplicated().any()
    times = after["query_id"].value_counts()["count"]
    assert size < height or times.max() - times.min() <= 1
    assert after.schema == before.schema


def test_rows_are_taken_as_often_as_their_origin_says():
    often = but(origins={"recorded": 2.5, "extractive": 0.5, "other": 9.0})
    taken = weighted(rows(recorded=4, extractive=4, llm=2), often)
    assert dict(taken["origin"].value_counts().rows()) == {"recorded": 10, "extractive": 2, "llm": 2}


def test_an_origin_taken_no_times_is_left_out():
    assert weighted(rows(recorded=4, llm=2), but(origins={"llm": 0.0}))["origin"].unique().to_list() == ["recorded"]


def test_an_origin_cannot_be_taken_less_than_never():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        BalanceParams(set="prova", seed=1, **SETTINGS | {"origins": {"llm": -1.0}})


@pytest.mark.parametrize(
    ("match", "most", "sizes"),
    [
        ("largest", 8.0, (100, 100)),
        ("largest", 2.5, (100, 50)),
        ("smallest", 8.0, (20, 20)),
        ("none", 8.0, (100, 20)),
    ],
)
def test_sets_are_matched_in_size(match, most, sizes):
    assert matched_sizes(100, 20, but(match=match, max_repeat=most)) == sizes


@pytest.mark.parametrize("match", ["largest", "smallest"])
def test_an_empty_set_leaves_the_other_as_it_is(match):
    assert matched_sizes(100, 0, but(match=match)) == (100, 0)


def test_a_row_a_positive_with_the_querys_negatives_certified_first_then_nearest():
    queries = pl.DataFrame({"query_id": ["q", "r"], "split": "train", "origin": "llm", "text": ["chi", "dove"]})
    positives = pl.DataFrame({"query_id": ["q", "q", "r"], "passage_id": ["a", "b", "a"]})
    ranks = {"rank": [9, 2, 7], "passage_id": list("cde"), "certified": [False, False, True]}
    negatives = pl.DataFrame({"query_id": "q", **ranks})
    passages = pl.DataFrame({"passage_id": list("abcde"), "text": list("ABCDE"), "split": "train"})
    made = retrieval_rows(queries, positives, negatives, passages).sort("query_id", "positive_id")
    assert made.select("anchor", "positive", "negatives").rows() == [
        ("chi", "A", ["E", "D", "C"]),
        ("chi", "B", ["E", "D", "C"]),
        ("dove", "A", []),
    ]


def test_a_row_names_all_that_may_answer_its_query_in_whatever_wording_it_came_but_what_people_refused():
    asked = pl.DataFrame({"query_id": ["q", "q2"], "text": ["chi", "chi?"]})
    answerable = pl.DataFrame({"query_id": ["q", "q", "q", "other"], "passage_id": ["a", "c", "refused", "d"]})
    names = [["a", "b"], ["a", "b"], ["e"]]
    negatives = pl.Series([["refused"], ["refused"], []], dtype=pl.List(pl.String))
    rows = pl.DataFrame({"query_id": ["new", "new", "q2"], "answer_ids": names, "negative_ids": negatives})
    curated = pl.DataFrame({"query_id": ["new", "q2"], "text": ["chi mai", "chi?"], "rewritten_from": ["chi", None]})
    found = with_answers(rows, curated, asked, answerable)
    assert found["answer_ids"].to_list() == [["a", "b", "c"], ["a", "b", "c"], ["e"]]


@pytest.mark.parametrize(
    ("asked", "passage", "row"),
    [("train", "train", "train"), ("train", "dev", None), ("train", "test", None), ("dev", "train", "dev")],
)
def test_a_row_of_a_held_out_passage_is_not_trained_on_and_measures_nothing(asked, passage, row):
    queries = pl.DataFrame({"query_id": ["q"], "split": [asked], "origin": ["llm"], "text": ["chi"]})
    one = pl.DataFrame({"query_id": ["q"], "passage_id": ["a"], "rank": [1], "certified": [False]})
    passages = pl.DataFrame({"passage_id": ["a"], "text": ["A"], "split": [passage]})
    assert retrieval_rows(queries, one, one, passages)["split"].to_list() == [row]


def write_curated():
    split = pl.Series("split", SPLIT, dtype=pl.Enum(SPLITS))
    both = pl.DataFrame({"query_id": NAMES, "passage_id": NAMES, "split": split, "document_id": WORDS})
    told = both.with_columns(language=pl.lit("it"), origin=pl.lit("recorded"), kind=pl.lit("recorded"))
    write_table(told, "data/generated/answerable.parquet", Answerable)
    write_table(told, "data/filtered/answerable.parquet", Answerable)
    asked = told.with_columns(text=pl.Series(QUESTIONS), rewritten_from=pl.lit(None, dtype=pl.String))
    write_table(asked, "data/generated/queries.parquet", Query)
    write_table(asked, "data/curated/queries.parquet", CuratedQuery)
    own = both.with_columns(source=pl.lit("own").cast(pl.Enum(["own", "judged"])))
    write_table(own, "data/curated/positives.parquet", Positive)
    beside = {"passage_id": pl.Series([*NAMES[1:], NAMES[0]]), "rank": number(1), "score": pl.lit(0.5, pl.Float32)}
    beside |= {"certified": pl.lit(False)}
    write_table(both.with_columns(**beside), "data/curated/negatives.parquet", Negative)
    texts = told.with_columns(title=pl.lit(""), text=pl.Series(TEXTS), licence=pl.lit("CC0-1.0"))
    whole = texts.with_columns(start=number(0), end=number(9), group_id="document_id")
    write_table(whole, "data/prepared/passages.parquet", Passage)
    pairs = {"pair_id": NAMES[:2], "sentence1": TEXTS[:2], "sentence2": QUESTIONS[:2], "score": [0.2, 0.8]}
    write_table(pl.DataFrame(pairs).with_columns(split=split[[0, 4]]), "data/curated/pairs.parquet", SentencePair)


def write_suites(queries=(), documents=(), pairs=()):
    """Suite `gold` with queries, documents (text, whether its own) and pairs (two sentences)."""
    asked = [("gold", f"g{n}", text) for n, text in enumerate(queries)]
    shown = [("gold", f"d{n}", 0, text, own) for n, (text, own) in enumerate(documents)]
    graded = [("gold", f"s{n}", *both, 0.5) for n, both in enumerate(pairs)]
    tables = {"queries": (SuiteQuery, asked), "documents": (SuiteDocument, shown), "pairs": (SuitePair, graded)}
    for name, (schema, found) in tables.items():
        frame = pl.DataFrame(found, schema=empty(schema).schema, orient="row")
        write_table(frame, f"data/suites/{name}.parquet", schema)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Six queries, each with its passage and another's as a negative: four to train on; a pair; a suite of nothing."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, "stop")
    write_curated()
    write_suites()
    return tmp_path


def write_params(folder, contamination):
    tree = {"shared": {"set": "prova", "seed": 1}, "balance": SETTINGS | {"contamination": contamination}}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def balanced(project):
    main()
    report = json.loads((project / "reports/balance.json").read_text())
    return report, read_table("data/balanced/retrieval/train.parquet", RetrievalRow)


def test_both_sets_are_built_with_their_factors_and_the_test_split_is_a_suite(project):
    report, train = balanced(project)
    assert report["retrieval"] == {"rows": 8, "unique": 4, "factor": 2.0, "dev": 1}
    assert report["sts"] == {"rows": 8, "unique": 1, "factor": 8.0, "dev": 1}
    assert train["query_id"].unique().sort().to_list() == NAMES[:4]
    held_out = read_table("data/heldout/queries.parquet", SuiteQuery).rows()
    assert held_out == [("heldout.recorded", NAMES[5], QUESTIONS[5])]
    assert read_table("data/heldout/qrels.parquet", SuiteQrel)["document_id"].to_list() == ["museo"]


def test_the_same_inputs_give_the_same_bytes(project):
    balanced(project)
    files = {path: path.read_bytes() for path in project.glob("data/balanced/**/*.*")}
    balanced(project)
    assert files == {path: path.read_bytes() for path in project.glob("data/balanced/**/*.*")}


LEAKING = {
    "a query": {"queries": [QUESTIONS[0]]},
    "a query in other case and signs": {"queries": [f"«{QUESTIONS[0].upper()}»?"]},
    "nearly a query": {"queries": [f"{QUESTIONS[0]} oggi"]},
    "a positive": {"documents": [(TEXTS[0], True)]},
    "a pair": {"pairs": [(TEXTS[0], QUESTIONS[0])]},
    "a pair the other way round": {"pairs": [(QUESTIONS[0], f"{TEXTS[0]} antica")]},
}


@pytest.mark.parametrize("leaking", LEAKING.values(), ids=LEAKING)
def test_what_stands_in_a_suite_stops_the_build_and_is_named(project, leaking):
    write_suites(**leaking)
    with pytest.raises(UserError, match=r"stand in an evaluation suite.*gold (query|document|pair) '[gds]0' \("):
        main()
    assert {json.loads(line)["suite"] for line in LEAKS.read_text().splitlines()} == {"gold"}
    assert not (project / "data/balanced").exists()


@pytest.mark.parametrize("leaking", LEAKING.values(), ids=LEAKING)
def test_what_stands_in_a_suite_is_dropped_and_counted_if_asked(project, leaking):
    write_params(project, "drop")
    write_suites(**leaking)
    report, train = balanced(project)
    pairs = read_table("data/balanced/sts/train.parquet", StsRow)
    assert report["leaks_dropped"] == len(LEAKS.read_text().splitlines()) > 0
    assert pairs.is_empty() or NAMES[0] not in train["query_id"].to_list()


SHORT = "come rinnovare la carta d'identità scaduta"
NEARLY = "come rinnovo la carta d'identità scaduta?"


def ask(text, origin, place=0):
    """Have one of the queries ask something else, as from another origin."""
    this = pl.col("query_id") == NAMES[place]
    told = [
        pl.when(this).then(pl.lit(new)).otherwise(column).alias(column)
        for column, new in {"text": text, "origin": origin}.items()
    ]
    tables = {"data/generated/queries.parquet": Query, "data/curated/queries.parquet": CuratedQuery}
    for path, schema in tables.items():
        write_table(read_table(path, schema).with_columns(told), path, schema)


@pytest.mark.parametrize("origin", ["llm", "extractive"])
@pytest.mark.parametrize("contamination", ["stop", "drop"])
@pytest.mark.parametrize("text", [SHORT, NEARLY])
def test_a_generated_query_that_meets_a_suite_goes_out_and_the_build_goes_on(project, origin, contamination, text):
    write_params(project, contamination)
    ask(text, origin)
    write_suites(queries=[SHORT])
    report, train = balanced(project)
    assert NAMES[0] not in train["query_id"].to_list()
    assert (report["leaks_dropped"], report["leaks_by_origin"]) == (1, {origin: 1})
    (leak,) = map(json.loads, LEAKS.read_text().splitlines())
    assert (leak["train_origin"], leak["coincidence"], leak["train_text"]) == (origin, True, text)


def test_a_recorded_query_that_nearly_equals_a_suites_stops_the_build_and_is_told_from_a_coincidence(project):
    ask(NEARLY, "recorded")
    ask(SHORT, "llm", place=1)
    write_suites(queries=[SHORT])
    with pytest.raises(UserError, match=r"^1 training texts stand in an evaluation suite.*coincidence: false"):
        main()
    found = {leak["train_id"]: leak["coincidence"] for leak in map(json.loads, LEAKS.read_text().splitlines())}
    assert found == {NAMES[0]: False, NAMES[1]: True}


def test_a_generated_dev_query_that_meets_a_suite_chooses_no_checkpoint(project):
    ask(NEARLY, "llm", place=4)
    write_suites(queries=[SHORT])
    report, _ = balanced(project)
    assert (report["leaks_by_origin"], report["retrieval"]["dev"]) == ({"llm": 1}, 0)


@pytest.mark.parametrize("held", [4, 5], ids=["dev", "test"])
@pytest.mark.parametrize("origin", ["recorded", "extractive"])
def test_a_short_training_query_that_nearly_equals_a_held_out_one_is_dropped_and_counted(project, held, origin):
    ask(SHORT, "recorded", place=held)
    ask(NEARLY, origin)
    report, train = balanced(project)
    assert (report["repeats_of_dev_and_test_dropped"], report["repeats_by_origin"]) == (1, {origin: 1})
    assert NAMES[0] not in train["query_id"].to_list()
    assert report["leaks_dropped"] == 0


def test_a_dev_query_that_nearly_equals_a_held_out_one_chooses_no_checkpoint(project):
    ask(SHORT, "recorded", place=5)
    ask(NEARLY, "recorded", place=4)
    report, _ = balanced(project)
    assert (report["retrieval"]["dev"], report["heldout_queries"]) == (0, 1)


def test_a_leaking_negative_alone_is_taken_from_its_row(project):
    write_params(project, "drop")
    write_suites(documents=[(TEXTS[4], True)])  # a passage of the dev split, a negative of the fourth query
    _, train = balanced(project)
    assert train.filter(query_id=NAMES[3])["negatives"].to_list() == [[], []]
    assert train.filter(query_id=NAMES[2])["negative_ids"].to_list() == [[NAMES[3]]] * 2


def test_a_dev_query_that_stands_in_a_suite_chooses_no_checkpoint(project):
    write_params(project, "drop")
    write_suites(queries=[QUESTIONS[4]])
    report, _ = balanced(project)
    assert (report["leaks_dropped"], report["retrieval"]["dev"]) == (1, 0)


def test_the_held_out_suite_is_what_was_written_whatever_filter_and_people_left(project):
    balanced(project)
    before = {path: path.read_bytes() for path in project.glob("data/heldout/*")}
    for name, schema in (("queries", CuratedQuery), ("positives", Positive), ("negatives", Negative)):
        rows = read_table(f"data/curated/{name}.parquet", schema)
        write_table(rows.filter(pl.col("query_id").is_in(NAMES[:5])), f"data/curated/{name}.parquet", schema)
    balanced(project)
    assert {path: path.read_bytes() for path in project.glob("data/heldout/*")} == before
    assert len(before) == 2


def test_what_a_suite_borrows_or_merely_shares_is_no_leak(project):
    write_suites(documents=[(TEXTS[0], False)], pairs=[(TEXTS[0], QUESTIONS[3])], queries=["quando apre il mulino"])
    report, _ = balanced(project)
    assert (report["leaks_dropped"], LEAKS.read_text()) == (0, "")


def test_a_training_query_that_repeats_a_held_out_one_is_dropped(project):
    queries = read_table("data/generated/queries.parquet", Query)
    twin = pl.when(pl.col("query_id") == NAMES[5]).then(pl.lit(QUESTIONS[0])).otherwise("text")
    write_table(queries.with_columns(text=twin), "data/generated/queries.parquet", Query)
    report, train = balanced(project)
    assert report["repeats_of_dev_and_test_dropped"] == 1
    assert NAMES[0] not in train["query_id"].to_list()


def test_nothing_left_to_train_on_is_one_sentence(project):
    write_params(project, "drop")
    write_suites(queries=QUESTIONS, pairs=[(TEXTS[0], QUESTIONS[0])])
    with pytest.raises(
        UserError, match=r"nothing is left to train on: 8 texts stood in a suite \(reports/leaks.jsonl\)"
    ):
        main()


@pytest.mark.parametrize(
    ("name", "columns"),
    [("retrieval", {"anchor", "positive", "negatives"}), ("sts", {"sentence1", "sentence2", "score"})],
)
def test_the_data_card_lets_datasets_load_each_set(project, name, columns):
    main()
    loaded = load_dataset(str(project / "data/balanced"), name, cache_dir=str(project / "cache"))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 8, "dev": 1}
    assert columns <= set(loaded["train"].column_names)


def test_what_has_no_rows_is_left_out_of_the_data_card(project):
    graded = read_table("data/curated/pairs.parquet", SentencePair)
    write_table(graded.filter(split="dev"), "data/curated/pairs.parquet", SentencePair)
    report, _ = balanced(project)
    loaded = load_dataset(str(project / "data/balanced"), "sts", cache_dir=str(project / "cache"))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"dev": 1}
    assert report["sts"] == {"rows": 0, "unique": 0, "factor": None, "dev": 1}


COUNTS = {"rows": 8, "unique": 4, "factor": 2.0, "dev": 1}
NUMBERS = {"retrieval": COUNTS, "sts": COUNTS | {"factor": None}, "negatives_per_row": 1.0, "leaks_dropped": 3}


def test_the_data_card_tells_licences_and_numbers_and_takes_names_as_text():
    card = data_card("<b>set</b>", NUMBERS, ["CC BY-SA 4.0", "not stated"])
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "other"
    assert "Licences of the passages: CC BY-SA 4.0, not stated." in card
    assert "| sts | 8 | 4 | - | 1 |" in card
    assert "<b>" not in card.split("---", 2)[2]
