"""What the launcher of Argilla refuses, in one sentence, and what becomes of processes whose starter is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nestling.errors import UserError
from services.argilla.home import held, signing_key
from services.argilla.people import new_password
from services.argilla.processes import Processes
from services.argilla.running import running
from services.argilla.settings import Settings, settings_from
from tests.argilla import REPOSITORY, free_ports, require_server, settings_for

HOLDER = """
import sys, time
from pathlib import Path
from services.argilla.home import held
from services.argilla.processes import Processes
home = Path(sys.argv[1])
with held(home) as lock, Processes(home / "logs", home, lock) as processes:
    command = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    processes.start("sleeper", [sys.executable, "-c", command], {})
    print(processes.pids["sleeper"], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    """Settings whose server is a Python without Argilla: what is looked at before it starts can be tested."""
    venv = tmp_path / "venv/bin"
    venv.mkdir(parents=True)
    (venv / "python").symlink_to(sys.executable)
    return Settings(tmp_path / "home", tmp_path / "venv", *free_ports(), workspace="w", annotators=("anna",))


@pytest.fixture
def holder(tmp_path: Path):
    """Another launcher, which holds the home in tmp_path / "home" and has a process that has a process."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "home")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        sleeper = psutil.Process(int(process.stdout.readline()))
        until = time.monotonic() + 20
        while not sleeper.children() and time.monotonic() < until:
            time.sleep(0.05)
        yield process, [sleeper, *sleeper.children()]
        process.kill()


def over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_settings_come_from_the_environment():
    said = {"ARGILLA_PORT": "7000", "ARGILLA_ANNOTATORS": "anna, maria.rossi", "ARGILLA_WORKSPACE": "legal"}
    settings = settings_from(said)
    assert (settings.url, settings.workspace) == ("http://127.0.0.1:7000", "legal")
    assert settings.annotators == ("anna", "maria.rossi")


@pytest.mark.parametrize(
    "said",
    [
        {"ARGILLA_ANNOTATORS": "anna anna"},
        {"ARGILLA_ANNOTATORS": "owner"},
        {"ARGILLA_ANNOTATORS": "../anna"},
        {"ARGILLA_ANNOTATORS": "<b>anna</b>"},
        {"ARGILLA_WORKSPACE": "-legal"},
        {"ARGILLA_PORT": "0"},
        {"ARGILLA_REDIS_PORT": "70000"},
        {"ARGILLA_SEARCH_PORT": "http"},
    ],
)
def test_names_and_ports_must_be_such(said):
    with pytest.raises(UserError, match=next(iter(said))):
        settings_from(said)


@pytest.mark.parametrize("field", ["port", "redis_port", "search_port"])
def test_a_port_in_use_is_told_with_the_way_out(bare, field):
    require_server()
    with socket.socket() as used:
        used.bind(("127.0.0.1", getattr(bare, field)))
        used.listen()
        with pytest.raises(UserError, match=f"port {getattr(bare, field)} .* ARGILLA_(|REDIS_|SEARCH_)PORT"):
            running(bare).__enter__()


def test_a_missing_server_is_told_with_the_way_out(tmp_path):
    settings = Settings(tmp_path / "home", tmp_path / "none", *free_ports(), workspace="w", annotators=())
    with pytest.raises(UserError, match="make argilla-server"):
        running(settings).__enter__()


def test_a_missing_redis_is_told_with_the_way_out(bare, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="apt-get install redis-server"):
        running(bare).__enter__()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    before = tmp_path.stat().st_mode
    with pytest.raises(UserError, match="holds something else"), held(tmp_path):
        pass
    assert tmp_path.stat().st_mode == before


def test_a_home_is_for_its_owners_eyes(tmp_path):
    home = tmp_path / "home"
    with held(home):
        key = signing_key(home)
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "secret").stat().st_mode & 0o777 == 0o600
    assert len(key) == 64


def test_sessions_outlive_a_start(tmp_path):
    with held(tmp_path):
        first = signing_key(tmp_path)
    with held(tmp_path):
        assert signing_key(tmp_path) == first


def test_two_launchers_do_not_share_a_home(holder, tmp_path):
    process, _ = holder
    with pytest.raises(UserError, match=f"in use by process {process.pid}: end it, or"), held(tmp_path / "home"):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_launcher_and_the_next_one_waits_until_all_is_over(holder, tmp_path, number):
    process, started = holder
    process.send_signal(number)
    process.wait()
    with held(tmp_path / "home"):
        assert all(over(child) for child in started)


def test_a_process_that_ends_is_told_with_its_log(tmp_path):
    with held(tmp_path) as lock, Processes(tmp_path / "logs", tmp_path, lock) as processes:
        command = [sys.executable, "-c", "import sys; sys.exit('no disk')"]
        processes.start("redis", command, {})
        with pytest.raises(UserError, match=r"redis ended \(exit code 1\).*logs/redis\.log"):
            processes.wait("redis", lambda: False, patience_s=20)
        assert (tmp_path / "logs/redis.log").read_text() == "no disk\n"


def test_passwords_differ_and_can_be_copied_by_hand():
    passwords = {new_password() for _ in range(100)}
    assert len(passwords) == 100
    assert not set("".join(passwords)) & set("01ilo")


def test_whoever_forgot_a_password_before_there_was_an_argilla_is_told_so(tmp_path):
    settings = settings_for(tmp_path / "home")
    environment = os.environ | {"ARGILLA_HOME": str(settings.home)}
    command = [sys.executable, "-m", "services.argilla.local", "password", "anna"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no Argilla in")
    assert done.stderr.count("\n") == 1
