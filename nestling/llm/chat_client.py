"""OpenAI's chat API through the `openai` client, which retries with back-off: a request in, its outcome out."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletion

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, Finish, Outcome
from nestling.llm.bounded_http import open_http, read_key
from nestling.llm.server_params import KEY, ServerParams

_CONNECT_S = 10.0  # to open a connection; also the time limit of the list of models
_QUOTED = 200  # characters of a server's message that are shown

_ALL_REQUESTS = (401, 402, 403, 405, 407)  # concern the key, the account, the path or the proxy: every request
_TOO_LONG = re.compile(r"context[ _](length|size|window)")  # vLLM, OpenAI, SGLang; llama.cpp
_CONTEXT = re.compile(r"context length (?:is |\()(\d+)")  # both wordings of vLLM, the first also OpenAI's


class NoAnswerError(Exception):
    """No try of a request gave an answer; the next run may get one."""


class ChatClient:
    """Asks one model of one server.

    Raises:
        UserError: the key can be none, or the environment names proxies or certificates that cannot be used.
    """

    def __init__(self, name: str, params: ServerParams) -> None:
        self._name, self._params, self._url = name, params, params.url
        self._key = read_key()
        self._client = AsyncOpenAI(
            base_url=params.url,
            api_key=self._key or "none",
            max_retries=params.tries - 1,
            timeout=httpx2.Timeout(params.timeout_s, connect=_CONNECT_S),
            http_client=open_http(params, self._key),
        )
        self._accepts, self._probing = False, asyncio.Lock()

    async def check(self) -> None:
        """Ask the server for its models, so that what is wrong from the start is said at the start.

        Raises:
            UserError: the server cannot be reached, rejects the key, redirects, or has other models.
        """
        try:
            names = await self._models()
        except APIStatusError as error:
            if error.status_code in (401, 403) or error.status_code < 400:
                raise self._error(error) from None
            return
        except APIConnectionError as error:
            raise UserError(
                f"{self._url} cannot be reached ({self._told(error)}): start the server, or correct `url`"
            ) from None
        if names and self._name not in names:
            raise self._other_models(names)

    async def ask(self, request: ChatRequest) -> Outcome:
        """Return the outcome of a request.

        Raises:
            NoAnswerError: there was none in all tries.
            UserError: no request can have one: the key, the model's name, the settings or the server are wrong.
        """
        try:
            completion = await self._create(request)
        except APIError as error:
            return await self._refused(request, error)
        answer = self._answer(request.key, completion)
        self._accepts = True
        return answer

    async def close(self) -> None:
        await self._client.close()

    async def _create(self, request: ChatRequest) -> ChatCompletion:
        held: dict[str, Any] = {}
        if self._params.structure == "schema":
            schema = {"name": "answer", "schema": json.loads(request.schema), "strict": True}
            held = {"response_format": {"type": "json_schema", "json_schema": schema}}
        elif self._params.structure == "object":
            held = {"response_format": {"type": "json_object"}}
        messages: Any = [{"role": role, "content": content} for role, content in request.messages]
        sampling = request.sampling.model_dump()  # its names are those of the API
        completion: ChatCompletion = await self._client.chat.completions.create(
            model=self._name, messages=messages, seed=request.seed, **sampling, **held
        )
        return completion

    def _answer(self, key: str, completion: ChatCompletion) -> ChatAnswer:
        told = completion.model  # a server may name none, or add a date
        if isinstance(told, str) and not re.fullmatch(re.escape(self._name) + r"(-\d[\d-]*)?", told):
            raise UserError(
                f"{self._url} answers as the model {self._quote(told)}, and not as {self._name}: "
                "serve that one, or name in `served_as` the one that is meant"
            )
        usage, choice = completion.usage, completion.choices[0]
        details = getattr(usage, "prompt_tokens_details", None)
        counts = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), _count(details, "cached_tokens")
        content = choice.message.content
        if content is not None and not isinstance(content, str):
            return ChatAnswer(key, "", "error", *counts)
        reason = choice.finish_reason
        finish: Finish = "stop" if reason == "stop" else "length" if reason == "length" else "error"
        return ChatAnswer(key, content or "", finish, *counts)

    async def _refused(self, request: ChatRequest, error: APIError) -> ChatRefusal:
        """Return the refusal that an error is for this request; raise where it is none."""
        status, told = _status(error), self._told(error)
        if status in (400, 413, 422, 500) and _TOO_LONG.search(f"{_complaint(error)} {error.type} {error.code}"):
            return self._too_long(request, _complaint(error))
        if _may_pass(status):
            raise NoAnswerError(told)
        if status == 404:
            raise await self._unknown(told)
        if status in _ALL_REQUESTS or status < 400:
            raise self._error(error)
        try:
            await self._probe(request)
        except APIError as failed:
            raise NoAnswerError(self._told(failed)) if _may_pass(_status(failed)) else self._rejected(told) from None
        return ChatRefusal(request.key, "turned_down", told)

    async def _probe(self, request: ChatRequest) -> None:
        """Unless the server answered before, ask it a harmless question in the same way.

        Raises:
            APIError: it rejects that, too: the settings are wrong, and not the text of a request.
        """
        async with self._probing:
            if not self._accepts:
                await self._create(replace(request, messages=(*request.messages[:-1], ("user", "1 + 1 = ?"))))
                self._accepts = True

    def _too_long(self, request: ChatRequest, told: str) -> ChatRefusal:
        room, wanted = _CONTEXT.search(told), request.sampling.max_tokens
        if room and int(room[1]) <= wanted:
            raise UserError(
                f"{self._url} serves a model with room for {room[1]} tokens, and max_tokens asks for answers of "
                f"{wanted}: lower max_tokens, or serve the model with a longer context"
            )
        return ChatRefusal(request.key, "passage_too_long", self._quote(told))

    async def _models(self) -> list[str]:
        """Return the names of the models, none where the response is no list."""
        asking = self._client.with_options(max_retries=0, timeout=_CONNECT_S)
        try:
            tree = json.loads((await asking.get("/models", cast_to=httpx2.Response)).content)
        except (ValueError, RecursionError):
            return []
        rows = tree.get("data") if isinstance(tree, dict) else None
        rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return [row["id"] for row in rows if isinstance(row.get("id"), str)]

    def _error(self, error: APIError) -> UserError:
        status, told = _status(error), self._told(error)
        if status in (401, 403):
            wrong = "does not accept the key in" if self._key else "wants a key, and there is none in"
            return UserError(f"{self._url} {wrong} {KEY} ({told}): set it to a key of this server")
        if isinstance(error, APIStatusError) and status < 400:
            where = self._quote(error.response.headers.get("Location", "").partition("?")[0])
            return UserError(f"{self._url} redirects (HTTP {status}, {where}): set `url` to the server itself")
        return self._rejected(told)

    def _rejected(self, told: str) -> UserError:
        return UserError(
            f"{self._url} rejects requests ({told}): "
            "see whether it supports what `structure` and the sampling parameters ask for"
        )

    async def _unknown(self, told: str) -> UserError:
        try:
            names = await self._models()
        except APIError:
            names = []
        if names and self._name not in names:
            return self._other_models(names)
        return UserError(
            f"{self._url} does not serve {self._name} ({told}): "
            "see whether `url` ends as the server's does (mostly in /v1), and `served_as` is its name for the model"
        )

    def _other_models(self, names: list[str]) -> UserError:
        there = ", ".join(self._quote(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
        return UserError(f"{self._url} serves {there}, and not {self._name}: name in `served_as` the one meant")

    def _told(self, error: APIError) -> str:
        if isinstance(error, APIStatusError):
            return f"HTTP {error.status_code}: {self._quote(_complaint(error))}".rstrip(": ")
        cause = error.__cause__ or error
        return f"{type(cause).__name__}: {self._quote(str(cause))}".rstrip(": ")

    def _quote(self, text: str) -> str:
        """Return a server's message as a short line without the key and without control characters."""
        hidden = text.replace(self._key, "***") if self._key else text
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in hidden[: 10 * _QUOTED]).split())
        return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."


def _status(error: APIError) -> int:
    """Return the HTTP status, 0 where no response came."""
    return error.status_code if isinstance(error, APIStatusError) else 0


def _may_pass(status: int) -> bool:
    """Return whether the next run may be answered: the client has used up all tries of this one."""
    return status in (0, 408, 429) or status >= 500


def _complaint(error: APIError) -> str:
    """Return what the body of an error says."""
    if isinstance(error.body, dict) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    if isinstance(error.body, str):
        return error.body
    return error.response.text if isinstance(error, APIStatusError) else ""


def _count(tree: object, name: str) -> int:
    number = getattr(tree, name, None)
    return number if type(number) is int and 0 <= number < 2**31 else 0
