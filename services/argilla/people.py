"""Who can sign in: names come from the settings, passwords and keys are drawn here and kept by Argilla alone."""

import json
import secrets
import subprocess
from typing import Any

from nestling.errors import UserError
from services.argilla.environment import server_environment
from services.argilla.processes import REPOSITORY, Processes
from services.argilla.settings import OWNER, Settings

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none is taken for another when it is copied by hand
_SCRIPT = REPOSITORY / "services/argilla/database.py"


def new_password() -> str:
    """Return 16 letters and digits in groups of four: 79 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def prepare(settings: Settings, processes: Processes, environment: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Bring the database up to date, fill the search service, and add workspaces and people who are not there.

    Returns:
        The owner's key, and the passwords of those who were added, which nothing else holds.
    """
    passwords = {name: new_password() for name in (OWNER, *settings.annotators)}
    people = [
        {"username": name, "role": "owner" if name == OWNER else "annotator", "password": password}
        for name, password in passwords.items()
    ]
    spaces = {"workspace": settings.workspace, "referee_workspace": settings.referee_workspace}
    wish = {"do": "prepare", "owner": OWNER, "people": people} | spaces
    done = json.loads(processes.run("database", _command(settings), environment, json.dumps(wish)))
    return done["api_key"], {name: passwords[name] for name in done["created"]}


def change_password(settings: Settings, name: str) -> str:
    """Give a person a new password and return it; the server may be running or not."""
    password = new_password()
    _change(settings, {"username": name, "password": password})
    return password


def change_key(settings: Settings) -> str:
    """Give the owner a new key and return it; the old one opens nothing any more."""
    key = secrets.token_urlsafe(32)
    _change(settings, {"username": OWNER, "api_key": key})
    return key


def _change(settings: Settings, wish: dict[str, Any]) -> None:
    if not (settings.home / "server/argilla.db").exists() or not settings.python.exists():
        raise UserError(
            f"there is no Argilla in {settings.home}: `make argilla` makes one (ARGILLA_HOME names another)"
        )
    done = subprocess.run(
        _command(settings),
        env=server_environment(settings),
        input=json.dumps(wish | {"do": "change"}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UserError(f"the database in {settings.home} cannot be changed, try again: {reason}")
    told = json.loads(done.stdout)
    if not told["changed"]:
        raise UserError(
            f"nobody in {settings.home} is called {wish['username']!r}; there are {sorted(told['people'])}"
        )


def _command(settings: Settings) -> list[str]:
    return [str(settings.python), "-P", str(_SCRIPT)]
