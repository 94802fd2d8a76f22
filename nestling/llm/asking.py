"""A model behind the response cache: only what was never answered is asked, and only then is a model loaded."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Self

from nestling.cli import say
from nestling.errors import UserError
from nestling.llm.backend import Backend, ChatRefusal, ChatRequest, ModelParams, Outcome, canonical
from nestling.llm.journal import Entry, Journal
from nestling.llm.meter import Meter

_LOOK_EVERY = 0.1  # seconds between two looks at what another process has in hand
_TELL_AFTER = 5.0  # seconds


class Llm:
    """A model that answers from the journal where it can, and leaves to another process what that one is asking.

    Attributes:
        used: digests of all requests whose answers were given out.
    """

    def __init__(
        self, model: ModelParams, load: Callable[[], Backend], journal: Journal, meter: Meter, limits: str = ""
    ) -> None:
        """Take everything; nothing is loaded yet.

        Args:
            model: what stands for it in the response cache.
            load: opens the backend, once something has to be asked.
            journal: the response cache.
            meter: of what is asked.
            limits: what decides, beside the request, whether it is refused.
        """
        self.model, self.journal, self.meter, self._limits = model, journal, meter, limits
        self.used: set[str] = set()
        self._load = load
        self._backend: Backend | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._backend is not None:
            self._backend.close()

    def ask(self, requests: Iterable[ChatRequest], what: str) -> Iterator[Outcome]:
        """Yield one outcome a request: first those that are kept, then those of the model as they finish.

        Args:
            requests: any number; what the journal lacks is held in memory.
            what: is asked, for the progress bar.

        Raises:
            UserError: the model cannot be loaded, or the engine or the server ended; answers so far are kept.
        """
        self.journal.refresh()
        missing: dict[str, list[ChatRequest]] = {}
        for request in requests:
            digest = request.digest(self.model)
            if kept := self._kept(digest, request.key):
                yield kept
            else:
                missing.setdefault(digest, []).append(request)
        if missing:
            yield from self._asked(missing, what)

    def _kept(self, digest: str, key: str) -> Outcome | None:
        for name in (digest, self._refused(digest)):
            if entry := self.journal.get(name):
                self.used.add(name)
                self.meter.hits += 1
                return entry.outcome(key)
        return None

    def _refused(self, digest: str) -> str:
        """Return the name under which a refusal is kept; other limits ask for what was refused again."""
        return hashlib.sha256(canonical(["refused", digest, self._limits]).encode()).hexdigest()

    def _asked(self, missing: dict[str, list[ChatRequest]], what: str) -> Iterator[Outcome]:
        say(f"llm: {len(missing)} answers ({what}) to ask for" + ("" if self._backend else "; loading the model"))
        try:
            self._backend = self._backend or self._load()
            self.meter.begin(what, len(missing))
            while missing:
                elsewhere: list[str] = []
                yield from self._answered(self._backend, missing, elsewhere)
                self._bide(elsewhere)
                missing = {digest: missing[digest] for digest in elsewhere}
        finally:
            self.journal.let_go()
            self.meter.end()

    def _answered(
        self, backend: Backend, missing: dict[str, list[ChatRequest]], elsewhere: list[str]
    ) -> Iterator[Outcome]:
        """Yield what becomes of all requests but those that are in hand elsewhere, which are noted."""
        late: list[str] = []  # another process answered them while they waited here
        silent = set(missing)
        for outcome in backend.answer(self._waiting(missing, late, elsewhere)):
            given = self._given(outcome)
            silent.remove(outcome.key)
            yield from (replace(given, key=request.key) for request in missing[outcome.key])
        for digest in late:
            yield from (kept for request in missing[digest] if (kept := self._kept(digest, request.key)))
        if silent := silent - {*late, *elsewhere}:
            raise UserError(f"the LLM ended without a word on {len(silent)} requests: run again; the others are kept")

    def _waiting(
        self, missing: dict[str, list[ChatRequest]], late: list[str], elsewhere: list[str]
    ) -> Iterator[ChatRequest]:
        for digest, (request, *_) in missing.items():
            if not self.journal.claim(digest):
                elsewhere.append(digest)
                continue
            self.journal.refresh()  # after the claim: who had it before has written by now
            if self.journal.get(digest) or self.journal.get(self._refused(digest)):
                self.journal.let_go(digest)
                late.append(digest)
            else:
                yield replace(request, key=digest)

    def _bide(self, elsewhere: list[str]) -> None:
        """Wait until another process lets go of one of the requests that it has in hand."""
        told = time.monotonic() + _TELL_AFTER
        while elsewhere and not any(self.journal.claim(digest) for digest in elsewhere):
            time.sleep(_LOOK_EVERY)
            if time.monotonic() > told:
                say(f"waiting for another run of this stage, which is asking {len(elsewhere)} of the same requests")
                told = math.inf

    def _given(self, outcome: Outcome) -> Outcome:
        name = self._refused(outcome.key) if isinstance(outcome, ChatRefusal) else outcome.key
        asked = Entry.of_refusal(outcome) if isinstance(outcome, ChatRefusal) else Entry.of(outcome)
        self.journal.add([(name, asked)])
        self.journal.let_go(outcome.key)
        self.used.add(name)
        if isinstance(outcome, ChatRefusal):
            self.meter.refuse()
            return outcome
        self.meter.count(outcome)
        # another process may have answered first, and what is kept stands
        return (self.journal.get(name) or asked).outcome(outcome.key, outcome.cached_tokens)
