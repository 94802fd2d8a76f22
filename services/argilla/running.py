"""An Argilla that runs on this machine: Redis, the search service, server and worker, in the order they need.

    with running(settings) as argilla:
        argilla.url, argilla.api_key, argilla.passwords

Everything listens on 127.0.0.1 alone, and Redis and the search service ask for a password that is drawn at each start:
other people of the machine cannot read the texts there, nor put jobs into the queue.
"""

import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx2

from nestling.errors import UserError
from services.argilla.environment import bare_environment, server_environment
from services.argilla.home import held, signing_key
from services.argilla.people import prepare
from services.argilla.processes import REPOSITORY, Processes
from services.argilla.settings import Settings

_SOON_S, _LATE_S = 30.0, 180.0  # for small programs to answer; for the server, on a slow machine
_LOOK_S = 0.5
_REDIS = """\
bind 127.0.0.1
port {port}
requirepass {password}
save ""
appendonly yes
"""  # a job that waits when everything stops is done after the next start


@dataclass(frozen=True)
class Argilla:
    """A running Argilla.

    Attributes:
        api_key: the owner's.
        passwords: of those who were added at this start; what others have is known to nobody.
    """

    settings: Settings
    api_key: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)
    processes: Processes = field(repr=False)

    @property
    def url(self) -> str:
        return self.settings.url

    def watch(self) -> None:
        """Stay until a process ends, which is a UserError."""
        while True:
            self.processes.check()
            time.sleep(_LOOK_S)


def _nothing(_: dict[str, str], __: str) -> None:
    """Tell nobody."""


@contextmanager
def running(settings: Settings, greet: Callable[[dict[str, str], str], None] = _nothing) -> Iterator[Argilla]:
    """Start an Argilla and end it.

    Args:
        settings: where and for whom.
        greet: is told the passwords of those who were added and the owner's key, as soon as they hold.

    Raises:
        UserError: something is missing or in use, or does not start.
    """
    with held(settings.home) as lock:
        _look(settings)
        with Processes(settings.home / "logs", settings.home / "redis", lock) as processes:
            password = secrets.token_urlsafe(24)
            _start_stores(settings, processes, password)
            environment = server_environment(settings, password, signing_key(settings.home))
            key, passwords = prepare(settings, processes, environment)  # all before anybody can sign in
            greet(passwords, key)
            _start_server(settings, processes, environment)
            yield Argilla(settings, key, passwords, processes)


def _look(settings: Settings) -> None:
    if not settings.python.exists():
        raise UserError(f"the server is not installed in {settings.venv}: `make argilla-server` installs it")
    if shutil.which("redis-server") is None:
        raise UserError("redis-server is missing: install it (Debian: `apt-get install redis-server`)")
    used = {"ARGILLA_PORT": settings.port, "ARGILLA_REDIS_PORT": settings.redis_port}
    for name, port in (used | {"ARGILLA_SEARCH_PORT": settings.search_port}).items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise UserError(f"port {port} cannot be had ({error.strerror}): name another in {name}") from None


def _start_stores(settings: Settings, processes: Processes, password: str) -> None:
    bare = bare_environment(settings)
    config = _REDIS.format(port=settings.redis_port, password=password)
    processes.start("redis", ["redis-server", "-"], bare, config)
    search = [sys.executable, "-P", "-m", "services.argilla.search", str(settings.search_port)]
    secret = {"NESTLING_SEARCH_PASSWORD": password, "PYTHONPATH": str(REPOSITORY)}
    processes.start("search", search, bare | secret)
    for name, port in (("redis", settings.redis_port), ("search", settings.search_port)):
        processes.wait(name, partial(_listens, port), _SOON_S)


def _start_server(settings: Settings, processes: Processes, environment: dict[str, str]) -> None:
    server = ("start", "--host", "127.0.0.1", "--port", str(settings.port), "--no-access-log")
    processes.start("server", _cli(settings, *server), environment)
    processes.wait("server", partial(_answers, settings.url), _LATE_S)
    processes.start("worker", _cli(settings, "worker", "--num-workers", "1"), environment)


def _cli(settings: Settings, *arguments: str) -> list[str]:
    return [str(settings.python), "-P", "-m", "argilla_server", *arguments]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/api/v1/version", trust_env=False).is_success
    except httpx2.TransportError:
        return False
