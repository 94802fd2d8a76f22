"""A server that speaks OpenAI's chat API over real sockets and, where it is told to, lies.

Honest, it says the words of the last message again in the shape that is asked for: the same for the same messages and
seed. `python -m tests.liar --port-file F --log F --delay S` runs an honest one until it is killed; its log has a line,
the digest of messages and seed, for each answer that was sent to its last byte.
"""

import argparse
import hashlib
import json
import random
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Self

from nestling.llm.backend import ChatRequest, SamplingParams, canonical
from nestling.llm.echo import EchoBackend

FREE = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 200}}}  # where no schema is asked for
LARGE = 10_000_000
TOO_LONG = {
    "vllm": {
        "message": "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 "
        "input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input "
        "prompt.",
        "type": "BadRequestError",
        "param": "input_tokens",
        "code": 400,
    },
    "openai": {"message": "Too much.", "type": "invalid_request_error", "code": "context_length_exceeded"},
    "llama": {
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "code": 400,
        "n_prompt_tokens": 5000,
        "n_ctx": 2048,
    },
    "answer": {"message": "'max_tokens' is too large: 100. This model's maximum context length is 64 tokens."},
}


class Liar(ThreadingHTTPServer):
    """The server, running from `with` on.

    Args:
        lies: by a request's last message ("*": any other), what to do the first time it is asked, the second, ...;
            honest after. A lie is the name of a method of `Talk` and, after a blank, its argument.
        model: the name that it answers by.
        listed: the models that it lists; None: it has no list.
        delay: seconds before each answer.
        log: a file of the answers given.

    Attributes:
        bodies, headers: of the chat requests, in the order of their coming.
        digests: of the answers sent to the last byte.
        most: how many chat requests waited for their answers at the same time, at most.
    """

    daemon_threads = False
    request_queue_size = 128

    def __init__(
        self,
        lies: Mapping[str, Iterable[str]] | None = None,
        model: str = "liar",
        listed: Iterable[str] | None = ("liar",),
        delay: float = 0.0,
        log: Path | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.lies, self.model, self.delay, self.log = lies or {}, model, delay, log
        self.listed = None if listed is None else list(listed)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.digests: list[str] = []
        self.under_way = self.most = 0
        self.closing = Event()
        self.lock = Lock()
        self._lines: list[socket.socket] = []
        self._scripts: dict[str, Iterator[str]] = {}
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def asked(self) -> list[str]:
        """The last message of each chat request, in the order of their coming."""
        return [body["messages"][-1]["content"] for body in self.bodies]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Die: whoever is connected is cut off."""
        self.closing.set()
        self.shutdown()
        self._thread.join()
        for line in self._lines:
            with suppress(OSError):  # closed already
                line.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        line, address = super().get_request()
        self._lines.append(line)
        return line, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""

    def enter(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        """Take a chat request down and return what to do with it."""
        text = body["messages"][-1]["content"]
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            lies = self.lies.get(text, self.lies.get("*", ()))
            return next(self._scripts.setdefault(text, iter(lies)), "honest")

    def leave(self) -> None:
        with self.lock:
            self.under_way -= 1

    def sent(self, body: dict[str, Any]) -> None:
        """Note an answer that was sent whole."""
        digest = hashlib.sha256(canonical([body["messages"], body["seed"]]).encode()).hexdigest()
        with self.lock:
            self.digests.append(digest)
            if self.log:
                with self.log.open("a") as file:
                    file.write(f"{digest}\n")


class Talk(BaseHTTPRequestHandler):
    """One connection; a method for each lie."""

    server: Liar
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        if not self.path.endswith("/models") or self.server.listed is None:
            self.send(404, {"error": {"message": "Not Found"}})
        else:
            self.send(200, {"object": "list", "data": [{"id": name} for name in self.server.listed]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        deed, _, argument = self.server.enter(body, dict(self.headers)).partition(" ")
        self.server.closing.wait(self.server.delay)
        self.server.leave()  # before the first byte of the answer: the client may ask for more after the last one
        getattr(self, f"do_{deed}")(body, argument)

    def send(self, status: int, body: Any, **headers: str) -> None:
        """Send a whole response; `body` as it is if bytes, as JSON otherwise."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.head(status, **({"Content-Length": str(len(data))} | headers))
        self.wfile.write(data)
        self.wfile.flush()

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def truth(self, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Return the honest response; `changes` go to its top or, where they belong there, to its only choice."""
        messages = tuple((said["role"], said["content"]) for said in body["messages"])
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", FREE)
        sampling = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=1)
        (answer,) = EchoBackend().answer([ChatRequest("", messages, body["seed"], canonical(schema), sampling)])
        message = {"role": "assistant", "content": changes.pop("content", answer.text)}
        choice = {"index": 0, "message": message, "finish_reason": changes.pop("finish_reason", "stop")}
        usage = {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 1},
        }
        told = {
            "id": "1",
            "object": "chat.completion",
            "model": self.server.model,
            "choices": [choice],
            "usage": usage,
        }
        return told | changes

    def do_honest(self, body: dict[str, Any], _: str) -> None:
        self.send(200, self.truth(body))
        self.server.sent(body)

    def do_judge(self, body: dict[str, Any], _: str) -> None:
        """Grade a query that names the village of its passage with 4, any other with 0."""
        names = re.findall(r"Villa\w+", body["messages"][-1]["content"])
        self.do_grade(body, "4" if len(set(names)) == 1 else "0")

    def do_grade(self, body: dict[str, Any], grade: str) -> None:
        """Give one grade on all criteria."""
        names = body["response_format"]["json_schema"]["schema"]["required"]
        self.send(200, self.truth(body, content=json.dumps(dict.fromkeys(names, int(grade)))))

    def do_dice(self, body: dict[str, Any], _: str) -> None:
        """Give grades that have nothing to do with what is asked."""
        self.do_grade(body, str(random.Random(body["seed"]).randint(1, 4)))

    def do_late(self, body: dict[str, Any], seconds: str) -> None:
        self.server.closing.wait(float(seconds))
        self.do_honest(body, "")

    def do_status(self, _: dict[str, Any], status: str) -> None:
        self.send(int(status), {"error": {"message": f"so says {status}", "type": "Error", "code": int(status)}})

    def do_later(self, _: dict[str, Any], seconds: str) -> None:
        self.send(429, {"error": {"message": "slow down"}}, Retry_After=seconds)

    def do_context(self, _: dict[str, Any], who: str) -> None:
        self.send(400, {"error": TOO_LONG[who]})

    def do_parrot(self, *_: object) -> None:
        self.send(401, {"error": f"this is no key: {self.headers['Authorization']}\x1b[31m"})

    def do_redirect(self, _: dict[str, Any], where: str) -> None:
        self.send(307, b"", Location=where)

    def do_hang(self, *_: object) -> None:
        self.server.closing.wait(30)
        self.close_connection = True

    def do_drip(self, *_: object) -> None:
        """Send a byte now and then, so that no single read takes long."""
        self.head(200, Content_Length="10000")
        while not self.server.closing.wait(0.05):
            self.wfile.write(b" ")

    def do_broken(self, body: dict[str, Any], _: str) -> None:
        data = json.dumps(self.truth(body)).encode()
        self.head(200, Content_Length=str(len(data)))
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def do_cut(self, body: dict[str, Any], _: str) -> None:
        data = json.dumps(self.truth(body)).encode()
        self.send(200, data[: len(data) // 2])

    def do_nothing(self, *_: object) -> None:
        self.send(200, b"")

    def do_html(self, *_: object) -> None:
        self.send(200, b"<html>\n<b>Welcome</b> to nginx", Content_Type="text/html")

    def do_deep(self, *_: object) -> None:
        self.send(200, b"[" * 500_000)

    def do_choiceless(self, body: dict[str, Any], _: str) -> None:
        self.send(200, self.truth(body, choices=[]))

    def do_endless(self, *_: object) -> None:
        self.head(200, Connection="close")
        sent = 0
        while sent < 100 * LARGE and not self.server.closing.is_set():
            sent += self.wfile.write(b"x" * 65536)

    def do_large(self, body: dict[str, Any], _: str) -> None:
        self.send(200, self.truth(body, content="x" * LARGE))

    def do_content(self, body: dict[str, Any], content: str) -> None:
        self.send(200, self.truth(body, content=json.loads(content)))

    def do_finish(self, body: dict[str, Any], reason: str) -> None:
        self.send(200, self.truth(body, finish_reason=json.loads(reason)))

    def do_usage(self, body: dict[str, Any], usage: str) -> None:
        self.send(200, self.truth(body, usage=json.loads(usage)))

    def do_model(self, body: dict[str, Any], name: str) -> None:
        self.send(200, self.truth(body, model=name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="written once the server answers")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--model", default="liar")
    given = parser.parse_args()
    with Liar(model=given.model, listed=[given.model], delay=given.delay, log=given.log) as server:
        fresh = given.port_file.with_name(f"{given.port_file.name}.tmp")
        fresh.write_text(str(server.server_port))
        fresh.replace(given.port_file)
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
