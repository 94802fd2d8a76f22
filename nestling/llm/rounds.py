"""A round of requests, many at a time: what became of each, and when to draw no more; it sends nothing itself."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, Outcome
from nestling.llm.http_client import PassingError

_PATIENCE = 8  # requests in a row without an answer, at least, before the server counts as down
_MOST_HELD = 1000  # requests turned down before the first answer: then it is not for what they say


@dataclass
class Round:
    """One call of `answer`: what is under way, how it went so far, and whether it was called off.

    Attributes:
        in_flight: requests at the same time.
        answered: whether the server ever answered a request, in this round or before.
        held: what was turned down while nothing was answered: for its own sake, or all are; an answer decides.
        off: set where nothing more is to be asked.
        first: the request that was drawn first.
        drawn, unanswered: how many requests were drawn, and how many of them had no answer.
        cause: why the last one had none.
        error: what ends the run.
    """

    in_flight: int
    answered: bool
    held: list[ChatRefusal] = field(default_factory=list)
    off: asyncio.Event = field(default_factory=asyncio.Event)
    first: ChatRequest | None = None
    drawn: int = 0
    unanswered: int = 0
    cause: str = ""
    error: UserError | None = None
    _tasks: set[asyncio.Task[Outcome]] = field(default_factory=set)
    _in_a_row: int = 0

    def fill(self, source: Iterator[ChatRequest], begin: Callable[[ChatRequest], asyncio.Task[Outcome]]) -> bool:
        """Draw requests while there is room; return whether any is under way."""
        while len(self._tasks) < self.in_flight and len(self.held) < _MOST_HELD and not self.off.is_set():
            request = next(source, None)
            if request is None:
                break
            self.first = self.first or request
            self.drawn += 1
            self._tasks.add(begin(request))
        return bool(self._tasks)

    @property
    def undecided(self) -> bool:
        """Whether all that was drawn is done, and nothing but held: a request that nobody could mind decides then."""
        return bool(self.held) and not self._tasks and not self.off.is_set()

    def release(self) -> list[ChatRefusal]:
        """Return what was held, now that the server is known to answer."""
        self.answered = True
        released, self.held = self.held, []
        return released

    async def wait(self) -> set[asyncio.Task[Outcome]]:
        """Return what is done, as soon as anything is."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return done

    def settle(self, task: asyncio.Task[Outcome]) -> list[Outcome]:
        """Return the outcomes that are certain now that a task is done; or take down what became of it."""
        self._tasks.discard(task)
        try:
            outcome = task.result()
        except UserError as error:
            self.error = self.error or error
            self.off.set()
        except PassingError as passing:
            self.unanswered += 1
            self._in_a_row += 1
            self.cause = str(passing) or self.cause
            if self._in_a_row >= max(self.in_flight, _PATIENCE):
                self.off.set()
        else:
            self._in_a_row = 0
            return self._certain(outcome)
        return []

    async def nap(self, seconds: float) -> None:
        """Sleep, unless the round is called off: nothing is tried again then."""
        try:
            async with asyncio.timeout(seconds):
                await self.off.wait()
        except TimeoutError:
            return
        raise PassingError("")

    async def cancel(self) -> None:
        await cancel(self._tasks)

    def _certain(self, outcome: Outcome) -> list[Outcome]:
        if isinstance(outcome, ChatAnswer):
            return [*self.release(), outcome]
        if outcome.reason == "turned_down" and not self.answered:
            self.held.append(outcome)
            return []
        return [outcome]


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks, and take what they raise so that none complains."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
