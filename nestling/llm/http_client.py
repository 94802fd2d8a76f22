"""A client of one HTTP server, which alone gets the key: it sends and reads within bounds, and knows no API."""

import asyncio
import ipaddress
import json
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2

from nestling.errors import UserError

KEY = "NESTLING_LLM_API_KEY"  # the environment variable; its value stands in no parameter, message or log
CONNECT_S = 10.0  # to open a connection; a short request is given no longer for its whole
QUOTED = 200  # characters of what a server says in a message of ours

_KEEP_ALIVE_S = 2.0  # below the 5 s after which vLLM closes an idle connection, lest a request meet the closing
_LARGEST_BODY = 1_000_000  # bytes; no answer comes near


class PassingError(Exception):
    """What may be gone at the next try.

    Attributes:
        wait: seconds for which the server asked.
    """

    def __init__(self, cause: str, wait: float = 0.0) -> None:
        super().__init__(cause)
        self.wait = wait


@dataclass(frozen=True)
class Reply:
    """What came over the wire; `whole` is false where the body went on beyond the bound."""

    status: int
    headers: httpx2.Headers
    body: bytes
    whole: bool

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def tree(self) -> dict[str, Any]:
        """The JSON object that the body is; empty where it is none."""
        try:
            tree = json.loads(self.body) if self.whole else {}
        except (ValueError, RecursionError):
            return {}
        return tree if isinstance(tree, dict) else {}


class HttpClient:
    """Sends requests to the server at `url`, the key with them where there is one.

    Attributes:
        keyed: whether there is a key.

    Raises:
        UserError: the key can be none, or the environment names proxies or certificates that cannot be.
    """

    def __init__(self, url: str, in_flight: int) -> None:
        self._url, self._key = url, _key()
        self.keyed = bool(self._key)
        self._client = _open(url, in_flight, self._key)
        self._deadlines: set[asyncio.Timeout] = set()
        self._left: tuple[float, set[asyncio.Timeout]] = (0.0, set())  # when the loop stopped, and what ran then

    async def send(self, method: str, path: str, seconds: float, content: bytes | None = None) -> Reply:
        """Return the reply, whatever its status.

        Raises:
            PassingError: there was none within `seconds`, or what came could not be read.
        """
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    async with self._client.stream(method, f"{self._url}{path}", content=content) as response:
                        return await _read(response)
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            raise PassingError(f"no answer within {seconds:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise PassingError(f"{type(error).__name__}: {self.quote(str(error))}".rstrip(": ")) from None

    def pause(self) -> None:
        """Let the time from now to `resume` count for no request that is under way: the loop stands still."""
        self._left = asyncio.get_running_loop().time(), set(self._deadlines)

    def resume(self) -> None:
        """Let time count again."""
        stopped, running = self._left
        for deadline in running & self._deadlines:
            if not deadline.expired():
                deadline.reschedule((deadline.when() or 0.0) + asyncio.get_running_loop().time() - stopped)

    def quote(self, text: str) -> str:
        """Return what a server said as a short line that holds no key and moves no cursor."""
        hidden = text.replace(self._key, "***") if self._key else text
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in hidden[: 10 * QUOTED]).split())
        return line if len(line) <= QUOTED else f"{line[:QUOTED]}..."

    async def close(self) -> None:
        await self._client.aclose()


def bare_url(url: str) -> str:
    """Return a URL without the slash at its end.

    Raises:
        ValueError: it is none, or holds more than a scheme, a host, a port and a path.
    """
    try:
        parts = httpx2.URL(url)
        parts.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        raise ValueError("is not a URL") from None
    port = 80 if parts.port is None else parts.port
    if parts.scheme not in ("http", "https") or not parts.host or not 0 < port < 65536:
        raise ValueError("must be a URL such as http://127.0.0.1:8000/v1")
    if parts.userinfo or parts.query or parts.fragment:
        raise ValueError(f"must hold no user, password, ?query or #fragment; a key goes into {KEY}")
    return url.rstrip("/")


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{KEY} holds signs that no key has (blanks, line breaks, accents): set it again")
    return key


def _open(url: str, in_flight: int, key: str) -> httpx2.AsyncClient:
    """Return a client; one for this very machine uses no proxy, whatever the environment says."""
    try:
        return httpx2.AsyncClient(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_keepalive_connections=in_flight, keepalive_expiry=_KEEP_ALIVE_S),
            verify=httpx2.create_ssl_context(),
            trust_env=not _is_here(httpx2.URL(url).host),
            follow_redirects=False,  # the key is for this server only
        )
    except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
        raise UserError(
            f"{url} cannot be asked with what the environment says of proxies and certificates "
            f"({type(error).__name__}): mend or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE"
        ) from None


def _is_here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


async def _read(response: httpx2.Response) -> Reply:
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _LARGEST_BODY:
                break
    whole = len(body) <= _LARGEST_BODY
    return Reply(response.status_code, response.headers, bytes(body[:_LARGEST_BODY]), whole)
