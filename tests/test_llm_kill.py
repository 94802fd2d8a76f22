"""Law 5 for answers: kill `generate` at any moment and run it again: the same bytes, and nothing asked for twice.

What a kill may cost is what was under way: answers that the server gave when nobody took them down any more, at most
`in_flight` of them. Two runs at once, which DVC's lock forbids, may ask for the same, and leave the same bytes.
"""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nestling.llm.backend import ChatRequest, ModelParams, SamplingParams, canonical
from tests.liar import Liar
from tests.project import REPOSITORY, Project, cached, clone, remove

IN_FLIGHT = 8
DELAY = 0.02  # seconds that the server takes for an answer
SETTLED = 0.2  # seconds after a kill in which the server says the last of what it was asked
OUTS = ["data/generated", "data/responses.jsonl"]
MODEL = ModelParams(name="liar", revision="1")
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256}
CASES: dict[str, dict[str, Any]] = {
    "written": {},
    "judged": {
        "generate.llm.writing.kinds": {"question": {"queries": 1.0, "min_words": 1, "max_words": 30}},
        "generate.llm.judge": {"kind": "writer", "threshold": 0.3, "attempts": 1, "sampling": SAMPLING},
    },
}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Server:
    """An honest server in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def answered(self) -> list[str]:
        """Return the digests of the requests that were answered to the last byte, in their order."""
        return self.log.read_text().split() if self.log.exists() else []


@contextmanager
def serving(folder: Path, delay: float = DELAY) -> Iterator[Server]:
    port, log = folder / "port", folder / "answered"
    places = ["--port-file", str(port), "--log", str(log), "--delay", str(delay)]
    process = subprocess.Popen([sys.executable, "-m", "tests.liar", *places], cwd=REPOSITORY)
    try:
        until(port.exists, process)
        yield Server(process, int(port.read_text()), log)
    finally:
        process.kill()
        process.wait()


def until(reached: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    while process.poll() is None and not reached():
        time.sleep(0.002)


def ask(project: Project, port: int, in_flight: int = IN_FLIGHT) -> None:
    """Have a project ask the server at a port."""
    backend = {"kind": "server", "url": f"http://127.0.0.1:{port}/v1", "served_as": "", "structure": "schema"}
    bearing = {"in_flight": in_flight, "tries": 3, "timeout_s": 10.0}
    project.change({"generate.llm.backend": backend | bearing})


def made(project: Project) -> dict[str, Any]:
    """Return the digests of tables and responses, and the figures that are of them, not of the run."""
    report = json.loads((project.root / "reports/generate.json").read_text(encoding="utf-8"))
    del report["llm"]["run"]
    digests = {path: digest for path, digest in project.digests(OUTS).items() if not Path(path).name.startswith(".")}
    return digests | {"report": report}


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run makes, and the cache's key of everything that the server was asked."""

    made: dict[str, Any]
    keys: dict[str, str]


def keyed(body: dict[str, Any]) -> tuple[str, str]:
    """Return the digest by which the server's log knows a request, and the key by which the cache does."""
    messages = tuple((said["role"], said["content"]) for said in body["messages"])
    schema = canonical(body["response_format"]["json_schema"]["schema"])
    sampling = SamplingParams(**{name: body[name] for name in SAMPLING})
    logged = hashlib.sha256(canonical([body["messages"], body["seed"]]).encode()).hexdigest()
    return logged, ChatRequest("", messages, body["seed"], schema, sampling).digest(MODEL)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project of 214 short passages whose queries an LLM is to write."""
    project = clone(tmp_path_factory.mktemp("prepared") / "project")
    project.change(
        {
            "prepare.max_words": 12,
            "generate.sources": [{"kind": "llm"}],
            "generate.llm.model": MODEL.model_dump(),
            "generate.llm.writing.sampling": SAMPLING,
        }
    )
    project.stage("prepare")
    return project


@pytest.fixture(scope="module")
def references(prepared, tmp_path_factory):
    """Return what undisturbed runs make, by case; they ask for more answers at a time, which changes nothing."""
    found = {}
    for case, params in CASES.items():
        project = prepared.copy(tmp_path_factory.mktemp(case) / "project")
        project.change(params)
        with Liar() as liar:
            ask(project, liar.server_port, in_flight=64)
            project.stage("generate")
        found[case] = Reference(made(project), dict(map(keyed, liar.bodies)))
        assert sorted(found[case].keys.values()) == sorted(cached(project))
    return found


@pytest.fixture
def reference(references):
    return references["written"]


@pytest.fixture
def project(prepared, tmp_path) -> Project:
    """A copy of the prepared project in which nothing was asked."""
    return prepared.copy(tmp_path / "project")


@pytest.fixture
def server(project, tmp_path) -> Iterator[Server]:
    """The server that the project asks."""
    with serving(tmp_path) as server:
        ask(project, server.port)
        yield server


def start(project: Project) -> subprocess.Popen[str]:
    """Start the stage in a session of its own."""
    return subprocess.Popen(
        ["python", "-m", "stages.generate"],
        cwd=project.root,
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores Ctrl-C
    )


def end(process: subprocess.Popen[str]) -> list[str]:
    """Wait for the end of a stage; return what it said but for its progress."""
    _, said = process.communicate(timeout=300)  # the machine may be busy
    progress = re.compile(r".*answers/s|llm: \d+ answers .* to ask for")
    return [line for line in re.split(r"[\r\n]+", said) if line.strip() and not progress.match(line)]


@dataclass
class Ledger:
    """What was asked in each of several runs, by the keys of the cache.

    Attributes:
        lost: by run, how many answers of the server did not reach the cache.
    """

    project: Project
    server: Server
    keys: dict[str, str]
    lost: list[int] = field(default_factory=list)
    _read: int = 0
    _before: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Close a run: it asked for nothing twice, and for nothing that was there."""
        answered = self.server.answered()
        asked = [self.keys[digest] for digest in answered[self._read :]]
        assert len(asked) == len(set(asked))
        assert not self._before & set(asked)
        there = cached(self.project)
        assert len(there) == len(set(there))
        self._read, self._before = len(answered), set(there)
        self.lost.append(len(set(asked) - set(there)))


def more(project: Project, answers: int) -> Callable[[], bool]:
    """Return what tells whether so many more answers are kept than now."""
    wanted = len(cached(project)) + answers
    return lambda: len(cached(project)) >= wanted


def stop(project: Project, reached: Callable[[], bool], seconds: float, number: int) -> tuple[int, list[str]]:
    """Start the stage, signal all its processes some seconds after a moment; return its exit code and what it said."""
    process = start(project)
    until(reached, process)
    time.sleep(seconds)
    if process.poll() is None:
        os.killpg(process.pid, number)
    said = end(process)
    time.sleep(SETTLED)
    return process.returncode, said


def kill_often(ledger: Ledger, kills: int, chance: random.Random) -> Iterator[int]:
    """Kill while the program starts, all over the answers, after the last of them and among the tables."""
    project, tables = ledger.project, ledger.project.root / OUTS[0]
    for left in range(kills, 0, -1):
        missing = len(ledger.keys) - len(cached(project))
        reached, seconds = more(project, chance.randint(1, max(1, 2 * missing // left))), chance.uniform(0, DELAY)
        if left == kills:
            reached, seconds = more(project, 0), chance.uniform(0, 1)
        elif left <= 3:
            remove(tables)  # as DVC does
            reached, seconds = (more(project, missing), 0.1) if left == 3 else (tables.exists, chance.uniform(0, 0.02))
        yield stop(project, reached, seconds, signal.SIGKILL)[0]
        ledger.close()


@pytest.mark.parametrize(("case", "kills"), [("written", 20), ("judged", 7)])
def test_a_generation_that_is_killed_again_and_again_ends_with_the_same_bytes_and_asks_nothing_twice(
    project, server, references, case, kills
):
    project.change(CASES[case])
    ledger = Ledger(project, server, references[case].keys)
    ends = list(kill_often(ledger, kills, random.Random(case)))
    project.stage("generate")
    ledger.close()
    assert made(project) == references[case].made
    assert set(cached(project)) == set(references[case].keys.values())
    assert ends.count(-signal.SIGKILL) >= kills - 2  # a run may have ended first
    assert max(ledger.lost) <= IN_FLIGHT
    assert ledger.lost[-1] == 0


def test_two_runs_at_once_end_with_the_same_bytes(project, server, reference):
    both = [start(project), start(project)]
    said = [end(process) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(len(lines) == 2 for lines in said), said  # what was asked, what was made
    assert made(project) == reference.made
    assert sorted(cached(project)) == sorted(reference.keys.values())


def test_of_two_runs_at_once_one_is_killed_and_the_other_ends_well(project, server, reference):
    other = start(project)
    killed, _ = stop(project, more(project, 60), 0, signal.SIGKILL)
    assert (killed, other.poll()) == (-signal.SIGKILL, None)
    end(other)
    assert other.returncode == 0
    assert made(project) == reference.made
    assert sorted(cached(project)) == sorted(reference.keys.values())


class Reborn(Liar):
    """A server at the port of one that died."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__()

    def server_bind(self) -> None:
        self.server_address = ("127.0.0.1", self.port)
        super().server_bind()


def test_a_server_that_dies_costs_one_sentence_and_the_next_one_is_asked_for_the_rest(project, server, reference):
    process = start(project)
    until(more(project, 60), process)
    server.process.kill()
    (said,) = end(process)
    assert process.returncode == 1
    assert said.startswith("error: ")
    there = set(cached(project))
    assert len(there) >= 60
    assert not (project.root / OUTS[0]).exists()
    with Reborn(server.port) as reborn:
        project.stage("generate")
    assert {reference.keys[digest] for digest in reborn.digests} == set(reference.keys.values()) - there
    assert len(reborn.digests) == len(reference.keys) - len(there)
    assert made(project) == reference.made


def test_ctrl_c_costs_one_line_and_the_next_run_goes_on(project, server, reference):
    ledger = Ledger(project, server, reference.keys)
    for answers, seconds in [(1, 0.0), (100, 0.02)]:
        told = stop(project, more(project, answers), seconds, signal.SIGINT)
        assert told == (130, ["stopped; run the same command again to go on"])
        ledger.close()
    project.stage("generate")
    ledger.close()
    assert made(project) == reference.made
    assert max(ledger.lost) <= IN_FLIGHT
