import json
from types import SimpleNamespace

import polars as pl
import pytest

from nestling.review.strata import audited, false_negatives
from nestling.tables.io import empty, write_json
from nestling.tables.review import Answer
from stages.mine import ceiling

NEGATIVES = ["n1", "n2", "n3"]


def said(*rows):
    """Marks of passages: (record_id, annotator, marked)."""
    told = [(record, "relevant", who, False, False, json.dumps(value), "t", "a") for record, who, value in rows]
    return pl.DataFrame(told, schema=empty(Answer).schema, orient="row")


def records(*rows, candidates=NEGATIVES, mined=(True, True, True)):
    """Records (record_id, stratum, margin), each with the same candidates."""
    frame = pl.DataFrame(rows, schema=["record_id", "stratum", "margin"], orient="row")
    return frame.with_columns(
        query_id="record_id",
        query="record_id",
        origin=pl.lit("recorded"),
        passage_id=pl.lit("own"),
        candidates=pl.lit(list(candidates)),
        mined=pl.lit(list(mined)),
    )


def hits(found, positive=1.0, mean=0.0, scores=(0.9, 0.65, 0.3)):
    mined = pl.DataFrame({"passage_id": NEGATIVES, "score": scores}).with_columns(
        positive_score=pl.lit(positive), mean_score=pl.lit(mean)
    )
    return found.select("query_id").join(mined, how="cross")


def queue(*audit):
    return pl.DataFrame({"record_id": audit}, schema={"record_id": pl.String}).with_columns(purpose=pl.lit("audit"))


def judged(found, answers, *audit, **scores):
    return audited(answers, found, queue(*audit), hits(found, **scores), seed=1)


def rows(found, answers, *audit, **scores):
    return judged(found, answers, *audit, **scores).negatives.rows


def rates_of(found, answers, *audit, **scores):
    return false_negatives(judged(found, answers, *audit, **scores), found, width=0.1)


def test_negatives_have_their_rank_among_the_mined_and_their_height_between_mean_and_positive():
    found = records(("r", "s", 0.1), mined=(True, False, True))
    assert rows(found, said(("r", "a", ["n3", "n2"])), "r").drop("stratum").rows() == [
        ("r", "n1", 1, pytest.approx(0.9), False),
        ("r", "n3", 2, pytest.approx(0.3), True),  # n2 was kept out by a margin
    ]


def test_only_the_audit_counts_and_ties_are_told():
    found = records(("r", "s", 0.1), ("active", "s", 0.1))
    told = said(("r", "a", ["n1"]), ("r", "b", []), ("active", "a", NEGATIVES))
    assert rows(found, told, "r")["relevant"].to_list() == [None, False, False]
    rates = rates_of(found, told, "r")
    assert (rates["ties"], rates["false_negatives"], rates["judged_negatives"]) == (1, 0, 3)
    assert (rates["ties_as_no"], rates["ties_as_yes"], rates["people_a_negative"]) == (0, 1 / 3, {"2": 3})
    assert (rates["strata"][0]["ties"], rates["by_rank"][0]["ties"]) == (1, 1)


def test_a_referee_settles_a_tie():
    found = records(("r", "s", 0.1), ("q", "s", 0.2))
    told = said(("r", "a", ["n1"]), ("r", "b", []))
    settled = pl.concat([told, said(("r", "c", ["n1"])).with_columns(referee=True)])
    rates = rates_of(found, settled, "r")
    assert (rates["ties"], rates["false_negatives"], rates["ties_as_no"]) == (0, 1, rates["ties_as_yes"])


def test_what_one_person_says_is_taken_as_it_stands_unless_others_tell_how_people_err():
    found = records(*((f"r{n}", "s", 0.1) for n in range(30)), *((f"x{n}", "s", 0.1) for n in range(30)))
    audit = [f"r{n}" for n in range(30)]
    alone = said(*((name, "a", ["n1"]) for name in audit))
    rates = rates_of(found, alone, *audit)
    assert rates["errors"] == {"missed": None, "false_alarms": None}
    assert (rates["rate"], rates["people_a_negative"]) == (pytest.approx(1 / 3), {"1": 90})
    twice = said(*((f"x{n}", who, [] if who == "b" and n % 3 else ["n1"]) for n in range(30) for who in "ab"))
    told = rates_of(found, pl.concat([alone, twice]), *audit)
    assert told["errors"]["missed"] > 0.05
    assert told["high"] > rates["high"]


def test_the_population_is_named():
    found = records(*((f"r{number}", "s", 0.1) for number in range(3)))
    assert rates_of(found, said(), "r0")["population"] == "mined negatives of 3 recorded queries"
    mixed = found.with_columns(origin=pl.Series(["recorded", "llm", "extractive"]))
    told = "mined negatives of 1 queries cut out of the passages, 1 llm queries and 1 recorded queries"
    assert rates_of(mixed, said(), "r0")["population"] == told


def test_a_primed_answer_is_no_part_of_the_rate_whoever_gave_it():
    found = records(("r", "s", 0.1), ("q", "s", 0.1))
    blind = said(("r", "a", ["n1"]))
    primed = said(("r", "b", NEGATIVES), ("q", "a", NEGATIVES)).with_columns(suggested=True)
    assert rows(found, pl.concat([blind, primed]), "r", "q").equals(rows(found, blind, "r", "q"))


def test_a_referee_brings_no_query_into_the_rate_that_only_primed_people_disputed():
    found = records(("r", "s", 0.1))
    primed = said(("r", "a", ["n1"]), ("r", "b", [])).with_columns(suggested=True)
    referee = said(("r", "c", ["n1"])).with_columns(referee=True)
    assert rows(found, pl.concat([primed, referee]), "r").is_empty()
    blind = primed.with_columns(suggested=pl.col("annotator") == "a")
    assert rows(found, pl.concat([blind, referee]), "r")["relevant"].to_list() == [True, False, False]


@pytest.mark.parametrize(
    ("positive", "mean", "share"),
    [(0.9, 0.7, 0.5), (-0.1, -0.3, 0.5), (0.9, 0.85, -1.0), (0.0, -0.2, 0.5), (0.5, 0.5, None), (0.5, 0.6, None)],
)
def test_a_share_is_what_the_relative_margin_cuts_by(positive, mean, share):
    score = mean + 0.1 if share != -1 else mean - 0.05
    found = records(("r", "s", 0.1))
    given = rows(found, said(("r", "a", [])), "r", positive=positive, mean=mean, scores=(score, -1.0, -1.0))
    assert given["share"][0] == (share if share is None else pytest.approx(share))
    if share == 0.5:  # the ceiling at the margin that the docs name
        reference = pl.DataFrame({"positive": [positive], "mean": [mean]})
        params = SimpleNamespace(absolute_margin=0.0, relative_margin=1 - share)
        cut = reference.select(ceiling(pl.col("positive"), pl.col("mean"), params)).item()
        assert cut == pytest.approx(score)


def test_the_rate_is_broken_down_by_rank_margin_and_score():
    found = records(("r", "near", 0.1), ("q", "near", 0.2), ("p", "far", 0.5), ("unjudged", "far", 0.6))
    told = said(("r", "a", ["n1"]), ("q", "a", ["n1", "n2"]), ("p", "a", []))
    rates = rates_of(found, told, "r", "q", "p")
    assert rates["rate"] == pytest.approx(3 / (6 + 2 * 3))  # the far query stands for two
    assert [(each["from"], each["to"], each["rate"]) for each in rates["by_rank"]] == [
        (1, 1, pytest.approx(2 / 4)),
        (2, 2, pytest.approx(1 / 4)),
        (3, 3, 0),
    ]
    assert [(each["stratum"], each["from"], each["to"], each["rate"]) for each in rates["by_margin"]] == [
        ("far", 0.5, 0.6, 0),
        ("near", 0.1, 0.2, 0.5),
    ]
    assert [(each["from"], each["to"], each["false_negatives"]) for each in rates["by_score"]] == [
        (None, 0.5, 0),
        (0.6, 0.7, 1),
        (0.9, 1.0, 2),
    ]
    assert all(each["low"] <= each["rate"] <= each["high"] for each in rates["by_rank"])


def test_ranks_above_four_stand_in_bands_that_double():
    names = [f"n{place}" for place in range(1, 18)]
    found = records(("r", "s", 0.1), candidates=names, mined=[True] * 17)
    rates = rates_of(found, said(("r", "a", ["n5", "n17"])), "r")
    assert [(each["from"], each["to"], each["judged_negatives"]) for each in rates["by_rank"]] == [
        *((rank, rank, 1) for rank in (1, 2, 3, 4)),
        (5, 8, 4),
        (9, 16, 8),
        (17, 32, 1),
    ]


def test_a_candidate_that_scores_as_its_positive_or_above_stands_in_the_last_band():
    found = records(("r", "s", 0.1))
    rates = rates_of(found, said(("r", "a", ["n1"])), "r", scores=(1.2, 1.0, 0.5))
    assert [(each["from"], each["to"], each["judged_negatives"]) for each in rates["by_score"]] == [
        (0.5, 0.6, 1),
        (1.0, None, 2),
    ]


def test_without_answers_there_are_no_parts_and_the_report_is_valid(tmp_path):
    found = records(("r", "s", 0.1))
    rates = rates_of(found, said(), "r")
    write_json(rates, tmp_path / "report.json")
    assert (rates["rate"], rates["by_rank"], rates["by_margin"], rates["by_score"]) == (None, [], [], [])
    assert rates["strata_without_answers"] == ("s",)
