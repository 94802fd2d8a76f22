"""The search service over HTTP, on 127.0.0.1 alone, for whoever knows the password. It knows no query."""

import hmac
import json
import logging
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from services.argilla.search.calls import Service
from services.argilla.search.refusal import RefusedError

USER = "argilla"

_LARGEST = 200_000_000  # bytes of a body; no bulk of Argilla's comes near
_LOG = logging.getLogger(__name__)


class SearchServer(ThreadingHTTPServer):
    """Serves one empty service at a port; 0 chooses a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, password: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.service = Service()
        self.key = "Basic " + b64encode(f"{USER}:{password}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    server: SearchServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120  # seconds for a body to come

    def reply(self) -> None:
        status, tree = 200, {}
        try:
            self._admit()
            raw = self._body()
            tree = self.server.service.answer(self.command, self.path, raw)
        except RefusedError as refusal:
            reason = {"type": refusal.kind, "reason": str(refusal)}
            status, tree = refusal.status, {"error": reason | {"root_cause": [reason]}, "status": refusal.status}
            if status not in (401, 404):
                _LOG.warning("%s: %s", refusal.kind, refusal)
        self._send(status, json.dumps(tree).encode())

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > _LARGEST:
            self.close_connection = True  # what would be read next is no request
            raise RefusedError("the body must be of a stated length, 200 MB at most", "illegal_argument_exception")
        return self.rfile.read(int(length))

    def _admit(self) -> None:
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.server.key.encode()):
            self.close_connection = True  # the body, which nobody reads, is no request
            raise RefusedError("the password is missing or wrong", "security_exception", 401)

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of a call that was answered."""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_OPTIONS = reply  # noqa: N815 - HTTP's names
