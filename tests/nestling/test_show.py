"""The figures of the last build on one screen."""

import json
from pathlib import Path

import pytest

from nestling.commands.show import show, table
from nestling.errors import UserError
from nestling.evaluation.standing import GENERATED
from nestling.reporting.results import NOBODY

GAP = {"mean": 0.1, "low": 0.01, "high": 0.2, "p": 0.001, "p_holm": 0.004}
SYSTEMS = {
    "bm25": {"ndcg@10": 0.4},
    "base": {"64": {"ndcg@10": 0.5}},
    "tuned": {"64": {"ndcg@10": 0.625, "judged@10": 0.1}},
}
GAPS = {"64": {"ndcg@10": {"tuned": [0.6, 0.5, 0.7], "queries": 9, "minus_base": GAP, "minus_bm25": GAP}}}


def write_reports(*suites):
    Path("reports").mkdir()
    metrics = {"retrieval": dict.fromkeys(suites, SYSTEMS), "sts": {}}
    significance = {
        "suites": {suite: {"notes": [f"note on {suite}"]} for suite in suites},
        "retrieval": dict.fromkeys(suites, GAPS),
        "sts": {},
        "bm25": {"stemmer": "it"},
        "holm": {"minus_base": {"differences": 7, "family": "all suites"}},
    }
    Path("reports/metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    Path("reports/significance.json").write_text(json.dumps(significance), encoding="utf-8")


def test_systems_stand_below_each_other_and_the_interval_and_its_p_last():
    lines = [line.split() for line in table("gold", "ndcg@10", SYSTEMS, GAPS)]
    assert [line[-1] for line in lines] == ["64", "0.400", "0.500", "0.625", "0.100", "+0.200", "0.0040"]
    assert "+0.010" in lines[-2]


@pytest.mark.parametrize("title", ["gold", "heldout.generated (queries made by a program)"])
def test_dimensions_stand_above_their_figures_however_long_the_name(title):
    lines = "\n".join(table(title, "ndcg@10", SYSTEMS, GAPS)).splitlines()
    assert len({len(line) for line in lines if not line.startswith(title) or title == "gold"}) == 1


def test_what_people_wrote_comes_first_and_what_to_mind_stands_below(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_reports(GENERATED, "gold")
    show()
    told = capsys.readouterr().out
    assert told.startswith("gold, 9 queries that people wrote: tuned against base by nDCG@10 is better at 64")
    places = [told.index(text) for text in ("note on gold", f"{GENERATED} (queries made", f"note on {GENERATED}")]
    assert places == sorted(places)
    assert "bm25: words stemmed by the rules of it" in told
    assert "Holm's, over 7 differences (all suites)" in told


def test_queries_of_a_program_alone_are_said_to_be_no_evidence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_reports(GENERATED)
    show()
    assert capsys.readouterr().out.startswith(NOBODY)


def test_reports_of_an_older_version_are_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reports("gold")
    Path("reports/significance.json").write_text(json.dumps({"retrieval": {"gold": GAPS}, "sts": {}}))
    with pytest.raises(UserError, match="not of one build of this version: run `dvc repro`"):
        show()


def test_before_any_build_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"metrics\.json is missing: run `dvc repro`"):
        show()
