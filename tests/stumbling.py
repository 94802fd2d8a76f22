"""A proxy before a server, which stumbles as it is told: refuses, loses answers, hangs, cuts short."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PASSED_ON = ("X-Argilla-Api-Key", "Content-Type")
FAULTS = ("refused", "lost", "hung", "cut", "garbled", "reset")
Plan = Callable[[int, str, str], str]  # number of the request, from 0, its method and path -> a fault, or "" for none


class Stumbling(ThreadingHTTPServer):
    """What the proxy was asked, and where it is.

    Faults: `refused` 503 and never forwarded; `lost` forwarded, and the answer is not; `hung` forwarded, and no answer
    within a client's patience; `cut` half of the answer; `garbled` 200 with a page; `reset` closed without a word.
    """

    daemon_threads = True

    def __init__(self, target: str, plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked = plan, list[tuple[str, str]]()
        self.target, self.stopped, self._lock = urlsplit(target), threading.Event(), threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> str:
        """Note a request, and return what is to go wrong with it."""
        with self._lock:
            self.asked.append((method, path))
            return self.plan(len(self.asked) - 1, method, path)

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of the real answer."""
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Handler(BaseHTTPRequestHandler):
    """Hands a request on, or not."""

    protocol_version = "HTTP/1.1"
    server: Stumbling

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault == "refused":
            self.answer(503, b"")
        elif fault == "reset":
            self.hang_up()
        else:
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            self.stumble(fault, *self.server.forward(self.command, self.path, headers, body))

    def stumble(self, fault: str, status: int, body: bytes) -> None:
        if fault == "hung":
            self.server.stopped.wait(30)
        if fault in ("lost", "hung"):
            self.hang_up()
        elif fault == "garbled":
            self.answer(200, b"<html>please sign in</html>")
        else:
            self.answer(status, body, len(body) // 2 if fault == "cut" else len(body))

    def answer(self, status: int, body: bytes, sent: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: sent or len(body)])
        if 0 < sent < len(body):
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Handler, f"do_{verb}", Handler.serve)


@contextmanager
def stumbling(target: str, plan: Plan = lambda *_: "") -> Iterator[Stumbling]:
    """Run a proxy before the server at `target`."""
    proxy = Stumbling(target, plan)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.stopped.set()
        proxy.shutdown()
        proxy.server_close()
