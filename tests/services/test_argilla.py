"""The real Argilla on this machine: who gets in, what it searches, and that it lives through kills and starts."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml

from services.argilla.processes import REPOSITORY
from services.argilla.settings import Settings
from tests.argilla import Served, require_server, settings_for, token

pytestmark = pytest.mark.slow

QUERIES = ["Chi paga l'acqua?", "Quando si pota l'olivo?", "Dove si prende il traghetto?"]


@dataclass
class Launcher:
    """`make argilla` without make, in a home of its own."""

    settings: Settings
    process: subprocess.Popen[str] | None = None
    said: str = ""

    @property
    def environment(self) -> dict[str, str]:
        settings, mine = self.settings, {"PATH": os.environ["PATH"], "ARGILLA_DATABASE_URL": "sqlite:///nowhere.db"}
        ports = {
            "ARGILLA_PORT": settings.port,
            "ARGILLA_REDIS_PORT": settings.redis_port,
            "ARGILLA_SEARCH_PORT": settings.search_port,
        }
        home = {"ARGILLA_HOME": str(settings.home), "ARGILLA_VENV": str(settings.venv)}
        people = {"ARGILLA_ANNOTATORS": " ".join(settings.annotators)}
        return mine | home | people | {name: str(port) for name, port in ports.items()}

    def start(self, until: str = "Argilla is at") -> str:
        """Start it and return all that it said until it was ready, or said something else."""
        command = [sys.executable, "-m", "services.argilla.local", "start"]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith(until):
                break
        self.said = "".join(lines)
        assert self.process.poll() is None, self.said
        return self.said

    def end(self, number: int) -> tuple[int, str]:
        """End it by a signal; return its exit code and its last words."""
        self.process.send_signal(number)
        last, _ = self.process.communicate(timeout=120)
        return self.process.returncode, last

    def command(self, *arguments: str) -> str:
        """Run one of the other commands and return what it said."""
        command = [sys.executable, "-m", "services.argilla.local", *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout


@dataclass(frozen=True)
class Lived:
    """An Argilla that was started, used, killed without a word, and started again."""

    launcher: Launcher
    first: str
    second: str
    key: str
    passwords: dict[str, str]
    dataset_id: str
    left: list[psutil.Process]

    def found(self, words: str) -> list[str]:
        """Return the queries of the records that somebody's words find."""
        body = {"query": {"text": {"q": words}}}
        path = f"/datasets/{self.dataset_id}/records/search"
        items = call(self.launcher.settings.url, self.key, "POST", path, body)["items"]
        return [item["record"]["fields"]["query"] for item in items]


def call(url: str, key: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"X-Argilla-Api-Key": key}
    reply = httpx2.request(method, f"{url}/api/v1{path}", json=body, headers=headers, trust_env=False, timeout=60)
    assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text}"
    return reply.json() if reply.content else None


def shown(said: str) -> dict[str, str]:
    """Return the passwords that a launcher showed."""
    return dict(re.findall(r"^(\w+) +([a-z0-9]{4}(?:-[a-z0-9]{4}){3})$", said, re.MULTILINE))


def publish(url: str, key: str) -> str:
    """Make a small dataset with records and return its id."""
    workspace = call(url, key, "GET", "/me/workspaces")["items"][0]["id"]
    dataset = call(url, key, "POST", "/datasets", {"name": "audit", "workspace_id": workspace})["id"]
    field = {"name": "query", "title": "Query", "settings": {"type": "text", "use_markdown": False}}
    call(url, key, "POST", f"/datasets/{dataset}/fields", field)
    options = [{"value": "good", "text": "good"}, {"value": "vague", "text": "vague"}]
    settings = {"type": "label_selection", "options": options}
    question = {"name": "quality", "title": "Quality", "required": True, "settings": settings}
    call(url, key, "POST", f"/datasets/{dataset}/questions", question)
    call(url, key, "PUT", f"/datasets/{dataset}/publish")
    records = [{"fields": {"query": query}} for query in QUERIES]
    call(url, key, "POST", f"/datasets/{dataset}/records/bulk", {"items": records})
    return str(dataset)


def below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    require_server()
    launcher = Launcher(settings_for(tmp_path_factory.mktemp("lived") / "home"))
    try:
        first = launcher.start()
        key = re.findall(r"ARGILLA_API_KEY=(\S+)", first)[0]
        dataset_id = publish(launcher.settings.url, key)
        left = below(launcher.process)
        launcher.end(signal.SIGKILL)
        launcher.settings = replace(launcher.settings, annotators=("anna", "bruno", "dora"))
        second = launcher.start()
        yield Lived(launcher, first, second, key, shown(first), dataset_id, left)
    finally:
        launcher.end(signal.SIGTERM)


def test_nothing_listens_beyond_this_machine(argilla: Served):
    settings = argilla.running.settings
    pids = {child.pid for child in psutil.Process().children(recursive=True)}
    ends = [end.laddr for end in psutil.net_connections("all") if end.pid in pids and end.status == psutil.CONN_LISTEN]
    assert {end.port for end in ends} == {settings.port, settings.redis_port, settings.search_port}
    assert {end.ip for end in ends} == {"127.0.0.1"}


def test_neither_redis_nor_the_search_service_talks_to_strangers(argilla: Served):
    settings = argilla.running.settings
    assert httpx2.get(f"http://127.0.0.1:{settings.search_port}/", trust_env=False).status_code == 401
    said = subprocess.run(
        ["redis-cli", "-p", str(settings.redis_port), "ping"], capture_output=True, text=True, check=False
    )
    assert "NOAUTH" in said.stdout + said.stderr


def test_a_worker_takes_jobs_and_the_teams_health_check_sees_it(argilla: Served):
    compose = yaml.safe_load((REPOSITORY / "services/argilla/compose.yaml").read_text(encoding="utf-8"))
    _, *check = compose["services"]["worker"]["healthcheck"]["test"]
    environment = psutil.Process(argilla.running.processes.pids["worker"]).environ()
    command = [str(argilla.running.settings.python), *check[1:]]
    until = time.monotonic() + 120
    while subprocess.run(command, env=environment, check=False).returncode and time.monotonic() < until:
        time.sleep(1)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    nobody = environment | {"ARGILLA_REDIS_URL": environment["ARGILLA_REDIS_URL"].removesuffix("/0") + "/1"}
    assert subprocess.run(command, env=nobody, check=False).returncode == 1


def test_no_list_of_processes_shows_a_secret(argilla: Served):
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    secrets = [argilla.api_key, *argilla.passwords.values()]
    assert len(lines) >= 5
    assert not [line for line in lines if any(secret in line for secret in secrets) or "redis://" in line]


def test_annotators_sign_in_and_see_the_workspace(argilla: Served):
    for name in argilla.annotators:
        assert [space["name"] for space in argilla.call("GET", "/me/workspaces", name=name)["items"]] == ["nestling"]
        assert argilla.call("GET", "/me", name=name)["role"] == "annotator"


def test_disputes_have_a_workspace_that_annotators_do_not_see(argilla: Served):
    spaces = {space["name"] for space in argilla.call("GET", "/me/workspaces")["items"]}
    assert {"nestling", "nestling-referees"} <= spaces


def test_somebody_new_sees_a_workspace_of_their_own_alone(argilla: Served):
    argilla.add_user("carla", argilla.add_workspace("quiet"))
    assert [space["name"] for space in argilla.call("GET", "/me/workspaces", name="carla")["items"]] == ["quiet"]


def test_no_log_holds_a_secret(argilla: Served):
    logs = [path.read_text() for path in (argilla.home / "logs").iterdir()]
    assert len(logs) >= 5
    assert not [log for log in logs for secret in (argilla.api_key, *argilla.passwords.values()) if secret in log]


def test_a_first_start_shows_passwords_and_key_and_a_second_the_passwords_of_people_named_since(lived: Lived):
    assert set(lived.passwords) == {"owner", "anna", "bruno"}
    assert set(shown(lived.second)) == {"dora"}
    assert "ARGILLA_API_KEY" not in lived.second


def test_a_kill_leaves_no_process(lived: Lived):
    assert len(lived.left) >= 5  # guard, redis, search, server, worker
    assert not [process for process in lived.left if process.is_running()]


def test_a_second_start_knows_people_keys_and_records(lived: Lived):
    url = lived.launcher.settings.url
    assert token(url, "anna", lived.passwords["anna"])
    assert call(url, lived.key, "GET", f"/datasets/{lived.dataset_id}/progress")["total"] == 3


@pytest.mark.parametrize(("words", "found"), [("olivo", [QUERIES[1]]), ("acqua", [QUERIES[0]]), ("neve", [])])
def test_what_was_there_before_is_found_again(lived: Lived, words, found):
    assert lived.found(words) == found


def test_a_forgotten_password_is_replaced_while_the_server_runs(lived: Lived):
    name, new = lived.launcher.command("password", "bruno").split()
    assert (name, new != lived.passwords["bruno"]) == ("bruno", True)
    assert token(lived.launcher.settings.url, "bruno", new)


def test_nobody_unknown_gets_a_password(lived: Lived):
    with pytest.raises(subprocess.CalledProcessError) as error:
        lived.launcher.command("password", "carla")
    assert "there are ['anna', 'bruno', 'dora', 'owner']" in error.value.stderr


def test_nothing_that_was_written_is_for_others_to_read(lived: Lived):
    home = lived.launcher.settings.home
    files = [path for path in home.rglob("*") if path.is_file() and "tmp" not in path.relative_to(home).parts]
    assert home.stat().st_mode & 0o77 == 0
    assert [path for path in files if path.stat().st_mode & 0o77] == []


def test_a_new_key_replaces_the_old(lived: Lived):
    url = lived.launcher.settings.url
    new = re.findall(r"ARGILLA_API_KEY=(\S+)", lived.launcher.command("key"))[0]
    assert call(url, new, "GET", "/me")["username"] == "owner"
    assert httpx2.get(f"{url}/api/v1/me", headers={"X-Argilla-Api-Key": lived.key}, trust_env=False).is_error


def test_a_process_that_is_killed_ends_all_in_one_sentence(lived: Lived):
    """The last test that needs this server."""
    launcher = lived.launcher
    started = below(launcher.process)
    next(process for process in started if process.name() == "redis-server").kill()
    last, _ = launcher.process.communicate(timeout=120)
    assert launcher.process.returncode == 1
    assert re.fullmatch(r"error: redis ended .*redis\.log\n", last)
    assert not [process for process in started if process.is_running()]


def test_an_interrupt_ends_a_start_well(lived: Lived):
    launcher = lived.launcher
    launcher.start(until="Argilla starts")
    code, last = launcher.end(signal.SIGINT)
    assert code == 0
    assert last == "Argilla is ended; the next start finds everything as it was\n"


def test_the_home_is_the_only_place_that_is_written_to(lived: Lived):
    assert [path.name for path in Path(lived.launcher.settings.home.parent).iterdir()] == ["home"]
