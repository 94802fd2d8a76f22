"""The real Argilla in tests: one server for all who ask for the fixture `argilla`, and what starts more of them."""

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.argilla.people import new_password
from services.argilla.running import Argilla, running
from services.argilla.settings import OWNER, Settings

REPOSITORY = Path(__file__).parents[1]
VENV = Path(os.environ.get("ARGILLA_VENV") or REPOSITORY / ".argilla/venv")
ANNOTATORS = ("anna", "bruno")


@dataclass(frozen=True)
class Served:
    """An Argilla that runs, seen by its owner.

    Attributes:
        running: its settings, the owner's key and its processes.
        passwords: of everybody, by name.
    """

    running: Argilla
    passwords: dict[str, str]

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def api_key(self) -> str:
        return self.running.api_key

    @property
    def workspace(self) -> str:
        return self.running.settings.workspace

    @property
    def annotators(self) -> list[str]:
        return [name for name in self.passwords if name != OWNER]

    @property
    def home(self) -> Path:
        return self.running.settings.home

    def call(self, method: str, path: str, body: Any = None, name: str | None = None) -> Any:
        """Make a call of the REST API, as the owner or as somebody with a password; it must succeed."""
        reply = httpx2.request(
            method, f"{self.url}/api/v1{path}", json=body, headers=self._who(name), trust_env=False, timeout=60
        )
        assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    def add_workspace(self, name: str) -> str:
        """Add a workspace and return its id."""
        return str(self.call("POST", "/workspaces", {"name": name})["id"])

    def add_user(self, name: str, workspace_id: str, role: str = "annotator") -> str:
        """Add somebody to a workspace and return the password, which `passwords` holds from then on."""
        self.passwords[name] = new_password()
        person = {"username": name, "first_name": name, "password": self.passwords[name], "role": role}
        user = self.call("POST", "/users", person)
        self.call("POST", f"/workspaces/{workspace_id}/users", {"user_id": user["id"]})
        return self.passwords[name]

    def _who(self, name: str | None) -> dict[str, str]:
        if name is None:
            return {"X-Argilla-Api-Key": self.api_key}
        return {"Authorization": f"Bearer {token(self.url, name, self.passwords[name])}"}


def token(url: str, name: str, password: str) -> str:
    """Sign in and return the token of the session."""
    reply = httpx2.post(
        f"{url}/api/v1/token", data={"username": name, "password": password}, trust_env=False, timeout=60
    )
    assert reply.is_success, f"{name}: {reply.status_code}"
    return str(reply.json()["access_token"])


def require_server() -> None:
    """Skip where the real Argilla cannot run, and name what is missing."""
    if shutil.which("redis-server") is None:
        pytest.skip("the Debian package redis-server is missing")
    if not (VENV / "bin/python").exists():
        pytest.skip(f"Argilla's server is missing in {VENV}: make argilla-server")


def free_ports() -> tuple[int, int, int]:
    """Return three ports that nobody uses at the moment."""
    probes = [socket.socket() for _ in range(3)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    first, second, third = (probe.getsockname()[1] for probe in probes)
    for probe in probes:
        probe.close()
    return first, second, third


def settings_for(home: Path) -> Settings:
    """Return settings for an Argilla of its own."""
    return Settings(home, VENV, *free_ports(), workspace="nestling", annotators=ANNOTATORS)


@pytest.fixture(scope="session")
def argilla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return the Argilla of this session; whoever needs quiet in it makes a workspace of its own."""
    require_server()
    with running(settings_for(tmp_path_factory.mktemp("argilla"))) as found:
        yield Served(found, dict(found.passwords))
