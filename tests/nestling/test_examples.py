import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.training.examples import may_answer, retrieval_examples, sts_examples


def row(query, positive, negatives, copy=0, answers=()):
    return {
        "query_id": query,
        "positive_id": positive,
        "copy": copy,
        "origin": "recorded",
        "anchor": f"asks {query}",
        "positive": f"text {positive}",
        "negatives": [f"text {name}" for name in negatives],
        "negative_ids": negatives,
        "answer_ids": [positive, *answers],
    }


SCHEMA = {"negatives": pl.List(pl.String), "negative_ids": pl.List(pl.String)}


def frame(*rows):
    return pl.DataFrame(list(rows), schema_overrides=SCHEMA)


def test_columns_are_anchor_positive_and_as_many_negatives_as_asked():
    rows = frame(row("q1", "a", ["b", "c", "d"]), row("q2", "b", ["c", "d", "a"]))
    found = retrieval_examples(rows, 2, seed=1)
    assert found.column_names == ["anchor", "positive", "negative_1", "negative_2"]
    assert found[0] == {"anchor": "asks q1", "positive": "text a", "negative_1": "text b", "negative_2": "text c"}
    assert retrieval_examples(rows, 0, seed=1).column_names == ["anchor", "positive"]


def told(rows, near):
    """Return by query which passages are no negatives of it, as the first label of each names them."""
    shown = retrieval_examples(rows, 2, 1, near)
    names = {"": "", **{f"text {name}": name for name in "abcdefx"}}
    labels = [one["label"] for one in shown]
    columns = ("positive", "negative_1", "negative_2")
    passages = {
        number: names[one[column]] for one in shown for number, column in zip(one["label"][1:], columns, strict=True)
    }
    queries = {label[0]: query for label, query in zip(labels, rows["query_id"], strict=True)}
    found = dict.fromkeys(queries.values(), "")
    for query, passage in may_answer(rows, near):
        found[queries[query]] += passages[passage]
    return found


def test_what_may_answer_a_query_and_nearly_repeats_it_is_no_negative_of_it():
    rows = frame(row("q1", "a", ["x", "c"], answers="d"), row("q2", "e", ["d", "f"]), row("q3", "b", ["e", "x"]))
    near = {"a": "a", "e": "a", "d": "d", "f": "d"}
    assert told(rows, {}) == {"q1": "ad", "q2": "e", "q3": "b"}
    assert told(rows, near) == {"q1": "adef", "q2": "ae", "q3": "b"}


def test_what_people_refused_is_a_negative_although_it_nearly_repeats_an_answer():
    near = {"a": "a", "b": "a", "c": "a"}
    rows = frame(row("q1", "a", ["b", "x"]), row("q1", "a", ["b", "x"], copy=1), row("q2", "c", ["x", "d"]))
    assert told(rows, near) == {"q1": "ac", "q2": "abc"}


def test_labels_number_the_query_and_its_passages_where_near_duplicates_are_told():
    rows = frame(row("q1", "a", ["b", "c"]), row("q2", "b", [], copy=1), row("q1", "a", ["b", "c"], copy=2))
    one, other, copy = retrieval_examples(rows, 2, 1, {})["label"]
    assert (len(set(one[1:])), one[0], one[1]) == (3, copy[0], copy[1])
    assert (other[1], other[0]) == (one[2], 1 - one[0])
    lone = retrieval_examples(rows.head(1), 3, 1, {})["label"]
    assert lone[0][-1] == -1  # no passage is left to fill up with
    assert "label" not in retrieval_examples(rows, 2, seed=1).column_names


def test_a_query_that_names_a_long_document_makes_no_other_label_longer():
    rows = frame(row("q1", "a", ["b"], answers=[f"p{n}" for n in range(300)]), row("q2", "b", ["a"]))
    assert {len(label) for label in retrieval_examples(rows, 1, 1, {})["label"]} == {3}


def test_no_near_duplicate_of_an_answer_fills_up_for_a_negative():
    rows = frame(row("q1", "a", []), row("q2", "b", []), row("q3", "c", []))
    for seed in range(10):
        found = retrieval_examples(rows, 1, seed, {"a": "a", "b": "a"})["negative_1"]
        assert found[:2] == ["text c", "text c"]


names = st.sampled_from("abcdef")
rows_of = st.lists(
    st.tuples(st.sampled_from(["q1", "q2", "q3"]), names, st.lists(names, max_size=3, unique=True)),
    min_size=1,
    max_size=8,
    unique_by=lambda drawn: drawn[:2],
)


@settings(max_examples=100)
@given(rows_of, st.integers(1, 5), st.integers(0, 9))
def test_a_row_short_of_negatives_is_kept_and_filled_with_what_answers_other_queries(drawn, wanted, seed):
    rows = frame(
        *(row(query, positive, [name for name in names if name != positive]) for query, positive, names in drawn)
    )
    own = {query: {positive for other, positive, _ in drawn if other == query} for query, _, _ in drawn}
    found = retrieval_examples(rows, wanted, seed)
    assert len(found) == rows.height
    for example, given_row in zip(found, rows.iter_rows(named=True), strict=True):
        texts = [example[f"negative_{number + 1}"] for number in range(wanted)]
        hard, filled = texts[: len(given_row["negatives"])], texts[len(given_row["negatives"]) :]
        assert hard == given_row["negatives"][:wanted]
        others = {f"text {positive}" for _, positive, _ in drawn if positive not in own[given_row["query_id"]]}
        free = others - set(given_row["negatives"])
        assert len(set(filled) & free) == min(len(free), len(filled))  # each once, while there are any
        assert set(filled) <= {*free, ""}


def test_the_last_free_passage_of_a_corpus_is_found():
    rows = frame(row("q1", "p0", []), *(row("q1", f"p{n}", []) for n in range(1, 300)), row("q2", "z", []))
    found = retrieval_examples(rows, 1, seed=1)
    assert set(found["negative_1"][:300]) == {"text z"}


def test_the_fill_is_drawn_by_seed():
    rows = frame(*(row(f"q{n}", f"p{n}", []) for n in range(30)))
    once, again, other = (retrieval_examples(rows, 2, seed)[:] for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_copies_of_a_row_begin_with_its_negatives_in_turn():
    rows = frame(*(row("q1", "a", ["b", "c", "d"], copy) for copy in range(4)))
    found = retrieval_examples(rows, 2, seed=1)
    assert found["negative_1"][:] == ["text b", "text c", "text d", "text b"]
    assert found["negative_2"][:] == ["text c", "text d", "text b", "text c"]
    assert set(found["positive"]) == {"text a"}


@pytest.mark.parametrize("scores", [[0.0, 1.0]])
def test_sentence_pairs_keep_their_order_and_scores(scores):
    rows = pl.DataFrame({"pair_id": ["1", "2"], "copy": [0, 0], "sentence1": ["a", "b"], "sentence2": ["c", "d"]})
    found = sts_examples(rows.with_columns(score=pl.Series(scores)))
    assert found.column_names == ["sentence1", "sentence2", "score"]
    assert found[1] == {"sentence1": "b", "sentence2": "d", "score": 1.0}


def test_no_passage_that_may_answer_fills_up_for_a_negative():
    rows = frame(*(row(f"q{n}", name, [], answers="ab" if n == 0 else "") for n, name in enumerate("abc")))
    for seed in range(10):
        assert retrieval_examples(rows, 1, seed)["negative_1"][0] == "text c"
