"""OpenAI's chat API on the wire: what a request's body says, and what a reply means; nothing is sent from here."""

import json
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from nestling.llm.backend import ChatAnswer, ChatRequest, Finish, canonical
from nestling.llm.http_client import QUOTED, Reply

Structure = Literal["schema", "object", "none"]

_LONGEST_ASKED_S = 300.0  # that a server may ask for by Retry-After
_BROKEN_OFF = ("abort", "error")  # finish reasons: vLLM that is being stopped, OpenRouter whose provider failed
_TOO_LONG = re.compile(r"context[ _](length|size|window)")  # vLLM, OpenAI, SGLang; llama.cpp
_CONTEXT = re.compile(r"context length (?:is |\()(\d+)")  # vLLM's two wordings, the first also OpenAI's


def body_of(request: ChatRequest, model: str, structure: Structure) -> bytes:
    """Return what is posted for a request.

    Args:
        request: the request.
        model: the name under which the server knows it.
        structure: the form that the server is to hold the model to.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "seed": request.seed,
        **request.sampling.model_dump(),  # its names are those of the API
    }
    if structure == "schema":
        held = {"name": "answer", "schema": json.loads(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": held}
    elif structure == "object":
        body["response_format"] = {"type": "json_object"}
    return canonical(body).encode()


def answer_in(reply: Reply, key: str) -> ChatAnswer | None:
    """Return the answer that a reply holds, None where it has none or one that the server itself broke off."""
    if not reply.whole:
        return ChatAnswer(key, reply.text[:QUOTED], "error", 0, 0)
    tree = reply.tree
    try:
        choice = tree["choices"][0]
        content, reason = choice["message"].get("content"), choice.get("finish_reason")
    except (AttributeError, IndexError, KeyError, TypeError):
        return None
    if reason in _BROKEN_OFF:
        return None
    usage = tree.get("usage")
    cached = _count(usage.get("prompt_tokens_details"), "cached_tokens") if isinstance(usage, dict) else 0
    counts = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), cached
    text = "" if content is None else content
    if not isinstance(text, str):
        return ChatAnswer(key, "", "error", *counts)
    finish: Finish = "stop" if reason == "stop" else "length" if reason == "length" else "error"
    return ChatAnswer(key, text, finish, *counts)


def other_model(reply: Reply, asked: str) -> str | None:
    """Return the model that a reply is from where that is not the asked one: it may name none, or add a date."""
    told = reply.tree.get("model")
    if not isinstance(told, str) or re.fullmatch(re.escape(asked) + r"(-\d[\d-]*)?", told):
        return None
    return told


def complaint_in(reply: Reply) -> str:
    """Return what an error says."""
    return _complaint(reply)[0]


def is_too_long(reply: Reply) -> bool:
    """Return whether an error says that the prompt does not fit the context."""
    return reply.status in (400, 413, 422, 500) and _TOO_LONG.search(" ".join(_complaint(reply))) is not None


def context_in(told: str) -> int | None:
    """Return the tokens for which the model has room, None where a complaint does not say."""
    found = _CONTEXT.search(told)
    return int(found[1]) if found else None


def models_in(reply: Reply) -> list[str]:
    """Return the names of a list of models, none where the reply is no such list."""
    rows = reply.tree.get("data") if reply.status == 200 else None
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [row["id"] for row in rows if isinstance(row.get("id"), str)]


def retry_after(header: str, now: datetime) -> float:
    """Return the seconds that a Retry-After header asks for, in either of its forms; 0 where it says nothing."""
    try:
        seconds = float(header) if header[:1].isdigit() else (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_ASKED_S)


def _complaint(reply: Reply) -> tuple[str, str]:
    """Return what an error says, and what it calls itself."""
    error = reply.tree.get("error", reply.tree)
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return error["message"], f"{error.get('type')} {error.get('code')}"
    return error if isinstance(error, str) else reply.text, ""


def _count(tree: Any, name: str) -> int:
    number = tree.get(name) if isinstance(tree, dict) else None
    return number if type(number) is int and 0 <= number < 2**31 else 0
