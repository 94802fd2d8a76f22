"""An LLM behind a server that speaks OpenAI's chat API: vLLM, llama.cpp, a hosted one. It keeps nothing on disk."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exception,
    wait_exponential,
    wait_random,
)

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, ModelParams, Outcome
from nestling.llm.chat_api import (
    Structure,
    answer_in,
    body_of,
    complaint_in,
    context_in,
    is_too_long,
    models_in,
    other_model,
    retry_after,
)
from nestling.llm.http_client import CONNECT_S, KEY, HttpClient, PassingError, Reply, bare_url
from nestling.llm.rounds import Round, cancel
from nestling.params import Strict

_LONGEST_WAIT_S = 60.0  # of our own between two tries
_OF_ALL = (401, 402, 403, 404, 405, 407)  # what is said of the key, the account, the path, the proxy: of no request


class ServerParams(Strict):
    """A server that speaks OpenAI's chat API."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a url that is turned down may hold a password

    kind: Literal["server"]
    url: Annotated[str, AfterValidator(bare_url)]  # all that stands before /chat/completions: http://127.0.0.1:8000/v1
    served_as: str  # the name under which the server knows the model; "" where that is the model's own
    structure: Structure  # the form the server is to hold the model to: the schema, any JSON object, nothing
    in_flight: PositiveInt  # requests at the same time
    tries: PositiveInt  # of each request
    timeout_s: float = Field(gt=0, allow_inf_nan=False)  # of one try, its wait in the server's queue included


class ServerBackend:
    """Asks a server, many requests at a time, and bears with it: tries again, waits, goes on with other requests.

    Raises:
        UserError: the server cannot be reached, turns the key down, or does not serve the model.
    """

    def __init__(self, model: ModelParams, params: ServerParams, first_wait_s: float = 1.0) -> None:
        self._params, self._url = params, params.url
        self._name = params.served_as or model.name
        self._wait = (
            wait_exception(lambda error: error.wait if isinstance(error, PassingError) else 0.0)
            + wait_exponential(multiplier=first_wait_s, max=_LONGEST_WAIT_S)
            + wait_random(0, first_wait_s)
        )
        self._client = HttpClient(params.url, params.in_flight)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._answered = self._closed = False
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        """Yield one outcome a request as they come; requests are drawn as there is room for them.

        Raises:
            UserError: requests had no answer, or none can have one; what was under way was waited for and yielded.
        """
        source, run = iter(requests), Round(self._params.in_flight, self._answered)
        try:
            while self._fill(run, source):
                for task in self._runner.run(self._turn(run)):
                    yield from run.settle(task)
                if run.undecided and self._takes_another(run.first):
                    yield from run.release()
        finally:
            self._answered |= run.answered
            if not self._closed:
                self._runner.run(run.cancel())
        if run.error:
            raise run.error
        if run.held:
            raise self._unheard(run.held[0].detail)
        if error := self._shortfall(run):
            raise error

    def _fill(self, run: Round, source: Iterator[ChatRequest]) -> bool:
        return run.fill(source, lambda request: self._runner.get_loop().create_task(self._ask(request, run)))

    def _takes_another(self, request: ChatRequest | None) -> bool:
        """Return whether a request that nobody could mind is answered, asked in the same way as those turned down."""
        if request is None:
            return False
        harmless = replace(request, messages=(*request.messages[:-1], ("user", "1 + 1 = ?")))
        body = body_of(harmless, self._name, self._params.structure)
        try:
            reply = self._runner.run(self._client.send("POST", "/chat/completions", self._params.timeout_s, body))
        except PassingError:
            return False
        return 200 <= reply.status < 300

    def close(self) -> None:
        """Let go of the connections, and of what a round that was not read to its end still has under way."""
        if self._closed:
            return
        self._closed = True
        try:
            self._runner.run(self._leave())
        finally:
            self._runner.close()

    async def _turn(self, run: Round) -> set[asyncio.Task[Outcome]]:
        """Return what is done, as soon as anything is; the time that the caller spent elsewhere counts for no try."""
        self._client.resume()
        try:
            return await run.wait()
        finally:
            self._client.pause()

    async def _leave(self) -> None:
        await cancel({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        await self._client.close()

    async def _ask(self, request: ChatRequest, run: Round) -> Outcome:
        """Try a request until it has an outcome, its tries are used up, or the round is called off."""
        given_up = stop_after_attempt(self._params.tries)
        retrying = AsyncRetrying(
            sleep=run.nap,
            stop=lambda state: run.off.is_set() or given_up(state),
            wait=self._wait,
            retry=retry_if_exception_type(PassingError),
            reraise=True,
        )
        outcome: Outcome = await retrying(self._try, request, body_of(request, self._name, self._params.structure))
        return outcome

    async def _try(self, request: ChatRequest, body: bytes) -> Outcome:
        reply = await self._client.send("POST", "/chat/completions", self._params.timeout_s, body)
        if 200 <= reply.status < 300:
            return self._answer(request.key, reply)
        if is_too_long(reply):
            return self._too_long(request, complaint_in(reply))
        if reply.status in (408, 429) or (reply.status >= 500 and reply.status != 501):
            asked = retry_after(reply.headers.get("Retry-After", ""), datetime.now(UTC))
            raise PassingError(self._told(reply), asked)
        if reply.status == 404:
            raise self._unknown(reply, await self._models())
        if 400 <= reply.status < 500 and reply.status not in _OF_ALL:
            return ChatRefusal(request.key, "turned_down", self._told(reply))
        raise self._refusal(reply)

    def _look(self) -> None:
        """Ask the server once who it is, so that what is wrong from the start is said at the start."""
        try:
            reply = self._runner.run(self._client.send("GET", "/models", CONNECT_S))
        except PassingError as passing:
            raise UserError(f"{self._url} cannot be reached ({passing}): start the server, or mend `url`") from None
        if reply.status in (401, 403) or 300 <= reply.status < 400:
            raise self._refusal(reply)
        names = models_in(reply)
        if names and self._name not in names:
            raise self._unknown(reply, names)

    async def _models(self) -> list[str]:
        try:
            return models_in(await self._client.send("GET", "/models", CONNECT_S))
        except PassingError:
            return []

    def _answer(self, key: str, reply: Reply) -> ChatAnswer:
        answer = answer_in(reply, key)
        if answer is None:
            raise PassingError(f"no whole answer in: {self._client.quote(complaint_in(reply))}")
        if (other := other_model(reply, self._name)) is not None:
            raise UserError(
                f"{self._url} answers as the model {self._client.quote(other)}, and not as {self._name}: "
                "serve that one, or name in `served_as` the one that is meant"
            )
        return answer

    def _too_long(self, request: ChatRequest, told: str) -> ChatRefusal:
        room, asked = context_in(told), request.sampling.max_tokens
        if room is not None and room <= asked:
            raise UserError(
                f"{self._url} serves a model with room for {room} tokens, and max_tokens asks for answers of "
                f"{asked}: lower max_tokens, or serve the model with a longer context"
            )
        return ChatRefusal(request.key, "passage_too_long", self._client.quote(told))

    def _refusal(self, reply: Reply) -> UserError:
        if reply.status in (401, 403):
            mend = "does not accept the key in" if self._client.keyed else "wants a key, and there is none in"
            return UserError(f"{self._url} {mend} {KEY} ({self._told(reply)}): set it to a key of this server")
        if 300 <= reply.status < 400:
            where = self._client.quote(reply.headers.get("Location", "").partition("?")[0])
            return UserError(
                f"{self._url} sends elsewhere (HTTP {reply.status}, {where}): set `url` to the server itself"
            )
        return self._unheard(self._told(reply))

    def _unheard(self, told: str) -> UserError:
        return UserError(
            f"{self._url} turns a request down ({told}): "
            "see whether it supports what `structure` and the sampling parameters ask for"
        )

    def _unknown(self, reply: Reply, names: list[str]) -> UserError:
        if names and self._name not in names:
            there = ", ".join(self._client.quote(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
            return UserError(f"{self._url} serves {there}, and not {self._name}: name in `served_as` the one meant")
        return UserError(
            f"{self._url} does not serve {self._name} ({self._told(reply)}): "
            "see whether `url` ends as the server's does (mostly in /v1), and `served_as` is its name for the model"
        )

    def _shortfall(self, run: Round) -> UserError | None:
        if not run.unanswered:
            return None
        down = "see to the server, and run again" if run.off.is_set() else "run again"
        return UserError(
            f"{self._url} gave no answer to {run.unanswered} of {run.drawn} requests (the last: {run.cause}); "
            f"all other answers are kept: {down} to ask for what is missing"
        )

    def _told(self, reply: Reply) -> str:
        return f"HTTP {reply.status}: {self._client.quote(complaint_in(reply))}".rstrip(": ")
