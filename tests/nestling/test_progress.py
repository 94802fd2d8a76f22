from dataclasses import replace

import polars as pl
import pytest

from nestling.desk.interface import Given, Pulled, Shown, Size, contradiction
from nestling.desk.progress import Wished, agreement_so_far, contradictions, progress_lines
from nestling.review.answers import RECORDS as RECORDS_SHOWN

TIME = "2026-11-21T10:00:00Z"
ANNA = Given("r1", "audit", "anna", "submitted", TIME, {"query_quality": "good", "relevant": ["c1"]})
BRUNO = replace(ANNA, annotator="bruno")
SHOWN = [Shown(f"r{number}", "chi?", "own", ("c1", "c2")) for number in (1, 2)]
NOTHING_SHOWN = pl.DataFrame(schema=RECORDS_SHOWN)
WISHED = Wished(None, None, (), NOTHING_SHOWN, width=0.1, seed=1)
RECORDS = pl.DataFrame(
    {
        "record_id": [f"r{number}" for number in range(200)],
        "query_id": [f"q{number}" for number in range(200)],
        "query": [f"chi {number}?" for number in range(200)],
        "origin": "recorded",
        "passage_id": "own",
        "candidates": pl.Series([["c1", "c2"]] * 200),
        "mined": pl.Series([[True, True]] * 200),
        "stratum": "margin 1 of 1",
    }
)
QUEUE = RECORDS.head(60).select("record_id", purpose=pl.lit("audit"))


def pulled(*given):
    return Pulled(given, SHOWN, {"audit": Size(3, 2, {"anna": 1, "carla": 3}), "active": Size(5, 1, {})})


def row(lines, name):
    return next(line.split() for line in lines if line.startswith(name))


def test_a_record_is_done_when_as_many_as_it_needs_have_submitted():
    lines = progress_lines(pulled(ANNA, BRUNO, replace(ANNA, record_id="r2")), WISHED)
    assert row(lines, "audit") == ["audit", "3", "1", "1", "1", "2"]  # records, done, begun, pending, people
    assert row(lines, "active") == ["active", "5", "0", "0", "5", "1"]


def test_drafts_and_discarded_answers_are_counted_by_person_and_bring_no_record_on():
    draft = replace(ANNA, record_id="r2", status="draft", values={})
    lines = progress_lines(pulled(ANNA, draft, replace(BRUNO, status="discarded", values={})), WISHED)
    assert row(lines, "audit           anna") == ["audit", "anna", "1", "1", "0", "1"]  # the last of them pending
    assert row(lines, "audit           bruno") == ["audit", "bruno", "0", "0", "1", "0"]
    assert row(lines, "audit           carla") == ["audit", "carla", "0", "0", "0", "3"]  # who has not begun
    assert row(lines, "audit") == ["audit", "3", "0", "1", "2", "2"]


def test_a_name_moves_no_cursor():
    lines = progress_lines(pulled(replace(ANNA, annotator="an\x1b[2Jna\u202e")), WISHED)
    assert [line for line in lines if "\x1b" in line or "\u202e" in line] == []


def test_agreement_is_of_two_people_on_the_same_record_and_passages_on_candidates_alone():
    second = replace(ANNA, record_id="r2", values={"query_quality": "vague", "relevant": ["own"]})
    said = pulled(
        ANNA, BRUNO, second, replace(second, annotator="bruno", values={"query_quality": "vague", "relevant": []})
    )
    found = agreement_so_far(said, seed=1)
    assert (found["query_quality"]["alpha"], found["relevant"]["alpha"]) == (pytest.approx(1), pytest.approx(1))
    apart = agreement_so_far(
        pulled(ANNA, replace(BRUNO, values={"query_quality": "vague", "relevant": ["c2"]})), seed=1
    )
    assert apart["query_quality"]["alpha"] < 0.1
    assert apart["relevant"]["alpha"] < 0


def test_a_referee_s_word_is_no_agreement():
    settled = replace(BRUNO, pile="adjudication")
    assert agreement_so_far(pulled(ANNA, settled), seed=1)["query_quality"]["records"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"values": {"query_quality": "good", "relevant": []}}, "good, and no passage answers"),
        ({"values": {"query_quality": "not_answerable", "relevant": ["c1"]}}, "not answerable, and a passage answers"),
        ({"values": {"query_quality": "vague", "relevant": []}}, ""),
        ({"stray": True}, "a letter without a passage, or letters beside none"),
    ],
)
def test_an_answer_whose_parts_do_not_go_together_is_told(change, said):
    assert contradiction(replace(ANNA, **change)) == said
    told = contradictions(pulled(replace(ANNA, **change)))
    assert told == (["1 answers contradict themselves:", f"anna on 'chi?': {said}"] if said else [])
    assert contradictions(pulled(replace(ANNA, **change, status="draft"))) == []


def test_of_many_contradictions_some_are_told_and_the_rest_counted():
    many = [replace(ANNA, record_id=f"x{number}", stray=True) for number in range(13)]
    told = contradictions(pulled(*many))
    assert (told[0], told[-1], len(told)) == ("13 answers contradict themselves:", "... and 3 more", 12)


def told_of_audit(*given, width=0.1, records=RECORDS, queue=QUEUE, earlier=(), shown=NOTHING_SHOWN):
    """What the status says of false negatives."""
    lines = progress_lines(pulled(*given), Wished(records, queue, earlier, shown, width, seed=1))
    start = next((place for place, line in enumerate(lines) if line.startswith("False negatives")), len(lines))
    return lines[start : start + 3]


def test_the_status_says_how_many_negatives_are_false_so_far_and_how_many_more_queries_would_tell():
    head, rate, more = told_of_audit(ANNA, replace(BRUNO, values={"query_quality": "good", "relevant": ["own"]}))
    assert head == "False negatives among the mined negatives of 200 recorded queries so far, 95% interval"
    assert rate.endswith("2 negatives of 1 queries, 1 ties unsettled")
    number = int(more.split("about ")[1].split()[0])
    assert more == f"  an interval 0.1 wide takes about {number} more queries of the audit"
    assert number > 20
    assert int(told_of_audit(ANNA, width=0.3)[2].split("about ")[1].split()[0]) < number


def test_somebody_who_judged_in_two_rounds_under_two_names_and_in_two_spellings_is_one_person():
    line = {"record_id": "old", "question": "relevant", "annotator": "anna", "annotator_id": "u1", "value": '["own"]'}
    line |= {"referee": False, "suggested": False, "submitted_at": "2026-11-20T10:00:00Z", "round": "before"}
    shown = pl.DataFrame([("old", "CHI 1", "own", ["c1", "c2"])], schema=RECORDS_SHOWN, orient="row")
    now = replace(ANNA, annotator="anna.rossi", annotator_id="u1")
    assert told_of_audit(now, earlier=[line], shown=shown) == told_of_audit(now)


def test_where_no_query_of_the_audit_is_left_the_status_says_so():
    one = RECORDS.filter(pl.col("record_id") == "r1")
    two = replace(ANNA, annotator="bruno", values={"query_quality": "good", "relevant": []})
    assert told_of_audit(ANNA, two, width=0.01, records=one)[2] == (
        "  the interval is wider than 0.01, and no query is left to judge"
    )


def test_before_anybody_judged_the_audit_or_anything_was_built_the_status_says_no_rate():
    assert told_of_audit()[1] == "  nobody has judged any of the audit yet"
    assert told_of_audit(ANNA, records=None, queue=None) == []


def test_the_status_says_how_many_more_records_agreement_takes():
    names = [f"r{number}" for number in range(1, 3)]
    apart = [
        replace(ANNA, record_id=name, values={"query_quality": "good" if name == "r1" else "vague"}) for name in names
    ]
    others = [replace(one, annotator="bruno", values={"query_quality": "vague"}) for one in apart]
    line = next(line for line in progress_lines(pulled(*apart, *others), WISHED) if "query_quality" in line)
    assert "an interval 0.1 wide takes about" in line
