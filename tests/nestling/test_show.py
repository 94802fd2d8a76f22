"""The figures of the last build on one screen."""

import json
from pathlib import Path

import pytest

from nestling.commands.show import show, table
from nestling.errors import UserError

GAP = {"low": -0.01, "high": 0.1}
SYSTEMS = {"bm25": {"ndcg@10": 0.4}, "base": {"64": {"ndcg@10": 0.5}}, "tuned": {"64": {"ndcg@10": 0.625}}}
GAPS = {"64": {"ndcg@10": {"minus_base": GAP}}}


def test_systems_stand_below_each_other_and_the_interval_last():
    lines = [line.split() for line in table("gold", "ndcg@10", SYSTEMS, GAPS)]
    assert [line[-1] for line in lines] == ["64", "0.400", "0.500", "0.625", "+0.100"]
    assert "-0.010" in lines[-1]


def test_a_suite_of_each_kind_is_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("reports").mkdir()
    Path("reports/metrics.json").write_text(json.dumps({"retrieval": {"gold": SYSTEMS}, "sts": {}}))
    Path("reports/significance.json").write_text(json.dumps({"retrieval": {"gold": GAPS}, "sts": {}}))
    show()
    assert capsys.readouterr().out.startswith("gold, ndcg@10")


def test_before_any_build_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"metrics\.json is missing: run `dvc repro`"):
        show()
