"""What a run of questions costs, counted, and shown while it goes on."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from nestling.llm.backend import ChatAnswer

_LOG_EVERY = 30.0  # seconds between two lines where nobody watches a terminal


@dataclass
class Meter:
    """Counts of one run, and the progress bar over what is asked in it.

    Attributes:
        hits: answers that the response cache had.
        asked: answers that the model gave.
        refused: requests that the model can never answer.
        malformed: answers that did not keep to the form.
        prompt_tokens, completion_tokens, cached_tokens: of the answers that the model gave.
        seconds: that a model was at work, its loading included.
    """

    hits: int = 0
    asked: int = 0
    refused: int = 0
    malformed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    _bar: "tqdm[Any] | None" = field(default=None, repr=False)
    _began: float = field(default=0.0, repr=False)

    def begin(self, what: str, total: int) -> None:
        """Show a bar over `total` requests to a model."""
        every = 0.5 if sys.stderr.isatty() else _LOG_EVERY
        self._began = time.monotonic()
        self._bar = tqdm(total=total, desc=what, unit=" answers", mininterval=every, miniters=1, dynamic_ncols=True)

    def count(self, answer: ChatAnswer) -> None:
        """Count an answer of a model."""
        self.asked += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cached_tokens += answer.cached_tokens
        self._advance()

    def refuse(self) -> None:
        """Count a refusal."""
        self.refused += 1
        self._advance()

    def _advance(self) -> None:
        if self._bar is not None:
            self._tell(self._bar)
            self._bar.update()

    def _tell(self, bar: "tqdm[Any]") -> None:
        elapsed = max(self.seconds + time.monotonic() - self._began, 1e-9)
        tokens = f"{self.prompt_tokens / elapsed:.0f}+{self.completion_tokens / elapsed:.0f} tokens/s"
        told = f"{tokens}, {self.hits} from cache, {self.malformed} malformed, {self.refused} refused"
        bar.set_postfix_str(told, refresh=False)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._tell(self._bar)
            self._bar.close()
            self._bar = None
            self.seconds += time.monotonic() - self._began

    def sentence(self) -> str:
        """Return what a person wants to know of the run."""
        told = f"{self.asked} answers asked for, {self.hits} from the cache"
        return told + (f", {self.refused} requests refused" if self.refused else "")

    def report(self) -> dict[str, int | float]:
        """Return the figures of this run, for a report."""
        rate = self.asked / self.seconds if self.seconds else 0.0
        return {
            "cache_hits": self.hits,
            "asked": self.asked,
            "refused": self.refused,
            "malformed": self.malformed,
            "prompt_tokens": self.prompt_tokens,
            "prefix_cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "seconds": round(self.seconds, 1),
            "answers_per_second": round(rate, 2),
        }
