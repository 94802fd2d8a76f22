import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.review.records import make_records, record_id
from nestling.tables.retrieval import VERDICTS

QUERIES = pl.DataFrame(
    {
        "query_id": ["q1", "q2", "q3", "q4"],
        "text": ["chi macina", "chi presta", "quando apre", "dove si sale"],
        "passage_id": ["mulino", "biblioteca", "rifugio", "sentiero"],
        "score": [0.9, 0.8, 0.7, 0.6],
        "rank": [1, 1, 2, 1],
    },
    schema_overrides={"score": pl.Float32, "rank": pl.UInt32},
)


def hits(*rows):
    """Candidates: (query_id, rank, passage_id, score, verdict)."""
    kinds = {"query_id": pl.String, "rank": pl.UInt32, "passage_id": pl.String, "score": pl.Float32}
    return pl.DataFrame(rows, schema=kinds | {"verdict": pl.Enum(VERDICTS)}, orient="row")


HITS = hits(
    ("q1", 1, "mulino", 0.90, "positive"),
    ("q1", 2, "forno", 0.89, "margin"),
    ("q1", 3, "molino", 0.88, "near_duplicate"),
    ("q1", 4, "pane", 0.87, "margin"),
    ("q1", 5, "grano", 0.70, "negative"),
    ("q1", 6, "campo", 0.60, "negative"),
    ("q1", 7, "bosco", 0.50, "not_drawn"),
    ("q2", 1, "libro", 0.75, "negative"),
    ("q3", 1, "baita", 0.30, "negative"),
)


def test_all_negatives_are_shown_and_while_there_is_room_what_a_margin_kept_out():
    shown = make_records(QUERIES, HITS, most=3, strata=2).row(0, named=True)
    assert shown["candidates"] == ["forno", "grano", "campo"]
    assert shown["mined"] == [False, True, True]


def test_negatives_are_shown_even_beyond_the_room():
    assert make_records(QUERIES, HITS, most=1, strata=2)["candidates"][0].to_list() == ["grano", "campo"]


def test_the_margin_is_that_to_the_nearest_negative():
    margins = make_records(QUERIES, HITS, most=6, strata=2)["margin"].to_list()
    assert margins == [pytest.approx(0.2), pytest.approx(0.05), pytest.approx(0.4), None]


def test_strata_are_quantiles_of_the_margin_and_queries_without_negatives():
    strata = make_records(QUERIES, HITS, most=6, strata=3)["stratum"].to_list()
    assert strata == ["margin 2 of 3", "margin 1 of 3", "margin 3 of 3", "no negatives"]


def test_a_query_without_candidates_has_a_record_all_the_same():
    alone = make_records(QUERIES, HITS.clear(), most=6, strata=2)
    assert alone["candidates"].to_list() == [[]] * 4
    assert alone["stratum"].unique().to_list() == ["no negatives"]


@given(st.permutations(["forno", "grano", "campo"]))
def test_a_record_is_named_by_what_is_seen_in_whatever_order(candidates):
    assert record_id("chi macina", "mulino", candidates) == record_id(
        "chi macina", "mulino", ["campo", "forno", "grano"]
    )


@pytest.mark.parametrize(
    "other", [("chi macin", "amulino", ["a"]), ("chi macina", "a", ["mulino"]), ("chi macina", "mulino", ["a", "a"])]
)
def test_another_query_passage_or_candidate_is_another_record(other):
    assert record_id(*other) != record_id("chi macina", "mulino", ["a"])
