"""vLLM on several GPUs or machines: one vLLM backend a replica, on a Ray cluster.

Why actors of our own and not ray.data.llm: docs/decisions/0003.
"""

import os
import pickle
import re
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Literal

from pydantic import Field, PositiveInt

from nestling.cli import say
from nestling.errors import UserError
from nestling.llm.backend import ChatRequest, ModelParams, Outcome
from nestling.llm.vllm import VllmBackend, VllmParams
from nestling.params import Strict

_DEATHS = 3  # of each replica, on average, before the run is given up
_KNOCK_S = 10.0  # that a cluster may take to open a connection
_SAY_WAITING = 60.0  # seconds between two words on replicas that are not ready
_SAY_EVERY = 0.5  # seconds between two messages of a replica
_KEPT = "answers so far are kept; run again"


class RayParams(Strict):
    """vLLM, replicated over a Ray cluster."""

    kind: Literal["ray"]
    address: str  # of a cluster (host:port, or auto); empty: a cluster of this machine, for this run
    replicas: PositiveInt
    gpus: int = Field(ge=0)  # of each replica; 0: replicas run on CPUs
    cpus: PositiveInt  # of each replica
    batch: PositiveInt  # requests that a replica is given at once; several times engine.in_flight
    engine: VllmParams


@dataclass
class _Batch:
    """Requests that a replica works on: `stream` brings outcomes, `left` are those without one."""

    replica: Any
    left: dict[str, ChatRequest]
    stream: Any


class RayBackend:
    """Replicas of the vLLM backend, loaded once and fed a batch at a time."""

    def __init__(self, model: ModelParams, params: RayParams, shortest: Sequence[ChatRequest] = ()) -> None:
        """Join or start the cluster and load the replicas; `shortest` are requests that have to fit.

        Raises:
            UserError: Ray is not installed, the cluster cannot be reached or is too small, or a replica cannot load
                the model.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray, self._batch, self._deaths = _ray(), params.batch, 0
        self._join(params.address)
        try:
            self._check_resources(params)
            self._new = partial(
                self._ray.remote(_Replica).options(num_gpus=params.gpus, num_cpus=params.cpus).remote,
                model,
                params.engine,
                shortest,
            )
            self._replicas = [self._new() for _ in range(params.replicas)]
            self._load()
        except self._ray.exceptions.RayError as error:
            self.close()
            raise UserError(_sentence(error)) from error
        except UserError:
            self.close()
            raise

    def _join(self, address: str) -> None:
        here = {} if address else {"include_dashboard": False}
        try:
            _knock(address)
            self._ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **here)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"generate.llm.backend: there is no Ray cluster at {address or 'this machine'} ({_last_line(error)}): "
                "start one with `ray start --head`, or leave address empty"
            ) from None

    def _check_resources(self, params: RayParams) -> None:
        room = sum(_room(node["Resources"], params) for node in self._ray.nodes() if node["Alive"])
        if room < params.replicas:
            raise UserError(
                f"generate.llm.backend: the cluster has room for {room} replicas with {params.cpus} CPUs and "
                f"{params.gpus} GPUs on one machine each, and {params.replicas} are wanted: lower replicas, gpus or "
                "cpus, or add machines"
            )

    def _load(self) -> None:
        waiting = [each.ready.remote() for each in self._replicas]
        while waiting:
            done, waiting = self._ray.wait(waiting, num_returns=len(waiting), timeout=_SAY_WAITING)
            self._ray.get(done)
            if waiting:
                say(f"llm: {len(waiting)} of {len(self._replicas)} replicas load, or wait for CPUs or GPUs in use")

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        """Yield one outcome a request as they finish; requests are drawn when a replica has done its batch.

        Raises:
            UserError: a replica failed, or replicas die again and again; outcomes that were yielded stand.
        """
        drawn, returned = iter(requests), deque[dict[str, ChatRequest]]()
        idle, under_way = list(self._replicas), list[_Batch]()
        while True:
            while idle and (batch := returned.popleft() if returned else _take(drawn, self._batch)):
                under_way.append(_start(idle.pop(), batch))
            if not under_way:
                return
            found = self._first_ready(under_way)
            if outcomes := self._heard(found):
                for outcome in outcomes:
                    del found.left[outcome.key]
                    yield outcome
                continue
            under_way.remove(found)
            if found.left:  # what a replica had not said when it died is asked again, and nothing else
                returned.append(found.left)
                found.replica = self._replaced(found.replica)
            idle.append(found.replica)

    def _heard(self, batch: _Batch) -> list[Outcome]:
        """Return the next outcomes of a batch, none when it is over or its replica died."""
        try:
            return list(pickle.loads(self._ray.get(next(batch.stream))))
        except StopIteration:
            return []
        except self._ray.exceptions.RayActorError as error:
            self._deaths += 1
            if self._deaths > _DEATHS * len(self._replicas):
                raise UserError(f"replicas of the LLM die again and again: {_KEPT}") from error
            return []
        except self._ray.exceptions.RayError as error:
            raise UserError(_sentence(error)) from error

    def _replaced(self, dead: Any) -> Any:
        self._replicas[self._replicas.index(dead)] = new = self._new()
        return new

    def _first_ready(self, under_way: list[_Batch]) -> _Batch:
        (ready, *_), _ = self._ray.wait([batch.stream for batch in under_way], num_returns=1)
        return next(batch for batch in under_way if batch.stream is ready)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()


class _Replica:
    """What runs on a worker: a vLLM backend, loaded once."""

    def __init__(self, model: ModelParams, params: VllmParams, shortest: Sequence[ChatRequest]) -> None:
        self._backend = VllmBackend(model, params, shortest)

    def ready(self) -> bool:
        """Answer once the model is loaded."""
        return True

    def answer(self, requests: bytes) -> Iterator[bytes]:
        """Yield lists of outcomes as they come."""
        said, since = list[Outcome](), time.monotonic()
        for outcome in self._backend.answer(pickle.loads(requests)):
            said.append(outcome)
            if time.monotonic() - since > _SAY_EVERY:
                yield pickle.dumps(said)
                said, since = [], time.monotonic()
        if said:
            yield pickle.dumps(said)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError(
            "generate.llm.backend: Ray is not installed: `pip install -c constraints.txt -e '.[ray]'`, or choose the "
            "backend vllm"
        ) from None
    return ray


def _room(machine: dict[str, float], params: RayParams) -> int:
    """Return how many replicas a machine holds when nobody else uses it."""
    wanted = {"CPU": params.cpus, "GPU": params.gpus}
    return min(int(machine.get(name, 0) // each) for name, each in wanted.items() if each)


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    if found := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
        socket.create_connection((found[1], int(found[2])), timeout=_KNOCK_S).close()


def _take(drawn: Iterator[ChatRequest], size: int) -> dict[str, ChatRequest]:
    return {request.key: request for request in islice(drawn, size)}


def _start(replica: Any, batch: dict[str, ChatRequest]) -> _Batch:
    # pickled as one, so that the instructions which all its prompts share travel once
    return _Batch(
        replica, batch, replica.answer.options(num_returns="streaming").remote(pickle.dumps([*batch.values()]))
    )


def _last_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:300]


def _sentence(error: BaseException) -> str:
    """Return the sentence of the UserError that a replica raised, or the last line of what Ray says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return f"a replica of the LLM failed ({_last_line(error)}): {_KEPT}"
