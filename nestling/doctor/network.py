"""Asking addresses: nobody is waited for long, no key goes elsewhere, no secret in an address is shown."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Any, TypeVar

import httpx2

PATIENCE = 2.0  # seconds for whatever is asked
LATE = f"no answer within {PATIENCE:g} s"
HERE = ("127.0.0.1", "::1", "localhost")
T = TypeVar("T")


def get(url: str, headers: Mapping[str, str]) -> tuple[str, Any]:
    """Return `HTTP <status>` or the trouble in asking, and the JSON of a good answer, None where there is none.

    No redirect is followed, for the headers hold a key; what is on this machine is asked through no proxy.
    """
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        return "the key holds signs that no key has", None
    return patiently(lambda: _get(url, headers), (LATE, None))


def _get(url: str, headers: Mapping[str, str]) -> tuple[str, Any]:
    try:
        answer = httpx2.get(url, headers=headers, timeout=2 * PATIENCE, trust_env=httpx2.URL(url).host not in HERE)
    except httpx2.ConnectError as error:
        return f"cannot be reached: {str(error).rpartition('] ')[2]}", None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError, ImportError) as error:
        return f"no answer in HTTP: {type(error).__name__}", None
    with suppress(ValueError, RecursionError):  # no JSON
        return f"HTTP {answer.status_code}", json.loads(answer.content) if answer.is_success else None
    return f"HTTP {answer.status_code}", None


def patiently(ask: Callable[[], T], late: T) -> T:
    """Return what `ask` returns, or `late` where it takes too long, be it over names, drops or silence."""
    answers: Queue[T] = Queue()
    Thread(target=lambda: answers.put(ask()), daemon=True).start()
    try:
        return answers.get(timeout=PATIENCE)
    except Empty:
        return late


def shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    return re.split(r"[?#]", re.sub(r"//.*@", "//", url))[0] or "the address"
