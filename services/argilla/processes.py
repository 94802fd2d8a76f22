"""The processes of an Argilla: in one group, each with its log, and none outlives whoever started them (guard.py)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from nestling.errors import UserError
from services.argilla.guard import end

REPOSITORY = Path(__file__).parents[2]

_PAUSE_S = 0.1


class Processes:
    """Starts processes and ends them all.

    Args:
        logs: folder; the log of the time before is kept beside the new one.
        cwd: the folder in which they run.
        lock: file descriptor by which the home is held; the guard holds it until the last process has ended.
    """

    def __init__(self, logs: Path, cwd: Path, lock: int) -> None:
        self._logs, self._cwd = logs, cwd
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        reading, self._writing = os.pipe()
        command = [sys.executable, "-m", "services.argilla.guard", str(reading)]
        self._guard = subprocess.Popen(
            command, cwd=REPOSITORY, process_group=0, pass_fds=(reading, lock), stdin=subprocess.DEVNULL
        )
        os.close(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._guard.pid)
        for process in self._running.values():
            process.wait()
        os.close(self._writing)
        self._guard.wait()

    @property
    def pids(self) -> dict[str, int]:
        """The processes that were started and stay, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], given: str = "") -> None:
        """Start a process that stays; what it says goes to its log, what is given comes to its standard input."""
        with self._log(name) as log:
            process = self._popen(command, environment, log, log)
        self._running[name] = process
        _give(process, given)

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], given: str = "") -> str:
        """Run a process to its end and return what it wrote on standard output, which goes to no log.

        Raises:
            UserError: it failed.
        """
        with self._log(name) as log:
            process = self._popen(command, environment, subprocess.PIPE, log)
        said, _ = process.communicate(given.encode())
        if process.returncode:
            raise UserError(f"Argilla cannot start: {name} failed; {self._told(name)}")
        return said.decode()

    def wait(self, name: str, ready: Callable[[], bool], patience_s: float) -> None:
        """Wait until a process is ready.

        Raises:
            UserError: it is not in time, or a process ended.
        """
        until = time.monotonic() + patience_s
        while not ready():
            self.check()
            if time.monotonic() > until:
                raise UserError(f"{name} does not answer after {patience_s:.0f} s; {self._told(name)}")
            time.sleep(_PAUSE_S)

    def check(self) -> None:
        """Raise a UserError if a process has ended."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise UserError(f"{name} ended (exit code {code}), and all of Argilla with it; {self._told(name)}")
        if self._guard.poll() is not None:
            raise UserError("the guard of Argilla's processes was killed, and all of Argilla is ended: start it again")

    def _popen(
        self, command: Sequence[str], environment: Mapping[str, str], out: int | IO[bytes], log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            cwd=self._cwd,
            env=dict(environment),
            process_group=self._guard.pid,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=log,
            umask=0o077,
        )

    def _log(self, name: str) -> IO[bytes]:
        path = self._logs / f"{name}.log"
        if path.exists():
            path.replace(self._logs / f"{name}.log.1")
        return open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb")  # noqa: PTH123 - a mode from birth

    def _told(self, name: str) -> str:
        return f"its log is {self._logs / name}.log"


def _give(process: subprocess.Popen[bytes], given: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(given.encode())
        process.stdin.close()
    except BrokenPipeError:
        return  # it has ended already, which `check` tells
