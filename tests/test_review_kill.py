"""Kill `nestling review` at any moment and run it again: the same records in Argilla, the same file on the disk."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from nestling.review.answers import read_answers, read_shown_records
from tests.annotating import Annotating
from tests.project import REPOSITORY
from tests.stumbling import stumbling

pytestmark = pytest.mark.slow
RECORDS, KILLS = 24, 10  # of each command
PUSH = """
import sys
import nestling.desk.argilla as argilla
from nestling.desk.interface import PairTask, Pile, RetrievalTask
from nestling.desk.settings import ReviewParams
from nestling.desk.wording import Wording

argilla._BATCH = 4
passages = (("p0", "zero"), ("p1", "uno"))
tasks = [RetrievalTask(f"{n:020x}", f"domanda {n}?", "p0", passages, {"position": n}) for n in range(int(sys.argv[1]))]
desk = argilla.ArgillaDesk(ReviewParams.load().desk, Wording.load("it"))
desk.push("round-01", [Pile("audit", 1, tasks)])
desk.close()
"""


@pytest.fixture
def seat(argilla):
    return Annotating(argilla.url, argilla.api_key)


@pytest.fixture
def folder(seat, tmp_path):
    """Return a folder whose params.yaml names a workspace of its own."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["review"]["desk"] |= {"workspace": seat.workspace(), "referee_workspace": "none"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return tmp_path


def run(command, folder, argilla, url):
    environment = os.environ | {"ARGILLA_API_URL": url, "ARGILLA_API_KEY": argilla.api_key}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def ended(command, folder, argilla):
    """Run a command to its end, which must be a good one; return the number of requests that it made."""
    with stumbling(argilla.url) as proxy:
        process = run(command, folder, argilla, proxy.url)
        told = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0, told
        return len(proxy.asked)


def killed(command, folder, argilla, place, forwarded):
    """Run a command and kill it as it asks for the nth time, before or after the server has heard of that."""
    victim = []

    def kill(number, *_):
        if number < place:
            return ""
        os.kill(victim[0].pid, signal.SIGKILL)
        return "lost" if forwarded else "reset"

    with stumbling(argilla.url, kill) as proxy:
        victim.append(run(command, folder, argilla, proxy.url))
        victim[0].communicate(timeout=120)
        return victim[0].returncode


def workspace(folder):
    return yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["review"]["desk"]["workspace"]


def test_a_push_that_is_killed_again_and_again_adds_every_record_once(argilla, seat, folder):
    draw, push = random.Random(1), [sys.executable, "-c", PUSH, str(RECORDS)]
    codes = [killed(push, folder, argilla, draw.randrange(25), draw.random() < 0.5) for _ in range(KILLS)]
    assert codes.count(-signal.SIGKILL) >= KILLS // 2  # once all records are there a push asks less often
    ended(push, folder, argilla)
    assert set(seat.records(workspace(folder), "round-01-audit")) == {f"{n:020x}" for n in range(RECORDS)}
    assert seat.found(workspace(folder), "round-01-audit") == RECORDS


def test_a_pull_that_is_killed_again_and_again_ends_with_the_file_of_one_that_was_not(argilla, seat, folder, tmp_path):
    push, pull = (
        [sys.executable, "-c", PUSH, str(RECORDS)],
        [str(Path(sys.executable).parent / "nestling"), "review", "pull"],
    )
    ended(push, folder, argilla)
    anna = seat.person(workspace(folder))
    for record in seat.records(workspace(folder), "round-01-audit").values():
        seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    requests = ended(pull, folder, argilla)
    annotations = folder / "data/annotations"
    whole = {path.name: path.read_bytes() for path in annotations.iterdir()}
    assert len(whole["round-01.jsonl"].splitlines()) == 2 * RECORDS
    for path in annotations.iterdir():
        path.unlink()
    draw = random.Random(2)
    for _ in range(KILLS):
        assert killed(pull, folder, argilla, draw.randrange(requests), draw.random() < 0.5) == -signal.SIGKILL
        assert {path.name: path.read_bytes() for path in annotations.glob("[!.]*")} in ({}, whole)
    ended(pull, folder, argilla)
    assert {path.name: path.read_bytes() for path in annotations.glob("[!.]*")} == whole


SAVE = """
import sys
from pathlib import Path
from nestling.desk.interface import Given, Pulled, Shown
from nestling.desk.rounds import save

folder, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    said = {"query_quality": "good", "comment": f"{turn} " + "x" * 200}
    given = [Given(f"{n:020x}", "audit", "anna", "submitted", "2026-11-21T10:00:00Z", said) for n in range(5000)]
    save(Pulled(given, [Shown(one.record_id, f"{turn}?", "p", ("q",)) for one in given], {}), folder, "one")
"""


def test_a_kill_while_files_are_written_leaves_each_whole_and_no_answer_without_its_record(tmp_path):
    draw = random.Random(3)
    for left in reversed(range(KILLS)):
        writer = subprocess.Popen([sys.executable, "-c", SAVE, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.05, 0.6))
        while not left and read_answers(tmp_path)[0].is_empty():  # a busy machine may write nothing in so short a time
            time.sleep(0.1)
        writer.kill()
        writer.communicate()
        answers, broken = read_answers(tmp_path)
        assert broken.is_empty()
        assert answers.height in (0, 10_000)
        assert set(answers["record_id"]) <= set(read_shown_records(tmp_path)["record_id"])
    assert answers.height == 10_000
