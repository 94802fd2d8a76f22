"""What an LLM is to the pipeline: requests in, answers out as they finish. The engines are entries of one registry."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from nestling.errors import UserError


@dataclass(frozen=True)
class ChatRequest:
    """One conversation to be continued.

    Attributes:
        key: the caller's name for it; comes back with the answer.
        messages: (role, content) pairs; content is plain text, never a template.
        seed: of the sampling.
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    seed: int


@dataclass(frozen=True)
class ChatAnswer:
    """What came back for a request; `text` is data and is trusted in nothing."""

    key: str
    text: str
    prompt_tokens: int
    completion_tokens: int


class Backend(Protocol):
    """An LLM."""

    name: str

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        """Yield one answer a request, in whatever order they finish."""


class EchoBackend:
    """Answers with the first words of the last message: no model, for trying a pipeline out and for tests."""

    name = "echo"

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        """Yield one answer a request, in their order."""
        for request in requests:
            said = request.messages[-1][1].split()
            answer = said[:12]
            yield ChatAnswer(request.key, " ".join(answer), len(said), len(answer))


BACKENDS: dict[str, Callable[[], Backend]] = {"echo": EchoBackend}


def load_backend(name: str) -> Backend:
    """Return the backend of that name.

    Raises:
        UserError: there is none.
    """
    if name not in BACKENDS:
        raise UserError(f"there is no LLM backend {name!r}: choose one of {', '.join(sorted(BACKENDS))}")
    return BACKENDS[name]()
