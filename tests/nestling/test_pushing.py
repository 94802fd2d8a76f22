import polars as pl
import pytest
import yaml

from nestling.desk.pushing import (
    JUDGED,
    RETRIEVAL,
    STS,
    PushParams,
    data_version,
    judged_before,
    push,
    queue_piles,
)
from nestling.desk.wording import Wording
from nestling.errors import UserError
from nestling.tables.io import empty, write_table
from nestling.tables.queries import Judged
from nestling.tables.review import Answer, PairItem, QueueItem
from tests.project import REPOSITORY

NOBODY = pl.DataFrame(schema=pl.Schema(Answer.create_empty().schema))


def said(record, annotator, **change):
    row = {"record_id": record, "question": "relevant", "annotator": annotator, "referee": False, "suggested": False}
    return row | {"value": "[]", "submitted_at": "2026-11-21T10:00:00Z", "round": "round-01"} | change


def whole(record, annotator, **change):
    return [said(record, annotator), said(record, annotator, **{"question": "query_quality"} | change)]


def judged(*rows):
    return judged_before(pl.DataFrame(rows, schema=NOBODY.schema, orient="row"), "round-02", 2)


def test_what_enough_people_judged_unprompted_in_an_earlier_round_does_not_go_out_again():
    assert judged(*whole("r1", "anna"), *whole("r1", "bruno"), *whole("r2", "anna")) == {"r1"}


@pytest.mark.parametrize("change", [{"round": "round-02"}, {"suggested": True}, {"question": "comment"}])
def test_what_was_said_in_this_round_or_beside_a_suggestion_or_by_half_does_not_count(change):
    for question in ("query_quality", "relevant"):
        other = "relevant" if question == "query_quality" else "query_quality"
        half = [said("r1", "bruno", question=other), said("r1", "bruno", **{"question": question} | change)]
        assert judged(*whole("r1", "anna"), *half) == set()


def test_the_version_of_the_data_is_that_of_its_bytes(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    assert data_version(one, two) != data_version(one, one)
    assert data_version(one) == data_version(one)
    assert len(data_version(one)) == 8


def params(tmp_path, **review):
    """The project's parameters with other values under `review`, and who judges in `people`."""
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    tree["shared"]["people"] |= review.pop("people", {})
    tree["review"] |= review
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return PushParams.load(tmp_path / "params.yaml")


def test_nothing_is_suggested_by_default(tmp_path):
    assert params(tmp_path).suggest == ()


def test_suggestions_to_one_person_alone_are_refused_for_they_would_change_nothing(tmp_path):
    with pytest.raises(UserError, match=r"shared\.people\.active asks one person"):
        queue_piles(params(tmp_path, suggest=["active"]))


@pytest.mark.parametrize(("origin", "told"), [("extractive", True), ("recorded", False), ("llm", False)])
def test_guidelines_tell_of_queries_that_nobody_asked(tmp_path, monkeypatch, origin, told):
    monkeypatch.chdir(tmp_path)
    words = dict.fromkeys(("why", "kind", "stratum", "query", "passage"), "x") | {"language": "it", "origin": origin}
    item = words | {"record_id": "a" * 20, "query_id": "q", "passage_id": "p", "position": 1, "rank": 1}
    item |= {"purpose": "audit", "positive_score": 0.5, "margin": None, "candidates": []}
    write_table(pl.DataFrame([item], schema=empty(QueueItem).schema), RETRIEVAL, QueueItem)
    write_table(empty(PairItem), STS, PairItem)
    write_table(empty(Judged), JUDGED, Judged)
    desk = {"kind": "sheets", "folder": "sheets", "annotators": ["anna", "bruno"], "referees": []}
    push(params(tmp_path, desk=desk, language="ca"))
    guidelines = (tmp_path / "sheets/round-01/audit.md").read_text(encoding="utf-8")
    assert (Wording.load("ca").guidelines.cut_out in guidelines) == told
