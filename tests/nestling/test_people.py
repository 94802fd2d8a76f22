import polars as pl
import pytest

from nestling.review.people import done, judges
from nestling.tables.io import empty
from nestling.tables.review import Answer

SCHEMA = empty(Answer).schema


def answers(*said):
    """Answers to record r1: (person, question, suggested, referee)."""
    rows = [
        {"record_id": "r1", "question": question, "annotator": name, "referee": referee, "suggested": suggested}
        | {"value": "[]", "submitted_at": "2026-11-20", "round": "one"}
        for name, question, suggested, referee in said
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def whole(name, suggested=False, referee=False):
    return [(name, "query_quality", False, referee), (name, "relevant", suggested, referee)]


@pytest.mark.parametrize(
    ("said", "people", "is_done"),
    [
        (whole("anna"), 1, True),
        (whole("anna")[:1], 1, False),
        (whole("anna")[1:], 1, False),
        (whole("anna"), 2, False),
        (whole("anna", suggested=True), 1, False),  # unconfirmed: without effect
        ([*whole("anna", suggested=True), *whole("bo", suggested=True)], 1, True),
        ([*whole("anna", suggested=True), *whole("bo")], 1, True),
        (whole("carla", referee=True), 2, True),
    ],
)
def test_a_record_is_done_when_as_many_as_shall_have_judged_it_whole_and_to_effect(said, people, is_done):
    assert done(answers(*said), people) == (["r1"] if is_done else [])


def test_what_one_person_says_beside_a_suggestion_wants_another():
    assert judges(answers(*whole("anna", suggested=True)), 1).rows() == [("r1", 1, 2, False)]
    assert judges(answers(*whole("anna")), 1).rows() == [("r1", 1, 1, False)]
