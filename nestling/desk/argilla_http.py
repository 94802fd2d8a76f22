"""Argilla's REST API over the wire: bears with a server that stumbles, and tells what it turns down in a sentence.

Knows addresses, keys and statuses; nothing of datasets. The SDK is left aside (docs/decisions/0004): it drops the time
of an answer, and its bulk logging overwrites.
"""

import json
import os
from typing import Any
from urllib.parse import urlsplit

import httpx2
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from nestling.errors import UserError

URL, KEY = "ARGILLA_API_URL", "ARGILLA_API_KEY"  # environment variables
_LONGEST_WAIT_S = 8.0  # between two tries
_QUOTED = 300  # characters of what the server says in a message of ours
_PASSING = (408, 429, *range(500, 600))
_HERE = ("127.0.0.1", "::1", "localhost")


class PassingError(Exception):
    """What may be gone at the next try."""


class RefusedError(Exception):
    """What the server turns down: a status from 400 to 499 that another try does not change."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ArgillaHttp:
    """Sends requests to the server that the environment names.

    Attributes:
        url: of the server, without what may be secret in it.

    Raises:
        UserError: address or key are not set or can be none.
    """

    def __init__(self, tries: int, timeout_s: float, first_wait_s: float = 0.5) -> None:
        url, key = os.environ.get(URL, "").strip().rstrip("/"), os.environ.get(KEY, "").strip()
        if not url or not key:
            raise UserError(
                f"{URL if not url else KEY} is not set: start Argilla (`make argilla` prints both lines) and export it"
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UserError(f"{KEY} holds signs that no key has (blanks, line breaks, accents): set it again")
        host = _host(url)
        self.url, self._key = url, key
        self._client = httpx2.Client(
            base_url=f"{url}/api/v1",
            headers={"X-Argilla-Api-Key": key},
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            trust_env=host not in _HERE,
            follow_redirects=False,  # the key is for this server only
        )
        self._retrying = Retrying(
            stop=stop_after_attempt(tries),
            wait=wait_exponential(multiplier=first_wait_s, max=_LONGEST_WAIT_S) + wait_random(0, first_wait_s),
            retry=retry_if_exception_type(PassingError),
            reraise=True,
        )

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the JSON of a good answer, after as many tries as it takes.

        A request may reach the server more than once: ask only for what does no harm twice.

        Raises:
            RefusedError: the server turns it down.
            UserError: no good answer came in all tries, or the key is not taken.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        try:
            return self._retrying(self._once, method, path, content, query)
        except PassingError as error:
            raise UserError(
                f"Argilla at {self.url} does not answer ({error}): start it (`make argilla`) or correct {URL}, and "
                "run again; nothing is lost or doubled"
            ) from None

    def _once(self, method: str, path: str, content: bytes | None, query: dict[str, Any]) -> Any:
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            answer = self._client.request(method, path, content=content, params=query or None, headers=headers)
        except httpx2.TimeoutException:
            raise PassingError("no answer in time") from None
        except (httpx2.TransportError, httpx2.DecodingError, UnicodeError) as error:
            raise PassingError(f"{type(error).__name__}: {self._quote(str(error))}".rstrip(": ")) from None
        self._look(answer)
        if not answer.content:
            return None
        try:
            tree = json.loads(answer.content)
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            raise PassingError("an answer that is not Argilla's: is that its address?")
        return tree

    def _look(self, answer: httpx2.Response) -> None:
        """Raise where an answer is no good one."""
        if answer.status_code in _PASSING:
            raise PassingError(f"HTTP {answer.status_code}")
        if answer.status_code == 401:
            raise UserError(
                f"Argilla at {self.url} does not take {KEY}: copy it from `My settings` there, or `make argilla-key`"
            )
        if answer.is_redirect:
            raise UserError(f"{self.url} sends elsewhere: is {URL} right, and is it https?")
        if not answer.is_success:
            raise RefusedError(answer.status_code, self._quote(answer.text))

    def _quote(self, text: str) -> str:
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 10 * _QUOTED]).split())
        line = line.replace(self._key, "***")
        return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."

    def close(self) -> None:
        self._client.close()


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = httpx2.URL(url).host and parts.hostname
    except (ValueError, httpx2.InvalidURL):
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query:
        raise UserError(f"{URL} is no address such as http://127.0.0.1:6900, without user, password and ?query")
    return host
