"""An LLM behind a server that speaks OpenAI's chat API: vLLM, llama.cpp, a hosted one. It keeps nothing on disk."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue

from anyio.from_thread import start_blocking_portal

from nestling.errors import UserError
from nestling.llm.backend import ChatRequest, ModelParams, Outcome
from nestling.llm.chat_client import ChatClient, NoAnswerError
from nestling.llm.server_params import ServerParams

_PATIENCE = 8  # requests in a row without an answer, at least, before the server counts as down


class ServerBackend:
    """Asks a server, many requests at a time; the event loop runs in a thread of its own.

    Raises:
        UserError: the server cannot be reached, does not accept the key, or does not serve the model.
    """

    def __init__(self, model: ModelParams, params: ServerParams) -> None:
        self._params = params
        self._client = ChatClient(params.served_as or model.name, params)
        self._open = ExitStack()
        self._portal = self._open.enter_context(start_blocking_portal())
        self._open.callback(self._portal.call, self._end)
        try:
            self._portal.call(self._client.check)
        except BaseException:
            self.close()
            raise

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        """Yield one outcome a request as they come; requests are drawn as there is room for them.

        Raises:
            UserError: requests had no answer, or none can have one; what was under way was waited for and yielded.
        """
        source, finished = iter(requests), SimpleQueue[Future[Outcome]]()
        under_way, tally = set[Future[Outcome]](), _Tally(max(self._params.in_flight, _PATIENCE))
        try:
            while not tally.down:
                while len(under_way) < self._params.in_flight and not tally.error and (request := next(source, None)):
                    tally.drawn += 1
                    under_way.add(future := self._portal.start_task_soon(self._client.ask, request))
                    future.add_done_callback(finished.put)
                if not under_way:
                    break
                under_way.remove(future := finished.get())
                if outcome := tally.settle(future):
                    yield outcome
        finally:
            for future in under_way:
                future.cancel()
        if error := tally.error or self._shortfall(tally):
            raise error

    def close(self) -> None:
        """End what is still under way, and let go of the connections."""
        self._open.close()

    async def _end(self) -> None:
        await self._client.close()
        await self._portal.stop(cancel_remaining=True)

    def _shortfall(self, tally: "_Tally") -> UserError | None:
        if missing := tally.drawn - tally.settled:
            do = "check the server, and run again" if tally.down else "run again"
            return UserError(
                f"{self._params.url} gave no answer to {missing} of {tally.drawn} requests (the last: {tally.cause}); "
                f"all other answers are kept: {do} to ask for what is missing"
            )
        return None


@dataclass
class _Tally:
    """How the requests of one call went.

    Attributes:
        patience: requests in a row without an answer after which the server counts as down.
        drawn, settled: how many requests were drawn, and how many of them have an outcome.
        in_a_row: how many had no answer since the last outcome.
        cause: why the last one had none.
        error: what ends the run.
    """

    patience: int
    drawn: int = 0
    settled: int = 0
    in_a_row: int = 0
    cause: str = ""
    error: UserError | None = None

    @property
    def down(self) -> bool:
        return self.in_a_row >= self.patience

    def settle(self, future: Future[Outcome]) -> Outcome | None:
        """Return the outcome that a request has; note why where it has none."""
        try:
            outcome = future.result()
        except UserError as error:
            self.error = self.error or error
        except NoAnswerError as error:
            self.in_a_row += 1
            self.cause = str(error)
        else:
            self.settled += 1
            self.in_a_row = 0
            return outcome
        return None
