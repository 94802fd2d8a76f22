"""The home of an Argilla: one folder with database, Redis and logs, for its owner's eyes, held by one launcher."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from nestling.errors import UserError

_OURS = ("lock", "venv")  # one of them is in every home
_FOLDERS = ("logs", "redis", "server", "tmp")
_PATIENCE_S = 60.0  # for the guard of a launcher that was killed to end what that one had started


@contextmanager
def held(home: Path) -> Iterator[int]:
    """Hold a home, made if it is not there, and yield the file descriptor by which it is held.

    Whoever inherits the descriptor holds the home too.

    Raises:
        UserError: the folder is something else, or another launcher holds it.
    """
    if _is_foreign(home):
        raise UserError(f"ARGILLA_HOME={home} holds something else: name a folder that is new or empty")
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(home, lock)
        shutil.rmtree(home / "tmp", ignore_errors=True)  # the server leaves a copy of its pages at every start
        for name in _FOLDERS:
            (home / name).mkdir(exist_ok=True)
        yield lock
    finally:
        os.close(lock)


def signing_key(home: Path) -> str:
    """Return the key that the server signs its sessions with, made at the first call, so that they outlive a start."""
    path = home / "secret"
    if not path.exists():
        new = home / "tmp/secret"
        new.touch(0o600)
        new.write_text(secrets.token_hex(32), encoding="utf-8")
        new.replace(path)
    return path.read_text(encoding="utf-8")


def _is_foreign(home: Path) -> bool:
    if not home.is_dir():
        return home.exists()
    return any(home.iterdir()) and not any((home / name).exists() for name in _OURS)


def _lock(home: Path, lock: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode()
            alive = not holder or psutil.pid_exists(int(holder))
            if time.monotonic() > until or (holder and alive):
                who = f"process {holder}" if holder else "another process"
                way = "end it, or name another ARGILLA_HOME and other ports"
                raise UserError(f"ARGILLA_HOME={home} is in use by {who}: {way}") from None
            time.sleep(0.1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
