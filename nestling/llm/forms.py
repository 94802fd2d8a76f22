"""Answers that keep to a form: a JSON schema that bounds them, and another seed for those that do not."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from nestling.cli import say
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, canonical

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """Why there is no answer in form, and the beginning of what there was."""

    reason: str
    detail: str
    text: str


@dataclass
class Replies(Generic[T]):
    """What came of a number of requests.

    Attributes:
        good: by name, what was read out of the answers that kept to the form.
        failed: by name, why there is none.
        answers, malformed: how many answers there were, and how many of them did not keep to the form.
        prompt_tokens, completion_tokens: of all answers, whether they came from the cache or not.
    """

    good: dict[str, T] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    answers: int = 0
    malformed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Form(Generic[T]):
    """A question to be asked about many things, and how its answers are read.

    Attributes:
        what: is asked for, as the progress bar says it.
        request: (name, attempt) -> the request, whose key is the name.
        read: (name, answer's text) -> what it holds, or None when it does not keep to the form.
        attempts: how often one thing is asked about.
    """

    what: str
    request: Callable[[str, int], ChatRequest]
    read: Callable[[str, str], T | None]
    attempts: int


def ask_in_form(llm: Llm, names: Sequence[str], form: Form[T]) -> Replies[T]:
    """Ask about every name until its answer keeps to the form or the attempts are used up.

    Raises:
        UserError: the model cannot be had, or it ended; answers so far are kept.
    """
    replies = Replies[T]()
    waiting = list(names)
    for attempt in range(form.attempts):
        what = form.what if attempt == 0 else f"{form.what}, attempt {attempt + 1}"
        for outcome in llm.ask((form.request(name, attempt) for name in waiting), what):
            if isinstance(outcome, ChatRefusal):
                replies.failed[outcome.key] = Failure(outcome.reason, outcome.detail, "")
            else:
                _take(outcome, form, replies, llm)
        if replies.malformed > replies.answers / 2:
            say(f"llm: {replies.malformed} of {replies.answers} answers are not in form: see docs/llm.md")
        waiting = [name for name in waiting if name in replies.failed and replies.failed[name].reason in _AGAIN]
        if not waiting:
            break
    return replies


_AGAIN = ("not_json", "cut")  # what another seed may mend


def _take(answer: ChatAnswer, form: Form[T], replies: Replies[T], llm: Llm) -> None:
    replies.answers += 1
    replies.prompt_tokens += answer.prompt_tokens
    replies.completion_tokens += answer.completion_tokens
    read = form.read(answer.key, answer.text)
    if read is not None:
        replies.good[answer.key] = read
        replies.failed.pop(answer.key, None)
        return
    replies.malformed += 1
    llm.meter.malformed += 1
    reason = "cut" if answer.finish == "length" else "not_json"
    replies.failed[answer.key] = Failure(reason, f"{answer.completion_tokens} tokens", answer.text)


def closed_object(properties: Mapping[str, Any]) -> str:
    """Return the JSON schema of an object with exactly these properties, in their order."""
    return canonical(
        {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    )


def read_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in an answer, which models without a schema wrap in words, or None where none is."""
    try:
        tree = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def request_seed(seed: int, *parts: object) -> int:
    """Return the seed of one request's sampling: 31 bits, so that every engine takes it."""
    return int.from_bytes(hashlib.sha256(canonical([seed, *map(str, parts)]).encode()).digest()[:4]) >> 1
