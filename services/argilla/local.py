"""An Argilla for one machine, in the foreground: python -m services.argilla.local start | password NAME | key

What it is told comes from the environment (docs/argilla.md).
"""

import os
import signal
from types import FrameType

import typer

from nestling.cli import one_sentence, say
from services.argilla.people import change_key, change_password
from services.argilla.running import running
from services.argilla.settings import OWNER, Settings, settings_from

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOST = "a password or the key is lost? `make argilla-password NAME=...`, `make argilla-key` give a new one"

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def start() -> None:
    """Start Argilla and stay until Ctrl-C; passwords of new people are shown, once."""
    settings = settings_from(os.environ)
    try:
        for number in _SIGNALS:
            signal.signal(number, _stop)
        say(f"Argilla starts; what it keeps lies in {settings.home}")
        with running(settings, lambda passwords, key: _greet(settings, passwords, key)) as argilla:
            say(f"Argilla is at {argilla.url}, for this machine alone; Ctrl-C ends it")
            argilla.watch()
    except KeyboardInterrupt:
        say("Argilla is ended; the next start finds everything as it was")


@app.command()
def password(name: str) -> None:
    """Give a person a new password and show it."""
    typer.echo(f"{name}  {change_password(settings_from(os.environ), name)}")


@app.command()
def key() -> None:
    """Give the owner a new API key and show it."""
    settings = settings_from(os.environ)
    typer.echo(_exports(settings, change_key(settings)))


def _stop(number: int, frame: FrameType | None) -> None:
    for signal_ in _SIGNALS:
        signal.signal(signal_, signal.SIG_IGN)  # what ends now must not be hindered
    raise KeyboardInterrupt


def _greet(settings: Settings, passwords: dict[str, str], key: str) -> None:
    lines = [f"{name:16} {password}" for name, password in passwords.items()]
    if lines:
        lines = [f"sign in at {settings.url}; these passwords are shown once, now:", *lines]
    if OWNER in passwords:
        lines.append(_exports(settings, key))
    typer.echo("\n".join(lines or [_LOST]))


def _exports(settings: Settings, key: str) -> str:
    return f"export ARGILLA_API_URL={settings.url}\nexport ARGILLA_API_KEY={key}"


if __name__ == "__main__":
    with one_sentence():
        app(prog_name="python -m services.argilla.local")
