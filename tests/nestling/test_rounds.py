import json
from dataclasses import replace

import pytest

from nestling.desk.interface import Given, Pulled, Shown
from nestling.desk.rounds import check_round, save
from nestling.errors import UserError
from nestling.review.answers import read_answers, read_shown_records

ANNA = Given("r1", "audit", "anna", "submitted", "2026-11-21T10:00:00Z", {"query_quality": "good", "relevant": ["p"]})
BRUNO = replace(ANNA, annotator="bruno", values={"query_quality": "vague", "relevant": []})


def pulled(*given, shown=()):
    return Pulled(given, shown, {})


def lines(folder, name="one"):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def values(folder):
    return {(line["annotator"], line["question"]): line["value"] for line in lines(folder)}


def test_a_line_is_an_answer_sorted_by_record_question_and_annotator(tmp_path):
    save(pulled(replace(BRUNO, record_id="r0"), BRUNO, ANNA), tmp_path, "one")
    told = [(line["record_id"], line["question"], line["annotator"], line["value"]) for line in lines(tmp_path)]
    assert told == [
        ("r0", "query_quality", "bruno", "vague"),
        ("r0", "relevant", "bruno", []),
        ("r1", "query_quality", "anna", "good"),
        ("r1", "query_quality", "bruno", "vague"),
        ("r1", "relevant", "anna", ["p"]),
        ("r1", "relevant", "bruno", []),
    ]


def test_what_is_written_is_what_curate_reads(tmp_path):
    save(pulled(ANNA, BRUNO), tmp_path, "one")
    answers, broken = read_answers(tmp_path)
    assert (answers.height, broken.height) == (4, 0)
    assert answers["submitted_at"].unique().to_list() == ["2026-11-21T10:00:00.000000+00:00"]


def test_pulling_again_changes_no_byte(tmp_path):
    save(pulled(ANNA, BRUNO, shown=[Shown("r1", "chi", "p", ("q",))]), tmp_path, "one")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    merged = save(pulled(BRUNO, ANNA, shown=[Shown("r1", "chi", "p", ("q",))]), tmp_path, "one")
    assert before == {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert (merged.added, merged.withdrawn) == (0, 0)


def test_a_changed_answer_replaces_the_earlier_and_an_unchanged_one_keeps_its_time(tmp_path):
    save(pulled(ANNA), tmp_path, "one")
    later = replace(ANNA, submitted_at="2026-11-22T10:00:00Z", values={"query_quality": "good", "relevant": []})
    merged = save(pulled(later), tmp_path, "one")
    times = {line["question"]: (line["value"], line["submitted_at"][:10]) for line in lines(tmp_path)}
    assert times == {"query_quality": ("good", "2026-11-21"), "relevant": ([], "2026-11-22")}
    assert (merged.added, merged.withdrawn) == (1, 1)


@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_what_is_not_submitted_is_not_written_and_what_was_taken_back_goes(tmp_path, status):
    save(pulled(ANNA, BRUNO), tmp_path, "one")
    merged = save(pulled(replace(ANNA, status=status, values={}), BRUNO), tmp_path, "one")
    assert {line["annotator"] for line in lines(tmp_path)} == {"bruno"}
    assert (merged.added, merged.withdrawn) == (0, 2)


def test_the_last_answer_of_all_can_be_taken_back(tmp_path):
    save(pulled(ANNA), tmp_path, "one")
    assert save(pulled(replace(ANNA, status="discarded", values={})), tmp_path, "one").withdrawn == 2
    assert lines(tmp_path) == []
    assert save(pulled(replace(ANNA, status="discarded", values={})), tmp_path, "one").withdrawn == 0


@pytest.mark.parametrize("order", [1, -1])
def test_of_one_record_in_two_piles_a_person_s_later_word_stands(tmp_path, order):
    later = replace(ANNA, pile="active", submitted_at="2026-11-22T10:00:00Z", values={"query_quality": "vague"})
    save(pulled(*[ANNA, later][::order]), tmp_path, "one")
    assert values(tmp_path) == {("anna", "query_quality"): "vague", ("anna", "relevant"): ["p"]}
    discarded = replace(later, status="discarded", values={})
    save(pulled(*[ANNA, discarded][::order]), tmp_path, "one")
    assert values(tmp_path) == {("anna", "query_quality"): "good", ("anna", "relevant"): ["p"]}


def test_a_person_is_one_whatever_the_name_becomes(tmp_path):
    known = replace(ANNA, annotator_id="u1")
    save(pulled(known), tmp_path, "one")
    save(pulled(replace(known, annotator="u1")), tmp_path, "one")  # taken from the workspace: only the id is known
    assert {line["annotator"] for line in lines(tmp_path)} == {"anna"}
    save(pulled(replace(known, annotator="anna.rossi")), tmp_path, "one")
    assert [(line["annotator"], line["annotator_id"]) for line in lines(tmp_path)] == [("anna.rossi", "u1")] * 2


def test_an_answer_beside_a_suggestion_is_marked(tmp_path):
    save(pulled(replace(ANNA, suggested=("relevant",))), tmp_path, "one")
    assert {line["question"]: line.get("suggested", False) for line in lines(tmp_path)} == {
        "query_quality": False,
        "relevant": True,
    }


def test_what_is_pre_selected_for_a_referee_is_people_s_word_and_no_machine_s(tmp_path):
    save(pulled(replace(ANNA, pile="adjudication", suggested=("relevant",))), tmp_path, "one")
    assert [line for line in lines(tmp_path) if "suggested" in line] == []


def test_a_rewrite_that_was_cleared_goes(tmp_path):
    save(pulled(replace(ANNA, values={"query_quality": "vague", "rewrite": "chi era?"})), tmp_path, "one")
    save(pulled(replace(ANNA, values={"query_quality": "vague"})), tmp_path, "one")
    assert values(tmp_path) == {("anna", "query_quality"): "vague"}


def test_what_the_desk_no_longer_has_stays(tmp_path):
    save(pulled(ANNA, BRUNO, shown=[Shown("r1", "chi", "p", ("q",))]), tmp_path, "one")
    merged = save(pulled(BRUNO), tmp_path, "one")  # anna's account was deleted
    assert (len(lines(tmp_path)), merged.kept, merged.withdrawn) == (4, 2, 0)
    assert save(pulled(), tmp_path, "one").answers == 4  # a server set up anew
    assert read_shown_records(tmp_path).rows() == [("r1", "chi", "p", ["q"])]


def test_a_referee_s_word_stands_beside_what_the_same_person_said_before(tmp_path):
    settled = replace(ANNA, pile="adjudication", values={"query_quality": "vague"})
    save(pulled(ANNA, settled), tmp_path, "one")
    told = [(line["value"], line.get("referee", False)) for line in lines(tmp_path) if line["question"] != "relevant"]
    assert told == [("good", False), ("vague", True)]


def test_lines_of_others_are_kept_as_they_stand(tmp_path):
    (tmp_path / "one.jsonl").write_text('not JSON\n{"record_id": 5}\n', encoding="utf-8")
    save(pulled(ANNA), tmp_path, "one")
    assert (tmp_path / "one.jsonl").read_text(encoding="utf-8").splitlines()[-2:] == ["not JSON", '{"record_id": 5}']


def test_hostile_words_come_back_unchanged(tmp_path):
    words = 'a\r\nb\u2028c\u202e<script>alert(1)</script>"\\\x00' + "x" * 100_000
    save(pulled(replace(ANNA, values={"comment": words, "rewrite": "\ud800"})), tmp_path, "one")
    save(pulled(BRUNO), tmp_path, "one")
    assert values(tmp_path)["anna", "comment"] == words
    assert values(tmp_path)["anna", "rewrite"] == "\ud800"


def test_a_file_that_is_not_utf8_is_told_and_left(tmp_path):
    (tmp_path / "one.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"one\.jsonl is not UTF-8"):
        save(pulled(ANNA), tmp_path, "one")
    assert (tmp_path / "one.jsonl").read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x.records", "a b", "é", "x" * 101])
def test_a_round_that_cannot_name_a_file_is_turned_down(name):
    with pytest.raises(UserError, match=r"review\.round"):
        check_round(name)
