"""What an Argilla on one machine is told, from the environment: where, at which ports, for whom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nestling.errors import UserError

OWNER = "owner"  # who signs in to arrange things, and whose key `nestling review` uses

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Settings:
    """Where and for whom an Argilla runs.

    Attributes:
        home: folder of everything that it keeps.
        venv: environment that holds the server (make argilla-server).
        port: of the web page and the API; the others are of Redis and of the search service.
        annotators: who shall be able to judge in the workspace.
    """

    home: Path
    venv: Path
    port: int
    redis_port: int
    search_port: int
    workspace: str
    annotators: tuple[str, ...]

    @property
    def referee_workspace(self) -> str:
        """Where what annotators disagree on is settled: by the owner, or by whom the owner adds to it."""
        return f"{self.workspace}-referees"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def python(self) -> Path:
        return self.venv / "bin/python"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return what the environment says.

    Raises:
        UserError: a name or a port is none.
    """
    annotators = environment.get("ARGILLA_ANNOTATORS", "annotator1 annotator2").replace(",", " ").split()
    for name in annotators:
        _name("ARGILLA_ANNOTATORS", name)
    if OWNER in annotators or len(set(annotators)) < len(annotators):
        raise UserError(f"ARGILLA_ANNOTATORS names somebody twice, or {OWNER!r}, who is there already: {annotators}")
    return Settings(
        home=Path(environment.get("ARGILLA_HOME") or ".argilla").absolute(),
        venv=Path(environment.get("ARGILLA_VENV") or ".argilla/venv").absolute(),
        port=_port(environment, "ARGILLA_PORT", 6900),
        redis_port=_port(environment, "ARGILLA_REDIS_PORT", 6901),
        search_port=_port(environment, "ARGILLA_SEARCH_PORT", 6902),
        workspace=_name("ARGILLA_WORKSPACE", environment.get("ARGILLA_WORKSPACE") or "nestling"),
        annotators=tuple(annotators),
    )


def _name(variable: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise UserError(f"{variable}: {value!r} is no name: letters, digits, . _ and -, no sign first, 64 at most")
    return value


def _port(environment: Mapping[str, str], name: str, usual: int) -> int:
    value = environment.get(name) or str(usual)
    if not value.isdecimal() or not 0 < int(value) < 2**16:
        raise UserError(f"{name} is {value!r}: give a port, from 1 to 65535")
    return int(value)
