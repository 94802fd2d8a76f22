"""The pipeline as its users have it: repro, change something, repro, compare, look, clone."""

import json

import polars as pl
import pytest
import yaml

from tests.project import REPOSITORY, Project

STAGES = list(yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"])

pytestmark = pytest.mark.slow


def read(project: Project, report: str) -> dict:
    return json.loads((project.root / f"reports/{report}.json").read_text(encoding="utf-8"))


def judge(project: Project, record: dict, passages: list[str]) -> None:
    """Write what one person said of one record, as it comes back from review."""
    answer = {
        "record_id": record["record_id"],
        "question": "relevant",
        "value": passages,
        "annotator": "anna",
        "status": "submitted",
        "submitted_at": "2026-11-20T10:00:00Z",
    }
    (project.root / "data/annotations/round-01.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")


def test_a_build_measures_every_suite_at_every_dimension(built):
    metrics = read(built, "metrics")
    assert set(metrics["retrieval"]) == {"gold", "heldout.recorded", "heldout.generated"}
    for suite in metrics["retrieval"].values():
        assert set(suite) == {"bm25", "base", "tuned"}
        assert list(suite["tuned"]) == list(suite["base"]) == ["64", "32"]
        assert all(0 < value["ndcg@10"] <= 1 for value in [suite["bm25"], *suite["tuned"].values()])
    assert list(metrics["sts"]["sts"]["tuned"]) == ["64", "32"]


def test_a_second_repro_runs_no_stage(built):
    assert built.repro() == []
    assert built.run("git", "status", "--porcelain").stdout == ""


def test_a_parameter_of_mine_reruns_mine_and_what_follows_and_nothing_before(project):
    project.change({"mine.num_negatives": 2})
    assert project.repro() == STAGES[STAGES.index("mine") :]


def test_a_shared_seed_reruns_all_that_draw_and_no_other(project, built):
    project.change({"shared.seed": 7})
    drawing = {name for name, stage in built.declared().items() if "shared.seed" in stage["params"]}
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    assert {name for name, said in status.items() if "params.yaml" in str(said)} == drawing


def test_a_false_negative_that_people_found_is_trained_on_as_a_positive(project):
    records = pl.read_parquet(project.root / "data/queue/records.parquet")
    queries = pl.read_parquet(project.root / "data/filtered/queries.parquet").filter(pl.col("split") == "train")
    record = records.filter(pl.col("mined").list.any()).join(queries, on="query_id").row(0, named=True)
    found = record["candidates"][record["mined"].index(True)]
    judge(project, record, [record["passage_id"], found])
    assert project.repro("balance") == ["select", "curate", "balance"]
    trained = pl.read_parquet(project.root / "data/balanced/retrieval/train.parquet")
    mine = trained.filter(pl.col("query_id") == record["query_id"])
    assert set(mine["positive_id"]) == {record["passage_id"], found}
    assert found not in mine["negative_ids"].explode()
    assert read(project, "curation")["negatives_promoted"] == 1


def test_a_parameter_of_train_reruns_what_follows_and_a_clone_compares_metrics_without_pulling(project, tmp_path):
    project.change({"train.dims": [32], "train.weights": [1.0]})
    assert project.repro() == ["train", "evaluate", "report"]
    project.commit()
    project.run("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    table = Project(tmp_path / "clone").run("dvc", "metrics", "diff", "HEAD~1", "--md").stdout
    assert "retrieval.gold.tuned.64.ndcg@10" in table
    assert not (tmp_path / "clone/data/prepared").exists()


def test_plots_are_shown_as_a_page(project):
    project.run("dvc", "plots", "show", "--out", "page")
    page = (project.root / "page/index.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("dimensions", "margins", "funnel"))
    assert "vega" in page.lower()


def test_artifacts_go_to_a_remote_and_come_back_on_a_clone(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.commit()
    project.run("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull")
    assert clone.repro() == []
    assert clone.digests(clone.outs()) == project.digests(project.outs())
