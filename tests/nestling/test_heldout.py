import polars as pl
import pytest

from nestling.evaluation.heldout import GENERATED, RECORDED, hold_out
from nestling.tables.corpus import SuiteQrel, SuiteQuery
from nestling.tables.io import check, empty

HELD_BY = {"p1": "alfa", "p2": "alfa", "p3": "beta", "p4": "gamma"}
PASSAGES = pl.DataFrame({"passage_id": list(HELD_BY), "document_id": list(HELD_BY.values())})


def held(queries, answers, most=100, seed=1):
    """Suites of queries (id, text, origin, split) and answers (query, passage[, document that is named[, origin]])."""
    asked = pl.DataFrame(queries, schema=["query_id", "text", "origin", "split"], orient="row")
    origin = dict(asked.select("query_id", "origin").rows())
    told = [(one[0], one[1], *(one[2:3] or [HELD_BY[one[1]]]), *(one[3:4] or [origin[one[0]]])) for one in answers]
    names = ["query_id", "passage_id", "document_id", "origin"]
    found = hold_out(asked, pl.DataFrame(told, schema=names, orient="row"), PASSAGES, most, seed)
    check(found.queries.select(empty(SuiteQuery).columns), SuiteQuery, "test")
    check(found.qrels, SuiteQrel, "test")
    return found


def rows(found):
    asked = found.queries.sort("suite", "query_id").select("suite", "query_id").rows()
    return asked, found.qrels.sort(pl.all()).select("query_id", "document_id").rows()


def test_people_ask_one_suite_and_programs_another_of_the_test_split_alone():
    queries = [
        ("a", "chi suona", "recorded", "test"), ("b", "dove si mangia", "recorded", "train"),
        ("c", "quando apre", "extractive", "test"), ("d", "come si va", "extractive", "dev"),
    ]  # fmt: skip
    found = held(queries, [("a", "p1"), ("b", "p2"), ("c", "p3"), ("d", "p4")])
    assert rows(found) == ([(GENERATED, "c"), (RECORDED, "a")], [("c", "beta"), ("a", "alfa")])


def test_either_suite_may_be_absent():
    assert rows(held([("a", "chi", "recorded", "test")], [("a", "p1")]))[0] == [(RECORDED, "a")]
    assert rows(held([("a", "chi", "llm", "test")], [("a", "p1")]))[0] == [(GENERATED, "a")]
    assert rows(held([("a", "chi", "llm", "train")], [("a", "p1")]))[0] == []


def test_every_document_that_a_query_names_answers_it():
    found = held([("a", "chi", "recorded", "test")], [("a", "p1"), ("a", "p2"), ("a", "p4")])
    assert rows(found)[1] == [("a", "alfa"), ("a", "gamma")]


@pytest.mark.parametrize(("named", "answer"), [("copia", "alfa"), ("beta", "beta")])
def test_whose_text_another_holds_answers_by_it_unless_something_of_its_own_was_kept(named, answer):
    assert rows(held([("a", "chi", "recorded", "test")], [("a", "p1", named)]))[1] == [("a", answer)]


def test_what_only_a_model_said_answers_no_persons_query():
    found = held([("a", "chi", "recorded", "test")], [("a", "p1"), ("a", "p3", "beta", "llm")])
    assert rows(found)[1] == [("a", "alfa")]


def test_queries_of_an_llm_stand_in_for_those_cut_out():
    queries = [("a", "chi suona", "extractive", "test"), ("b", "chi suonava ieri", "llm", "test")]
    assert rows(held(queries, [("a", "p1"), ("b", "p2")]))[0] == [(GENERATED, "b")]


def test_of_the_same_words_one_stays_and_all_their_documents_answer():
    queries = [("a", "Chi suona?", "recorded", "test"), ("b", "chi suona", "recorded", "test")]
    assert rows(held(queries, [("a", "p1"), ("b", "p3")])) == (
        [(RECORDED, "a")],
        [("a", "alfa"), ("a", "beta")],
    )


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_generated_query_leaves_the_words_to_a_person(split):
    queries = [("a", "chi suona", "extractive", "test"), ("b", "Chi suona?", "recorded", split)]
    asked, _ = rows(held(queries, [("a", "p1"), ("b", "p3")]))
    assert asked == ([(RECORDED, "b")] if split == "test" else [])


def many(size):
    queries = [(f"q{n:03}", f"parola {n}", "extractive", "test") for n in range(size)]
    return queries, [(f"q{n:03}", "p1" if n < 40 else f"p{2 + n % 3}") for n in range(size)]


def test_of_many_as_many_are_drawn_of_each_passage():
    found = held(*many(100), most=20)
    owner = dict(many(100)[1])
    counts = pl.Series([owner[name] for name in found.queries["query_id"]]).value_counts()["count"].to_list()
    assert counts == [5] * 4
    assert found.not_drawn == {RECORDED: 0, GENERATED: 80}


def test_the_draw_hangs_on_the_seed_and_other_queries_move_it_little():
    drawn = [set(held(*many(100), most=20, seed=seed).queries["query_id"]) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    more = set(held(*many(110), most=20).queries["query_id"])
    assert len(drawn[0] & more) >= 15
