"""A model behind the response cache: only what was never answered is asked, and only then is a model loaded."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Self

from nestling.cli import say
from nestling.errors import UserError
from nestling.llm.backend import Backend, ChatRefusal, ChatRequest, ModelParams, Outcome, canonical
from nestling.llm.meter import Meter
from nestling.llm.response_cache import Response, ResponseCache


class Llm:
    """A model that answers from the response cache where it can.

    Attributes:
        used: digests of all requests whose answers were given out.
    """

    def __init__(
        self, model: ModelParams, load: Callable[[], Backend], cache: ResponseCache, meter: Meter, limits: str = ""
    ) -> None:
        """Take everything; nothing is loaded yet.

        Args:
            model: what stands for it in the response cache.
            load: opens the backend, once something has to be asked.
            cache: of responses.
            meter: of what is asked.
            limits: what decides, beside the request, whether it is refused.
        """
        self.model, self.cache, self.meter, self._limits = model, cache, meter, limits
        self.used: set[str] = set()
        self._load = load
        self._backend: Backend | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._backend is not None:
            self._backend.close()

    def ask(self, requests: Iterable[ChatRequest], what: str) -> Iterator[Outcome]:
        """Yield one outcome a request: first those that are cached, then those of the model as they finish.

        Args:
            requests: any number; what the cache lacks is held in memory.
            what: is asked, for the progress bar.

        Raises:
            UserError: the model cannot be loaded, or the engine or the server ended; responses so far are kept.
        """
        missing: dict[str, list[ChatRequest]] = {}
        for request in requests:
            digest = request.digest(self.model)
            if cached := self._cached(digest, request.key):
                yield cached
            else:
                missing.setdefault(digest, []).append(request)
        if missing:
            yield from self._asked(missing, what)

    def _cached(self, digest: str, key: str) -> Outcome | None:
        for name in (digest, self._refused(digest)):
            if response := self.cache.get(name):
                self.used.add(name)
                self.meter.hits += 1
                return response.outcome(key)
        return None

    def _refused(self, digest: str) -> str:
        """Return the name under which a refusal is kept; other limits ask for what was refused again."""
        return hashlib.sha256(canonical(["refused", digest, self._limits]).encode()).hexdigest()

    def _asked(self, missing: dict[str, list[ChatRequest]], what: str) -> Iterator[Outcome]:
        say(f"llm: {len(missing)} answers ({what}) to ask for" + ("" if self._backend else "; loading the model"))
        self._backend = self._backend or self._load()
        self.meter.begin(what, len(missing))
        silent = set(missing)
        try:
            for outcome in self._backend.answer(replace(same[0], key=digest) for digest, same in missing.items()):
                kept = self._kept(outcome)
                silent.remove(outcome.key)
                yield from (replace(kept, key=request.key) for request in missing[outcome.key])
        finally:
            self.meter.end()
        if silent:
            raise UserError(f"the LLM ended without a word on {len(silent)} requests: run again; the others are kept")

    def _kept(self, outcome: Outcome) -> Outcome:
        """Put an outcome into the cache; return what stands there: another process may have been first."""
        refused = isinstance(outcome, ChatRefusal)
        name = self._refused(outcome.key) if refused else outcome.key
        response = Response.of(outcome, name)
        self.cache.add([response])
        self.used.add(name)
        if isinstance(outcome, ChatRefusal):
            self.meter.refuse()
            return outcome
        self.meter.count(outcome)
        return (self.cache.get(name) or response).outcome(outcome.key, outcome.cached_tokens)
