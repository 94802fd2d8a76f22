"""Ends a group of processes when whoever started them is gone, even if that one was killed without a word.

    python -m services.argilla.guard PIPE

The guard leads the group and waits at a pipe whose other end its starter alone holds.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import psutil  # type: ignore[import-untyped]

T = TypeVar("T")

_GRACE_S = 10.0  # for each to end by itself


def end(group: int) -> None:
    """End all processes of a group but its leader, and those that they started.

    The newest goes first, so that a worker can put its job down before Redis goes.
    """
    members = _members(group)
    ids = {process.pid for process in members}
    every = [child for process in members for child in _below(process)]
    heads = [process for process in members if _asked(process.ppid, 0) not in ids]
    for process in sorted(heads, key=psutil.Process.create_time, reverse=True):
        _asked(process.terminate, None)
        _wait(process)
    for process in {*members, *every}:
        _asked(process.kill, None)


def _members(group: int) -> list[psutil.Process]:
    processes = (process for process in psutil.process_iter() if process.pid != group)
    return [process for process in processes if _asked(partial(os.getpgid, process.pid), 0) == group]


def _below(process: psutil.Process) -> list[psutil.Process]:
    return _asked(partial(process.children, recursive=True), [])


def _wait(process: psutil.Process) -> None:
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until and process.is_running():
        if _asked(process.status, psutil.STATUS_ZOMBIE) == psutil.STATUS_ZOMBIE:  # over, and not yet buried
            return
        time.sleep(0.05)


def _asked(question: Callable[[], T], gone: T) -> T:
    """Return the answer of a process, or `gone` if it has ended meanwhile."""
    try:
        return question()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return gone


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(int(sys.argv[1]), 1):
        continue
    end(os.getpid())


if __name__ == "__main__":
    main()
