"""An LLM's answers under DVC: what asks and what does not, at home, at a colleague's and after a kill."""

import hashlib
import json
import os
import signal
import subprocess
import time
from typing import Any

import polars as pl
import pytest

from tests.liar import Liar
from tests.project import Project, cached, clone, remove

IN_FLIGHT = 8
ECHO = {"kind": "echo"}
VLLM = {
    "kind": "vllm",
    "dtype": "auto",
    "quantization": "none",
    "max_model_len": 8192,
    "tensor_parallel": 1,
    "memory": 0.9,
    "in_flight": 8,
}
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256}
JUDGE = {"kind": "writer", "threshold": 0.3, "attempts": 1, "sampling": SAMPLING}
SELF_TEST = 16  # of its 40 queries, those that a passage which changes may have in it, and their neighbours
RESPONSES = "data/responses.jsonl"
OUTS = ["data/generated", RESPONSES]

pytestmark = pytest.mark.slow


def server(url: str) -> dict[str, Any]:
    backend = {"kind": "server", "url": url, "served_as": "", "structure": "schema"}
    return backend | {"in_flight": IN_FLIGHT, "tries": 3, "timeout_s": 10.0}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project whose queries an LLM is to write and to judge."""
    project = clone(tmp_path_factory.mktemp("prepared") / "project")
    project.change(
        {
            "generate.sources": [{"kind": "llm"}],
            "generate.llm.model": {"name": "liar", "revision": "1"},
            "generate.llm.writing.sampling": SAMPLING,
            "generate.llm.judge": JUDGE,
        }
    )
    project.repro("prepare")
    return project


@pytest.fixture(scope="module")
def answered(prepared, tmp_path_factory):
    """The project after `dvc repro generate`, committed; the server is gone."""
    project = prepared.copy(tmp_path_factory.mktemp("answered") / "project")
    with Liar() as liar:
        project.change({"generate.llm.backend": server(liar.url)})
        assert project.repro("generate") == ["generate"]
    assert run(project)["asked"] == len(liar.digests) == len(set(liar.digests))
    project.commit()
    return project


@pytest.fixture
def project(answered, tmp_path) -> Project:
    return answered.copy(tmp_path / "project")


def run(project: Project) -> dict[str, int]:
    """Return the figures of the last run."""
    report = json.loads((project.root / "reports/generate.json").read_text(encoding="utf-8"))
    return dict(report["llm"]["run"])


def answers(project: Project) -> int:
    return (project.root / RESPONSES).read_bytes().count(b"\n")


def comment(project: Project) -> None:
    """Change the code, and nothing that it does."""
    with (project.root / "nestling/queries/gates.py").open("a", encoding="utf-8") as file:
        file.write("# a comment\n")


def rewrite_a_document(project: Project) -> str:
    """Give a document another text; return a part of it."""
    file = project.root / "data/raw/tiny/documents/mare.jsonl"
    first, *others = file.read_text(encoding="utf-8").splitlines()
    told = "La pesca con la canna dal molo vecchio è libera soltanto di notte, da ottobre a marzo, fino alle sei."
    row = {**json.loads(first), "text": told}
    file.write_text("\n".join([json.dumps(row, ensure_ascii=False), *others]) + "\n", encoding="utf-8")
    return told


def spoilt(project: Project) -> list[str]:
    """Return the objects of DVC's cache that do not hold what they are named after."""
    files = [path for path in (project.root / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert files
    named = {path: (path.parent.name + path.name).removesuffix(".dir") for path in files}
    return [name for path, name in named.items() if hashlib.md5(path.read_bytes()).hexdigest() != name]


# --- at home


def test_a_second_repro_runs_nothing(answered):
    assert answered.repro("generate") == []


@pytest.mark.parametrize(
    "change",
    [
        comment,
        lambda project: project.change({"generate.llm.backend.in_flight": 3, "generate.llm.backend.timeout_s": 1.0}),
        lambda project: project.change({"generate.llm.backend": VLLM}),
    ],
    ids=["a comment in the code", "how the server is asked", "who answers for the model"],
)
def test_what_decides_no_answer_asks_nothing_and_changes_no_byte(project, answered, change):
    change(project)
    assert project.repro("generate") == ["generate"]
    assert (run(project)["asked"], run(project)["cache_hits"]) == (0, answers(project))
    assert project.digests(OUTS) == answered.digests(OUTS)


def test_a_document_that_changed_asks_about_its_own_passages_only(project, answered):
    told = rewrite_a_document(project)
    with Liar() as liar:
        project.change({"generate.llm.backend": server(liar.url)})
        assert project.repro("generate") == ["prepare", "generate"]
    judged = pl.read_parquet(project.root / "data/generated/judged.parquet")
    passages = pl.read_parquet(project.root / "data/prepared/passages.parquet")
    (passage,) = passages.filter(pl.col("text").str.contains(told, literal=True))["passage_id"]
    of_others = sum(told not in asked for asked in liar.asked)  # queries that come into the judge's self-test instead
    own = 1 + judged.filter(pl.col("passage_id") == passage).height
    assert own + of_others <= len(liar.asked) == run(project)["asked"] <= own + of_others + SELF_TEST
    assert of_others <= SELF_TEST
    before = pl.read_parquet(answered.root / "data/generated/judged.parquet")
    assert before.filter(pl.col("passage_id").is_in(passages["passage_id"].implode())).height < before.height
    assert judged.filter(pl.col("passage_id") != passage).equals(before.join(judged, "passage_id", "semi"))


def test_another_source_leaves_no_answers_and_the_llm_again_asks_nothing(project, answered):
    project.change({"generate.sources": [{"kind": "recorded"}]})
    assert project.repro("generate") == ["generate"]
    assert (project.root / RESPONSES).read_bytes() == b""
    project.change({"generate.sources": [{"kind": "llm"}]})
    assert project.repro("--no-run-cache", "generate") == ["generate"]
    assert run(project)["asked"] == 0
    assert project.digests(OUTS) == answered.digests(OUTS)


def test_a_repro_that_was_killed_among_the_answers_goes_on(prepared, answered, tmp_path):
    project = prepared.copy(tmp_path / "project")
    with Liar(delay=0.05) as liar:
        project.change({"generate.llm.backend": server(liar.url)})
        process = subprocess.Popen(
            ["dvc", "repro", "generate"], cwd=project.root, env=project.environment, start_new_session=True
        )
        while process.poll() is None and len(cached(project)) < 50:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        time.sleep(0.5)  # the server says the last of what it was asked
        kept, said = len(cached(project)), len(liar.digests)
        assert project.repro("generate") == ["generate"]
    assert len(liar.digests) - said == run(project)["asked"] == answers(answered) - kept
    assert said - kept <= IN_FLIGHT
    assert project.digests(OUTS) == answered.digests(OUTS)


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_answers_that_are_a_link_into_dvcs_cache_give_way_and_the_cache_stays(project, answered, kind):
    project.run("dvc", "config", "cache.type", kind)
    project.run("dvc", "checkout", "--relink", "prepare", "generate")
    responses = project.root / RESPONSES
    assert responses.is_symlink() or responses.stat().st_nlink > 1
    project.change({"generate.llm.backend": ECHO})
    rewrite_a_document(project)
    project.stage("prepare")
    project.stage("generate")
    new = project.digests(OUTS)
    assert new != answered.digests(OUTS)
    assert spoilt(project) == []
    project.run("dvc", "checkout", "--force", "prepare", "generate")
    assert project.digests(OUTS) == answered.digests(OUTS)
    assert project.repro("generate") == ["prepare", "generate"]
    assert run(project)["asked"] == 0
    assert project.digests(OUTS) == new
    assert responses.is_symlink() or responses.stat().st_nlink > 1
    assert spoilt(project) == []


# --- elsewhere


def test_a_colleague_asks_nothing_with_the_server_gone(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    project.run("dvc", "push")
    project.commit()
    project.run("git", "clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull", "prepare", "generate")
    assert not (clone.root / "data/response_cache").exists()
    assert clone.repro("--force", "--single-item", "generate") == ["generate"]
    assert (run(clone)["asked"], run(clone)["cache_hits"]) == (0, answers(project))
    assert clone.digests(OUTS) == project.digests(OUTS)
    remove(clone.root / "data/response_cache")
    comment(clone)
    assert clone.repro("generate") == ["generate"]
    assert run(clone)["asked"] == 0
    assert clone.digests(OUTS) == project.digests(OUTS)


# --- the whole way


def test_the_pipeline_goes_to_its_end_with_queries_of_an_llm(prepared, tmp_path):
    project = prepared.copy(tmp_path / "project")
    project.change({"generate.llm.backend": ECHO})
    assert project.repro()[-1] == "report"
    written = pl.read_parquet(project.root / "data/generated/queries.parquet")
    assert set(written["origin"]) == {"llm"}
    trained = pl.read_parquet(project.root / "data/balanced/retrieval/train.parquet")
    assert trained.height > 0
    card = (project.root / "reports/model_card.md").read_text(encoding="utf-8")
    assert f"| llm | {written.height:,} |" in card
    funnel = json.loads((project.root / "reports/plots/funnel.json").read_text(encoding="utf-8"))
    assert {row["what"] for row in funnel} >= {"kept", "judge"}
    assert project.repro() == []
