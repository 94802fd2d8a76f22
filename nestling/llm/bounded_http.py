"""HTTP below the `openai` client: tries bounded in time and size, and no header that the server need not see."""

import json
import os
from contextlib import aclosing
from typing import Any

import anyio
import httpx2

from nestling.errors import UserError
from nestling.llm.server_params import KEY, ServerParams

_KEEP_ALIVE_S = 2.0  # below the 5 s after which vLLM closes an idle connection: no request meets the closing
_LARGEST_BODY = 1_000_000  # bytes of a response; no answer comes near
_LOCAL = ("all://127.0.0.1", "all://[::1]", "all://localhost")  # asked without a proxy
_ABORTED = ("abort", "error")  # finish reasons: vLLM that is being stopped, OpenRouter whose provider failed


class _BoundedClient(httpx2.AsyncClient):
    """Sends with bounds of time and size; raises a transport error, which `openai` retries, where no answer came."""

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Return the whole response; the time limit of a read holds for all of it."""
        seconds = request.extensions["timeout"]["read"]
        # built anew with this client's own headers: those of `openai` tell of this machine and of OPENAI_* variables
        bare = self.build_request(request.method, request.url, content=request.content, extensions=request.extensions)
        try:
            with anyio.fail_after(seconds):
                response = await super().send(bare, stream=True)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise httpx2.ReadTimeout(f"no answer within {seconds:g} s", request=request) from None
        if request.method == "POST" and response.is_success and not _holds_answer(body):
            raise httpx2.RemoteProtocolError(f"no answer in: {body.decode('utf-8', 'replace')}")
        headers = {name: text for name, text in response.headers.items() if name != "content-encoding"}
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


def read_key() -> str:
    """Return the key of the server, "" where there is none.

    Raises:
        UserError: no key can be what the environment holds.
    """
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{KEY} holds signs that no key has (blanks, line breaks, accents): set it again")
    return key


def open_http(params: ServerParams, key: str) -> httpx2.AsyncClient:
    """Return a client that sends the key to this server alone, and asks this very machine without a proxy.

    Raises:
        UserError: the environment names proxies or certificates that cannot be used.
    """
    try:
        return _BoundedClient(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            limits=httpx2.Limits(max_keepalive_connections=params.in_flight, keepalive_expiry=_KEEP_ALIVE_S),
            mounts=dict.fromkeys(_LOCAL),
            follow_redirects=False,
        )
    except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
        raise UserError(
            f"{params.url} cannot be asked with what the environment says of proxies and certificates "
            f"({type(error).__name__}): correct or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE"
        ) from None


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _LARGEST_BODY:
                raise httpx2.DecodingError(f"a response of more than {_LARGEST_BODY} bytes")
    return bytes(body)


def _holds_answer(body: bytes) -> bool:
    try:
        choice = json.loads(body)["choices"][0]
        return isinstance(choice["message"], dict) and choice.get("finish_reason") not in _ABORTED
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return False
