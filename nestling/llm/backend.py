"""What an LLM is to the pipeline: chat requests in, answers out as they finish."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import Field, PositiveInt

from nestling.params import Strict

Finish = Literal["stop", "length", "error"]
Reason = Literal["passage_too_long", "special_token", "turned_down"]


class ModelParams(Strict):
    """Which LLM, at a version that cannot move.

    `revision` is the commit (40 digits) of a model on the hub, the fingerprint (64 digits) of a local folder, or, of a
    model that only a server knows, whatever its owner calls the version.
    """

    name: str = Field(min_length=1)
    revision: str

    @property
    def identity(self) -> str:
        """What stands for the model in the response cache: a folder is the same model wherever it lies."""
        return self.revision if len(self.revision) == 64 else f"{self.name}@{self.revision}"


class SamplingParams(Strict):
    """How answers are drawn."""

    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    max_tokens: PositiveInt  # of an answer


@dataclass(frozen=True)
class ChatRequest:
    """One conversation to be continued.

    Attributes:
        key: the caller's name for it; comes back with the answer.
        messages: (role, content) pairs; content is plain text, never a template.
        seed: of the sampling.
        schema: the JSON schema that the answer must obey, as canonical JSON.
        sampling: how the answer is drawn.
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    seed: int
    schema: str
    sampling: SamplingParams

    def digest(self, model: ModelParams) -> str:
        """Return the key of the response cache: everything that decides the answer, and nothing else."""
        decides = [model.identity, self.messages, self.sampling.model_dump(), self.schema, self.seed]
        return hashlib.sha256(canonical(decides).encode()).hexdigest()


@dataclass(frozen=True)
class ChatAnswer:
    """What came back for a request.

    Attributes:
        key: of the request.
        text: the answer; it is data and is trusted in nothing.
        finish: `stop` where the model ended by itself, `length` where `max_tokens` did.
        prompt_tokens, completion_tokens: as the engine counted them.
        cached_tokens: how many of the prompt's tokens came from the engine's prefix cache.
    """

    key: str
    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class ChatRefusal:
    """A request that this model, as it is run, can never answer.

    Attributes:
        key: of the request.
        reason: `passage_too_long` where the prompt does not fit the context, `special_token` where a text holds a
            token that the chat format reserves, `turned_down` where a server will not hear of it (a content filter).
        detail: the numbers behind it.
    """

    key: str
    reason: Reason
    detail: str


Outcome = ChatAnswer | ChatRefusal


class Backend(Protocol):
    """An LLM that is ready to answer."""

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        """Yield one outcome a request, in whatever order they finish; requests are drawn as they can be worked on.

        Raises:
            UserError: the engine or the server ended, with what to do; outcomes that were yielded stand.
        """

    def close(self) -> None:
        """Free what the engine holds."""


def canonical(tree: Any) -> str:
    """Return the one JSON text of a tree in which the order of keys means something (a schema's properties)."""
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
