import polars as pl

from nestling.desk.pushing import data_version, judged_before
from nestling.tables.review import Answer

NOBODY = pl.DataFrame(schema=pl.Schema(Answer.create_empty().schema))


def said(record, annotator, **change):
    row = {"record_id": record, "question": "relevant", "annotator": annotator, "referee": False, "suggested": False}
    return row | {"value": "[]", "submitted_at": "2026-11-21T10:00:00Z", "round": "round-01"} | change


def judged(*rows):
    return judged_before(pl.DataFrame(rows, schema=NOBODY.schema, orient="row"), "round-02", 2)


def test_what_enough_people_judged_unprompted_in_an_earlier_round_does_not_go_out_again():
    assert judged(said("r1", "anna"), said("r1", "bruno"), said("r2", "anna")) == {"r1"}


def test_what_was_said_in_this_round_or_beside_a_suggestion_or_of_the_query_alone_does_not_count():
    for change in ({"round": "round-02"}, {"suggested": True}, {"question": "query_quality"}):
        assert judged(said("r1", "anna"), said("r1", "bruno", **change)) == set()


def test_the_version_of_the_data_is_that_of_its_bytes(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    assert data_version(one, two) != data_version(one, one)
    assert data_version(one) == data_version(one)
    assert len(data_version(one)) == 8
