from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.corpus.duplicates import groups
from nestling.corpus.splits import (
    LEDGER,
    Shares,
    assign,
    check_room,
    entered,
    entered_queries,
    largest_share,
    ledger_text,
    read_ledger,
    reused_ids,
    split_queries,
    text_name,
)
from nestling.errors import UserError

NOTHING = pl.DataFrame(schema=LEDGER)
SHARES = Shares(0.05, 0.1, 1)
MANY = {f"documento {number}": [f"testo {number}"] for number in range(4000)}


def members(corpus):
    """Groups of a corpus, texts by document: documents that share a text are one."""
    names = sorted(corpus)
    first = {}
    links = [(place, first.setdefault(text, place)) for place, name in enumerate(names) for text in corpus[name]]
    leaders = groups(len(names), links)
    rows = [
        (str(leaders[place]), item, name)
        for place, document in enumerate(names)
        for item, name in [("document", document), *(("text", text_name(text)) for text in corpus[document])]
    ]
    return pl.DataFrame(rows, schema=["group", "item", "name"], orient="row").unique()


def split(corpus, ledger=NOTHING, shares=SHARES):
    """Return the split of everything in a corpus by item and name, and the ledger."""
    every = members(corpus)
    splits = assign(every, ledger, shares)
    found = {(item, name): splits[group] for group, item, name in every.select("group", "item", "name").iter_rows()}
    return found, entered(ledger, every, splits, shares)


def texts_of(found):
    return {name: where for (item, name), where in found.items() if item == "text"}


def test_shares_come_out_as_asked():
    counts = Counter(texts_of(split(MANY)[0]).values())
    assert abs(counts["dev"] / 4000 - 0.05) < 0.02
    assert abs(counts["test"] / 4000 - 0.1) < 0.02


def test_another_seed_draws_another_split_but_takes_nothing_back():
    found, ledger = split(MANY)
    fresh, after = (split(MANY, old, Shares(0.05, 0.1, 2))[0] for old in (NOTHING, ledger))
    assert fresh != found
    assert all(after[key] == where for key, where in found.items() if where != "train")


def test_nothing_is_taken_back_when_shares_are_lowered():
    found, ledger = split(MANY)
    assert split(MANY, ledger, Shares(0.0, 0.0, 1))[0] == found


def test_the_ledger_holds_nothing_of_what_is_trained_on():
    found, ledger = split(MANY)
    assert ledger.height == sum(where != "train" for where in found.values())


def test_a_small_set_still_has_something_held_out():
    assert sorted(texts_of(split({name: [name] for name in "abc"})[0]).values()) == ["dev", "test", "train"]


def test_nothing_is_held_out_unasked():
    assert {*split(MANY, shares=Shares(0.0, 0.0, 1))[0].values()} == {"train"}
    assert {*split({"a": ["a"], "b": ["b"]}, shares=Shares(0.0, 0.05, 1))[0].values()} == {"train", "test"}


@pytest.mark.parametrize("seed", range(10))
def test_a_lone_group_is_trained_on(seed):
    assert {*split({"a": ["a"], "b": ["a"]}, shares=Shares(0.4, 0.4, seed))[0].values()} == {"train"}


def test_no_groups_have_no_splits():
    assert assign(members(MANY).clear(), NOTHING, SHARES) == {}


# --- what documents may do

texts = st.sampled_from([f"t{number}" for number in range(12)])
corpora = st.dictionaries(st.sampled_from("abcdefghij"), st.lists(texts, min_size=1, max_size=3), min_size=1)
drawn = st.builds(Shares, st.floats(0.01, 0.45), st.floats(0.01, 0.45), st.integers())
few = settings(max_examples=40)


@few
@given(st.lists(corpora, min_size=2, max_size=4), drawn)
def test_added_removed_edited_and_joined_documents_take_nothing_back(rounds, shares):
    ledger, ever = NOTHING, {}
    for corpus in rounds:
        found, ledger = split(corpus, ledger, shares)
        for key, where in found.items():
            assert ever.get(key) != "test" or where == "test"
            assert ever.get(key) != "dev" or where != "train"
        ever |= {key: where for key, where in found.items() if where != "train"}


@few
@given(corpora, drawn)
def test_renamed_documents_move_nothing(corpus, shares):
    renamed = {f"{chr(219 - ord(name))}-2026": of_it for name, of_it in corpus.items()}
    found, ledger = split(corpus, NOTHING, shares)
    for known in (NOTHING, ledger):
        assert texts_of(split(renamed, known, shares)[0]) == texts_of(found)


@few
@given(corpora, corpora, drawn)
def test_unrelated_documents_move_nothing(corpus, others, shares):
    found, ledger = split(corpus, NOTHING, shares)
    strange = {f"x{name}": [f"x{text}" for text in of_it] for name, of_it in others.items()}
    after, _ = split(corpus | strange, ledger, shares)
    assert {key: after[key] for key in found} == found


@few
@given(corpora, drawn)
def test_the_same_documents_are_split_the_same_again_and_the_ledger_keeps_its_bytes(corpus, shares):
    found, ledger = split(corpus, NOTHING, shares)
    again, after = split(corpus, ledger, shares)
    assert again == found
    assert ledger_text(after) == ledger_text(ledger)


@few
@given(corpora, drawn)
def test_something_is_always_trained_on(corpus, shares):
    assert "train" in split(corpus, NOTHING, shares)[0].values()


def test_a_group_joined_to_one_that_was_measured_on_goes_with_it():
    found, ledger = split(MANY)
    (held_out,) = [name for (item, name), where in found.items() if item == "document" and where == "test"][:1]
    bond = {"legame": [*MANY[held_out], *MANY["documento 1"], *MANY["documento 2"]]}
    after, _ = split(MANY | bond, ledger)
    assert {after["document", name] for name in ("legame", "documento 1", "documento 2")} == {"test"}


# --- groups that are too large

HALF = {f"d{number}": ["comune", f"t{number}"] for number in range(60)} | {f"s{n}": [f"s{n}"] for n in range(40)}


@pytest.mark.parametrize("seed", range(12))
def test_a_group_of_half_the_set_is_trained_on_and_stays_so_when_the_set_grows(seed):
    shares = Shares(0.3, 0.3, seed)
    found, ledger = split(HALF, NOTHING, shares)
    assert found["document", "d0"] == "train"
    assert split(HALF | MANY, ledger, shares)[0]["document", "d0"] == "train"
    assert largest_share(members(HALF)) == pytest.approx(61 / 101)


def test_a_held_out_group_that_grew_over_half_of_the_set_stops_the_build(tmp_path):
    ledger = pl.DataFrame([("test", "document", "d3")], schema=LEDGER, orient="row")
    every = members(HALF)
    with pytest.raises(
        UserError, match=r"60% of the set are one group .* held out for test \('d0', 'd1', 'd10' \.\.\.\)"
    ):
        check_room(every, assign(every, ledger, SHARES), tmp_path / "mine.jsonl")


def test_a_set_of_which_only_what_was_held_out_is_left_stops_the_build(tmp_path):
    ledger = pl.DataFrame([("test", "document", "a"), ("dev", "document", "b")], schema=LEDGER, orient="row")
    every = members({"a": ["a"], "b": ["b"]})
    with pytest.raises(UserError, match=r"nothing is trained on: bring more, or without .*mine.jsonl the splits"):
        check_room(every, assign(every, ledger, SHARES), tmp_path / "mine.jsonl")


# --- the file


def test_a_ledger_comes_back_as_it_was_written(tmp_path):
    _, ledger = split(MANY)
    path = tmp_path / "mine.jsonl"
    path.write_text(ledger_text(ledger), encoding="utf-8")
    assert ledger_text(read_ledger(path)) == path.read_text(encoding="utf-8")
    assert read_ledger(tmp_path / "none.jsonl").is_empty()


def test_two_ledgers_side_by_side_say_the_strongest_of_each():
    both = [("dev", "text", "a"), ("test", "text", "a"), ("train", "text", "b"), ("dev", "text", "b")]
    told = ledger_text(pl.DataFrame(both, schema=LEDGER, orient="row"))
    assert told == ('{"split": "dev", "item": "text", "name": "b"}\n{"split": "test", "item": "text", "name": "a"}\n')


@pytest.mark.parametrize(
    "line", ["<<<<<<< HEAD", "[]", '{"split": "tst", "item": "text", "name": "a"}', '{"split": "dev", "item": "text"}']
)
def test_a_broken_line_is_named(line, tmp_path):
    (tmp_path / "mine.jsonl").write_text(f'{{"split": "dev", "item": "text", "name": "a"}}\n{line}\n')
    with pytest.raises(UserError, match=r"mine.jsonl:2 is no line of a ledger of splits"):
        read_ledger(tmp_path / "mine.jsonl")


def numbered(texts):
    return {str(number): [text] for number, text in enumerate(texts)}


@pytest.mark.parametrize("taken", [1, 3])
def test_numbers_of_rows_are_told_when_a_row_goes(taken):
    texts = [f"testo {number}" for number in range(400)]
    before, ledger = split(numbered(texts))
    held = {name for (item, name), where in before.items() if item == "document" and where != "train"}
    assert reused_ids(members(numbered(texts)), ledger) == []
    reused = reused_ids(members(numbered(texts[taken:])), ledger)
    assert set(reused) <= held
    assert len(reused) > 0.8 * len(held)


def test_edited_documents_and_new_ones_reuse_no_id():
    texts = [f"testo {number}" for number in range(400)]
    found, ledger = split(numbered(texts))
    held = [int(name) for (item, name), where in found.items() if item == "document" and where != "train"]
    edited = [f"{text} rivisto" if number in held else text for number, text in enumerate(texts)]
    assert reused_ids(members(numbered(edited)), ledger) == []
    assert reused_ids(members(numbered([*texts, "nuovo"])), ledger) == []
    swapped = numbered(texts) | {str(held[0]): ["altro"], "nuovo": [texts[held[0]]]}
    assert reused_ids(members(swapped), ledger) == []


def asked(*rows):
    return pl.DataFrame(rows, schema=["query_id", "document_id", "text"], orient="row")


def holders(**splits):
    return pl.DataFrame([*splits.items()], schema=["document_id", "split"], orient="row")


def test_a_query_stays_held_out_when_the_document_that_held_it_out_is_taken_away():
    both = asked(("q", "a", "come sblocco la caldaia"), ("q", "b", "come sblocco la caldaia"), ("r", "b", "altro"))
    first = split_queries(both, holders(a="test", b="train"), NOTHING)
    assert first["split"].to_list() == ["test", "test", "train"]
    ledger = entered_queries(NOTHING, first)
    assert ledger.select("split", "item").rows() == [("test", "query")]
    later = asked(("n", "b", "Come sblocco la caldaia?"), ("r", "b", "altro"), ("s", "gone", "senza documento"))
    then = split_queries(later, holders(b="train"), ledger)
    assert then["split"].to_list() == ["test", "train", "train"]
    assert split_queries(later, holders(b="test"), entered_queries(ledger, then))["split"].to_list() == [
        "test",
        "test",
        "train",
    ]
