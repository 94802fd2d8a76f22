"""What can be wrong with an LLM, through the real stage: one sentence, and the tables from before stay."""

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import Project, clone, remove

VLLM = {
    "kind": "vllm",
    "dtype": "auto",
    "quantization": "none",
    "max_model_len": 2048,
    "tensor_parallel": 1,
    "memory": 0.5,
    "in_flight": 8,
}
SERVER = {
    "kind": "server",
    "served_as": "",
    "structure": "schema",
    "in_flight": 8,
    "tries": 2,
    "timeout_s": 5.0,
}
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256}
TEMPLATE = "nestling/queries/prompts/it.yaml"
OUTS = ["data/generated", "data/responses.jsonl", "reports/generate.json"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A project whose queries no model but the echo wrote."""
    project = clone(tmp_path_factory.mktemp("answered") / "project")
    project.change(
        {
            "generate.sources": [{"kind": "llm"}],
            "generate.llm.model": {"name": "echo", "revision": "1"},
            "generate.llm.backend": {"kind": "echo"},
        }
    )
    project.stage("prepare")
    project.stage("generate")
    return project


@pytest.fixture
def project(answered, tmp_path) -> Project:
    return answered.copy(tmp_path / "project")


def model(name: str, revision: str) -> Any:
    """Have vLLM load another model than the one that answered before."""
    chosen = {"name": name, "revision": revision}
    return lambda project: project.change({"generate.llm.model": chosen, "generate.llm.backend": VLLM})


def folder_of_another_model(project: Project) -> None:
    (project.root / "mine").mkdir()
    (project.root / "mine/config.json").write_text("{}", encoding="utf-8")
    model("./mine", "a" * 64)(project)


def judge_that_is_nowhere(project: Project) -> None:
    nowhere = {"name": "./nowhere", "revision": "a" * 64}
    asked = {"threshold": 0.5, "attempts": 1, "sampling": SAMPLING}
    project.change({"generate.llm.judge": {"kind": "llm", "model": nowhere, "backend": VLLM, **asked}})


def nobody_at_the_port(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    project.change({"generate.llm.model.revision": "2", "generate.llm.backend": SERVER | {"url": url}})


def no_template(project: Project) -> None:
    (project.root / TEMPLATE).unlink()


def template_that_lacks_a_field(project: Project) -> None:
    tree = yaml.safe_load((project.root / TEMPLATE).read_text(encoding="utf-8"))
    del tree["wanted"]["claim"]
    write(project, TEMPLATE, yaml.safe_dump(tree, allow_unicode=True))


def template_that_shows_no_passage(project: Project) -> None:
    text = (project.root / TEMPLATE).read_text(encoding="utf-8")
    write(project, TEMPLATE, text.replace("{passage}", ""))


def template_in_another_encoding(project: Project) -> None:
    text = (project.root / TEMPLATE).read_text(encoding="utf-8")
    (project.root / TEMPLATE).write_bytes(text.encode("utf-16"))


def responses_in_conflict(project: Project) -> None:
    there = (project.root / "data/responses.jsonl").read_text(encoding="utf-8")
    write(project, "data/responses.jsonl", f"<<<<<<< HEAD\n{there}")


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence that the stage ended with, beside its progress."""
    progress = re.compile(r".*answers/s|llm: \d+ answers .* to ask for")
    said = [line for line in re.split(r"[\r\n]+", done.stderr) if line.strip() and not progress.match(line)]
    assert (done.returncode, len(said)) == (1, 1), done.stderr
    assert said[0].startswith("error: ")
    return said[0]


def write(project: Project, path: str, text: str) -> None:
    (project.root / path).write_text(text, encoding="utf-8")


def changed(**values: object) -> Any:
    return lambda project: project.change({f"generate.llm.{name}": value for name, value in values.items()})


REFUSED = [
    (model("./nowhere", "a" * 64), "there is no folder ./nowhere: correct generate.llm.model.name"),
    (model("nowhere/model", "a" * 40), "nowhere/model at aaaaaaaaaaaa cannot be fetched from the hub"),
    (model("nowhere/model", "main"), "generate.llm.model.revision is 'main'"),
    (folder_of_another_model, "generate.llm.model: ./mine has the fingerprint"),
    (judge_that_is_nowhere, "there is no folder ./nowhere"),
    (nobody_at_the_port, "cannot be reached"),
    (changed(backend={"kind": "openai"}), "generate.llm.backend.kind is 'openai'"),
    (changed(backend=SERVER | {"url": "localhost:8000"}), "must be a URL such as http://127.0.0.1:8000/v1"),
    (changed(temperature=0.5), "generate.llm.temperature is not a parameter"),
    (no_template, "there is no prompt template for 'it' (there are: ca, en, es, pt)"),
    (template_that_lacks_a_field, "it.yaml: wanted.claim is missing"),
    (template_that_shows_no_passage, "it.yaml: ask lacks the placeholder {passage}"),
    (template_in_another_encoding, "it.yaml is not valid YAML"),
    (responses_in_conflict, "data/responses.jsonl holds a line that is not a response (line 1)"),
]


@pytest.mark.parametrize(("spoil", "sentence"), REFUSED, ids=[case[1][:60] for case in REFUSED])
def test_a_mistake_costs_one_sentence_and_no_output(project, spoil, sentence):
    spoil(project)
    before = project.digests(OUTS)
    assert sentence in refused(project.stage("generate", check=False))
    assert len(before) > len(OUTS)
    assert project.digests(OUTS) == before
    assert [path for path in Path(project.root).rglob("*.tmp") if ".git" not in path.parts] == []


def test_a_full_disk_among_the_answers_costs_one_sentence_and_the_next_run_asks_for_the_rest(project, answered):
    for path in (*OUTS, "data/response_cache"):
        remove(project.root / path)
    limited = project.run("bash", "-c", "ulimit -f 96 && exec python -m stages.generate", check=False)
    assert "the response cache cannot be used" in refused(limited)
    assert project.digests(OUTS) == {}
    project.stage("generate")
    run = json.loads((project.root / "reports/generate.json").read_text(encoding="utf-8"))["llm"]["run"]
    assert 0 < run["asked"] < run["asked"] + run["cache_hits"] == 30
    assert project.digests(OUTS[:2]) == answered.digests(OUTS[:2])
