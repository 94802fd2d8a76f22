"""Answers that obey the schema and hold words of the last message: no model, to try a pipeline out and for tests."""

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from nestling.llm.backend import ChatAnswer, ChatRequest
from nestling.params import Strict

_LAST = 4  # words of the message that a grade goes by


class EchoParams(Strict):
    """No model at all."""

    kind: Literal["echo"]


class EchoBackend:
    """Says the words of the last message again, in another order and in the shape that the schema asks for.

    Its grades are high where the end of the message repeats what stands before it, as a query does that was cut out
    of its passage.
    """

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        """Yield one answer a request, in their order."""
        for request in requests:
            said = [word for word in request.messages[-1][1].split() if "<" not in word]
            chance = random.Random(f"{request.seed} {request.messages[-1][1]}")
            text = json.dumps(_filled(json.loads(request.schema), said, chance), ensure_ascii=False)
            yield ChatAnswer(request.key, text, "stop", len(said), len(text.split()))

    def close(self) -> None:
        """Free nothing."""


def _filled(schema: dict[str, Any], said: list[str], chance: random.Random) -> Any:
    if schema["type"] == "object":
        return {name: _filled(inner, said, chance) for name, inner in schema["properties"].items()}
    if schema["type"] == "array":
        return [_filled(schema["items"], said, chance) for _ in range(schema["minItems"])]
    if schema["type"] == "integer":
        return _graded(schema["minimum"], schema["maximum"], said, chance)
    words = chance.sample(said, min(len(said), 6))
    return " ".join(words)[: schema["maxLength"]] or "?"


def _graded(least: int, most: int, said: list[str], chance: random.Random) -> int:
    """Return a grade: the share of the last words that stand further up, too, and some noise."""
    last, before = said[-_LAST:], set(said[:-_LAST])
    share = sum(word in before for word in last) / max(1, len(last))
    return max(least, round(share * most) - chance.randint(0, 2))
