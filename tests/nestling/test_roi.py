"""What judgements bought: equal terms for both trainings, honest intervals, and a project that stays as it is."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nestling.commands.review_roi import OUT, WORK, roi
from nestling.errors import UserError
from nestling.evaluation.bootstrap import paired_difference
from nestling.review.roi import Weighing, compare_pairs, compare_queries, counted, in_words, shown, table
from nestling.review.sizes import cut
from nestling.review.variants import Declared, Step, alone, build, declared, digest, lay, run_stage
from tests.project import Project

WITHOUT, WITH = WORK / "1/without", WORK / "1/with"
HOW = Weighing(judgements=50, seed=1, replicates=500)


def scores(values: list[float], system: str = "tuned", metric: str = "ndcg@10") -> pl.DataFrame:
    names = [f"q{number}" for number in range(len(values))]
    return pl.DataFrame({"query_id": names, "value": values}).with_columns(
        suite=pl.lit("gold"), system=pl.lit(system), dim=pl.lit(64), metric=pl.lit(metric)
    )


def cosines(values: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"cosine": values, "score": [0.0, 0.2, 0.5, 0.7, 1.0]}).with_columns(
        pair_id=pl.int_range(5).cast(pl.String), suite=pl.lit("sts"), system=pl.lit("tuned"), dim=pl.lit(64)
    )


def figures(low: float, high: float, trainings: int = 2) -> dict:
    gap = {"mean": (low + high) / 2, "low": low, "high": high}
    return {
        "without": 0.5,
        "with": 0.6,
        "difference": gap,
        "per_100_judgements": gap,
        "over_trainings": [0.1] * trainings,
    }


# --- what is counted and compared


def test_each_person_s_answer_to_each_question_is_a_judgement_and_a_comment_is_none():
    said = [("r1", "relevant", "anna"), ("r1", "relevant", "ugo"), ("r1", "comment", "ugo"), ("r2", "rewrite", "ugo")]
    assert counted(pl.DataFrame(said, schema=["record_id", "question", "annotator"], orient="row")) == 3


def of_gold(without: list[pl.DataFrame], judged: list[pl.DataFrame]) -> dict:
    return compare_queries(without, judged, HOW)["gold"]["64"]["ndcg@10"]


def test_the_difference_is_of_the_same_queries_and_per_hundred_judgements():
    judged = pl.concat([scores([0.6, 0.4, 1.0])[::-1], scores([0.0] * 3, "base"), scores([0.0] * 3, metric="mrr@10")])
    found = of_gold([scores([0.5, 0.5, 0.7])], [judged])
    assert (found["without"], found["with"], found["queries"]) == (0.566667, 0.666667, 3)
    assert found["difference"]["mean"] == 0.1
    assert found["per_100_judgements"]["low"] == pytest.approx(2 * found["difference"]["low"], abs=1e-5)


def test_the_interval_of_one_training_is_that_over_queries():
    before, after = [0.5, 0.5, 0.7, 0.1], [0.6, 0.4, 1.0, 0.2]
    expected = paired_difference(np.array(after), np.array(before), HOW.seed, HOW.replicates)
    found = of_gold([scores(before)], [scores(after)])["difference"]
    assert [found["low"], found["high"]] == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_trainings_that_go_either_way_widen_the_interval():
    before, up, down = [0.5] * 4, [0.6, 0.6, 0.6, 0.62], [0.5, 0.5, 0.5, 0.52]
    agreeing = of_gold([scores(before)] * 3, [scores(up)] * 3)
    differing = of_gold([scores(before)] * 3, [scores(up), scores(up), scores(down)])
    assert differing["over_trainings"] == pytest.approx([0.105, 0.105, 0.005])
    assert agreeing["difference"]["low"] > 0 > differing["difference"]["low"]
    assert differing["over_queries"]["low"] > 0


def test_the_same_scores_differ_by_nothing_with_no_width():
    same, alike = [scores([0.5, 0.25]), scores([0.1, 0.3])], [cosines([1, 2, 4, 3, 5]), cosines([2, 1, 4, 3, 5])]
    for found in (of_gold(same, same), compare_pairs(alike, alike, HOW)["sts"]["64"]["spearman"]):
        assert found["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
        assert "neither gain nor loss" in in_words("gold", found)


def test_pairs_in_better_order_are_a_gain():
    found = compare_pairs([cosines([5, 1, 4, 2, 3])], [cosines([1, 2, 3, 4, 5])], HOW)["sts"]["64"]["spearman"]
    assert found["with"] == 1.0
    assert found["difference"]["mean"] == pytest.approx(1.0 - found["without"])


@pytest.mark.parametrize(
    ("low", "high", "trainings", "word"),
    [
        (0.1, 0.2, 2, "better"),
        (-0.2, -0.1, 2, "worse"),
        (-0.1, 0.2, 2, "neither"),
        (0.0, 0.2, 2, "neither"),
        (0.1, 0.2, 1, "one training may be luck"),
    ],
)
def test_noise_is_not_called_a_gain(low, high, trainings, word):
    assert word in in_words("gold, ndcg@10, 64", figures(low, high, trainings))


def test_the_largest_dimension_is_shown_and_the_one_nearest_to_256():
    dims = {str(dim): {"ndcg@10": figures(0, 1)} for dim in (1024, 512, 200, 64)}
    report = {"retrieval": {"gold": dims}, "sts": {}}
    assert [name for name, _ in shown(report)] == ["gold, ndcg@10, 1024", "gold, ndcg@10, 200"]
    assert table(report)[1].split()[:4] == ["gold,", "ndcg@10,", "1024", "0.500"]


# --- equal terms


def test_a_cut_set_keeps_its_order_and_the_seed_decides_what_goes():
    rows = pl.DataFrame({"place": range(100)})
    assert cut(rows, 40, 1)["place"].is_sorted()
    assert cut(rows, 40, 1)["place"].n_unique() == 40
    assert cut(rows, 40, 1).equals(cut(rows, 40, 1))
    assert not cut(rows, 40, 1).equals(cut(rows, 40, 2))
    assert cut(rows, 100, 1).equals(rows)


# --- folders and steps


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder with code of one stage, parameters and an artifact."""
    monkeypatch.chdir(tmp_path)
    for folder in ("nestling", "stages", "data/prepared", "data/annotations"):
        Path(folder).mkdir(parents=True)
    Path("params.yaml").write_text("shared: {seed: 1}\n")
    Path("data/prepared/passages").write_text("mare")
    Path("stages/train.py").write_text("import sys\nsys.exit('error: lower train.dims')\n")
    return tmp_path


def stage(*deps: str) -> dict[str, Declared]:
    return {"train": Declared(deps, ("models/tuned",), {})}


def test_a_variant_links_artifacts_and_copies_what_people_said(home):
    Path("data/annotations/one.jsonl").write_text("{}")
    lay(Path("v"), stage("data/prepared/passages", "data/annotations"), {}, Path("data/annotations"))
    assert Path("v/data/prepared/passages").is_symlink()
    assert not Path("v/data/annotations/one.jsonl").is_symlink()
    lay(Path("v"), stage("data/prepared/passages", "data/annotations"), {}, None)
    assert list(Path("v/data/annotations").iterdir()) == []


def test_no_artifact_is_touched_when_a_folder_was_linked_whole_before(home):
    lay(Path("v"), stage("data/prepared"), {}, None)
    lay(Path("v"), stage("data/prepared/passages"), {}, None)
    assert Path("data/prepared/passages").read_text() == "mare"
    assert not Path("data/prepared/passages").is_symlink()


def test_a_missing_artifact_is_named(home):
    with pytest.raises(UserError, match=r"data/mined is missing: run `dvc repro` first"):
        lay(Path("v"), stage("data/mined"), {}, None)


@pytest.mark.parametrize("path", ["/models/base", "../base"])
def test_a_path_out_of_the_project_is_refused(home, path):
    Path("dvc.yaml").write_text("stages: {train: {deps: ['${shared.current}'], outs: [models/tuned]}}\n")
    with pytest.raises(UserError, match="leads out of the project"):
        declared(["train"], {"shared": {"current": path}})


def test_a_stage_that_fails_is_told_by_its_own_last_sentence(home):
    lay(Path("v"), stage(), {}, None)
    with (
        alone(Path("v")) as guard,
        pytest.raises(UserError, match="train v judgements failed: lower train"),
    ):
        run_stage("train", Path("v"), [], guard)


def test_two_do_not_work_in_one_folder_and_a_stage_left_behind_holds_it(home):
    with alone(Path("v")) as guard:
        with pytest.raises(UserError, match="somebody is at work in v"), alone(Path("v")):
            pass
        left = subprocess.Popen(["sleep", "60"], pass_fds=[guard])
    with pytest.raises(UserError, match="somebody is at work in v"), alone(Path("v")):
        pass
    left.kill()
    left.wait()
    with alone(Path("v")):
        pass


def steps(folder: Path, done: list[str], key: str = "1") -> Step:
    """Return the last of two steps, which note in `done` that they ran; the first is killed once where it is told."""

    def work(name: str) -> None:
        done.append(name)
        (folder / name).write_text(key)
        if (folder / f"kill {name}").exists():
            (folder / f"kill {name}").unlink()
            raise KeyboardInterrupt

    train = Step("train", folder, key, (folder / "train",), lambda: work("train"), ())
    return Step("evaluate", folder, key, (folder / "evaluate",), lambda: work("evaluate"), (train,))


def test_a_step_is_done_once_and_what_only_it_needed_may_go(tmp_path):
    done: list[str] = []
    build(steps(tmp_path, done))
    (tmp_path / "train").unlink()
    build(steps(tmp_path, done))
    assert done == ["train", "evaluate"]


def test_a_killed_step_is_done_again_and_the_one_before_is_not(tmp_path):
    done: list[str] = []
    (tmp_path / "kill evaluate").touch()
    with pytest.raises(KeyboardInterrupt):
        build(steps(tmp_path, done))
    build(steps(tmp_path, done))
    assert done == ["train", "evaluate", "evaluate"]


def test_a_step_that_another_version_killed_is_not_taken_for_done(tmp_path):
    done: list[str] = []
    build(steps(tmp_path, done))
    (tmp_path / "kill evaluate").touch()
    with pytest.raises(KeyboardInterrupt):
        build(steps(tmp_path, done, "2"))
    build(steps(tmp_path, done, "1"))
    assert (tmp_path / "evaluate").read_text() == "1"


def test_a_digest_knows_names_and_bytes(tmp_path):
    (tmp_path / "a").write_text("x")
    before = digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest(tmp_path) != before


def test_without_judgements_one_sentence(home):
    Path("data/annotations/one.jsonl").write_text(answer("r", "comment", "bello"))
    with pytest.raises(UserError, match="data/annotations holds no judgements yet"):
        roi(trainings=1)
    assert not WORK.exists()


# --- the whole command on the tiny project


def answer(record: str, question: str, value: object) -> str:
    """Return what one person said, as a line of data/annotations."""
    said = {"record_id": record, "question": question, "value": value, "annotator": "anna", "status": "submitted"}
    return json.dumps(said | {"submitted_at": "2026-11-20T10:00:00Z"}) + "\n"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nestling.commands.main", "review", "roi", "--trainings", "1", *arguments]


def report(project: Project) -> dict:
    return json.loads((project.root / OUT).read_text(encoding="utf-8"))


def asked(project: Project) -> pl.DataFrame:
    """Return the records of training queries, with a mined negative each."""
    records = pl.read_parquet(project.root / "data/queue/records.parquet").filter(pl.col("mined").list.any())
    queries = pl.read_parquet(project.root / "data/filtered/queries.parquet").filter(pl.col("split") == "train")
    return records.join(queries.select("query_id"), on="query_id").sort("record_id")


def judge(project: Project, lines: list[str]) -> None:
    (project.root / "data/annotations/round-01.jsonl").write_text("".join(lines), encoding="utf-8")
    project.commit()


def kill_at(project: Project, words: str) -> str:
    """Start the command, kill it and its stage when it says `words`, and return what it had said."""
    process = subprocess.Popen(
        command(), cwd=project.root, env=project.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    said = ""
    assert process.stderr
    for line in process.stderr:
        said += line
        if words in line:
            time.sleep(1)  # into the stage
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return said


@pytest.fixture(scope="module")
def weighed(built, tmp_path_factory):
    """Return the project after a kill and a second run, all that it said, and the state of all files before."""
    project = built.copy(tmp_path_factory.mktemp("weighed"))
    bad, vague, found, *_ = asked(project).unique("query", maintain_order=True).rows(named=True)
    own, other = found["passage_id"], found["candidates"][found["mined"].index(True)]
    words = [answer(one["record_id"], "query_quality", "vague") for one in (bad, vague)]
    judge(project, [*words, answer(found["record_id"], "relevant", [own, other])])
    before = project.digests([*project.outs(), "dvc.lock", "data/annotations", "params.yaml"])
    killed = kill_at(project, "1 with judgements: train")
    again = project.run(*command())
    return project, (killed, again), before, (bad, vague, found, other)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_and_ends_as_one_at_a_stroke(weighed):
    project, (killed, again), _, _ = weighed
    assert "1 without judgements: evaluate" in killed
    assert again.stderr.splitlines() == [f"roi: training 1 with judgements: {name}" for name in ("train", "evaluate")]
    before = (project.root / OUT).read_bytes()
    assert project.run(*command()).stderr == ""
    assert "1 without judgements: curate" in project.run(*command("--fresh")).stderr
    assert (project.root / OUT).read_bytes() == before


@pytest.mark.slow
def test_the_project_stays_as_it_is(weighed):
    project, _, before, _ = weighed
    assert project.digests([*project.outs(), "dvc.lock", "data/annotations", "params.yaml"]) == before
    assert project.run("git", "status", "--porcelain").stdout == f"?? {OUT}\n"
    assert not list((project.root / WITH).rglob("*.safetensors"))


@pytest.mark.slow
def test_the_sets_differ_by_what_people_said_and_are_of_one_size(weighed):
    project, _, _, (bad, vague, found, other) = weighed
    uncut, trained = (
        [pl.read_parquet(project.root / folder / where / "retrieval/train.parquet") for folder in (WITHOUT, WITH)]
        for where in ("uncut/balanced", "data/balanced")
    )
    key = ["query_id", "positive_id"]
    gone, new = (mine.join(its, on=key, how="anti") for mine, its in (uncut, uncut[::-1]))
    assert set(gone.select(key).rows()) == {(one["query_id"], one["passage_id"]) for one in (bad, vague)}
    assert set(new.select(key).rows()) == {(found["query_id"], other)}
    assert uncut[0].height != uncut[1].height
    assert trained[0].height == trained[1].height == min(rows.height for rows in uncut)
    assert json.loads((project.root / OUT).read_text())["sizes"]["retrieval"]["with"]["in_this_alone"] == 2


@pytest.mark.slow
def test_every_suite_is_measured_at_every_dimension_by_one_ruler(weighed):
    project, (_, again), _, _ = weighed
    found = report(project)
    assert found["judgements"] == 3
    assert set(found["retrieval"]) == {"gold", "heldout.recorded", "heldout.generated"}
    assert all(list(dims) == ["64", "32"] for kind in ("retrieval", "sts") for dims in found[kind].values())
    ruler = [(project.root / folder / "data/heldout/qrels.parquet").read_bytes() for folder in (WITHOUT, WITH)]
    assert ruler[0] == ruler[1]
    assert all(sentence in again.stdout for sentence in found["in_words"])


@pytest.mark.slow
def test_judgements_that_change_nothing_bought_exactly_nothing(project):
    judge(project, [answer(record, "query_quality", "good") for record in asked(project)["record_id"][:5]])
    project.run(*command())
    found = report(project)
    gaps = [
        one["difference"]
        for kind in ("retrieval", "sts")
        for dims in found[kind].values()
        for dim in dims.values()
        for one in dim.values()
    ]
    suites = {*found["retrieval"], *found["sts"]}
    assert suites == {"gold", "heldout.recorded", "heldout.generated", "sts"}
    assert gaps == [{"mean": 0.0, "low": 0.0, "high": 0.0}] * len(suites) * 2  # dimensions


@pytest.mark.slow
def test_a_stage_that_cannot_run_ends_the_command_with_its_sentence(project):
    judge(project, [answer(asked(project)["record_id"][0], "query_quality", "good")])
    project.change({"curate.replicates": "viele"})
    done = project.run(*command(), check=False)
    assert done.returncode == 1
    assert "curate without judgements failed: params.yaml: curate.replicates is 'viele'" in done.stderr
