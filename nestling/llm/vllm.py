"""vLLM, loaded by this process: requests are handed in as there is room, answers come out as they finish.

On a CPU the engine runs inside this process; on GPUs in processes of its own, which a guard ends with this one. Why
vLLM's LLMEngine and not its AsyncLLMEngine or LLM: docs/decisions/0008.
"""

import gc
import importlib.metadata
import importlib.util
import itertools
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, Finish, ModelParams, Outcome
from nestling.llm.context import check_context, load_tokenizer, tokens_of
from nestling.llm.weights import check_length, check_memory, free_memory, locate, needed_bytes
from nestling.params import Strict

_FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}
_EVERYWHERE = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_ON_CPU = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_WATCH_EVERY = 1.0  # seconds
_LONGEST_REASON = 600  # characters: vLLM lists what it knows

_ERROR = re.compile(r"^(?:\(.*?\) .*?\] )?\w*Error: (.+)$", re.MULTILINE)
_GUARDED: list[int] = []  # ends of the guards' pipes that stay open until this process ends
_GUARD = """
import os, psutil, sys
engines = [psutil.Process(int(pid)) for pid in sys.argv[2:] if psutil.pid_exists(int(pid))]
os.read(int(sys.argv[1]), 1)
for engine in engines:
    if engine.is_running():  # and is no other process of the same number
        engine.kill()
"""


class VllmParams(Strict):
    """The engine; its answers also depend on dtype and quantization, which the response cache does not know."""

    kind: Literal["vllm"]
    dtype: Literal["auto", "bfloat16", "float16", "float32"]
    quantization: str  # of a model that is not quantised yet, by vLLM's name (fp8, ...); none: as the model is stored
    max_model_len: PositiveInt  # tokens of a prompt and its answer together
    tensor_parallel: PositiveInt  # GPUs that share the model
    memory: float = Field(gt=0, le=1)  # share of each GPU's; on a CPU, of what is free besides the weights
    in_flight: PositiveInt  # requests in the engine at once: fewer starve it, and a kill costs those that it works on


class VllmBackend:
    """An engine of vLLM."""

    def __init__(self, model: ModelParams, params: VllmParams, shortest: Sequence[ChatRequest] = ()) -> None:
        """Load the engine, which takes from seconds to minutes.

        Args:
            model: to be loaded.
            params: of the engine.
            shortest: requests that have to fit; no engine is loaded where one does not.

        Raises:
            UserError: vLLM is missing, the model cannot be had, its context is too short, or vLLM cannot load it.
        """
        if importlib.util.find_spec("vllm") is None:
            raise UserError(
                "generate.llm.backend: vLLM is not installed: with a GPU "
                "`pip install -c constraints.txt -e '.[vllm]'`, without one `make engine` (docs/llm.md)"
            )
        folder = locate(model)
        check_length(folder, params.max_model_len)
        self._tokenizer = load_tokenizer(folder)
        check_context(self._tokenizer, shortest, params.max_model_len)
        self._reserved = _reserved(self._tokenizer)
        self._params = params
        self._serial = itertools.count()
        self._said = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - the engine's processes write to it until they end
        before = multiprocessing.active_children()
        self._engine = _load(folder, model, params, self._said)
        self._processes = [child for child in multiprocessing.active_children() if child not in before]
        _guard(self._processes)

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        """Yield one outcome a request as they finish; what is still in the engine when the caller stops is aborted.

        Raises:
            UserError: the engine ended, or the model's chat template refuses the roles of the messages.
        """
        from vllm.exceptions import VLLMServerError

        waiting: Iterator[ChatRequest] = iter(requests)
        asked: dict[str, ChatRequest] = {}  # by the engine's id of it
        broken: set[str] = set()  # keys of what the engine broke off once, for no fault of the request
        try:
            while True:
                yield from self._fill(waiting, asked)
                if not asked:
                    return
                for output in self._step():
                    request = asked.pop(output.request_id)
                    answer = _answer(request.key, output)
                    if answer.finish == "error" and request.key not in broken:
                        broken.add(request.key)
                        waiting = itertools.chain([request], waiting)
                    else:
                        yield answer
        except (VLLMServerError, ChildProcessError):
            asked.clear()
            why = _last_error(self._said) or "without a word, as where a machine is out of memory"
            raise UserError(f"vLLM's engine ended ({why}): answers so far are kept; run again") from None
        finally:
            if asked:
                self._engine.abort_request(list(asked))

    def _step(self) -> list[Any]:
        """Return what finished in a step of the engine.

        Raises:
            ChildProcessError: a process of the engine was killed (by a machine out of memory, say): vLLM's own step
                would wait for ever.
        """
        if not self._processes:
            return list(self._engine.step())
        finished = Future[list[Any]]()
        thread = Thread(target=_settle, args=(finished, self._engine), daemon=True)
        thread.start()
        try:
            while True:
                try:
                    return finished.result(_WATCH_EVERY)
                except TimeoutError:
                    if not all(process.is_alive() for process in self._processes):
                        raise ChildProcessError from None
        finally:
            thread.join(_WATCH_EVERY)

    def _fill(self, waiting: Iterator[ChatRequest], asked: dict[str, ChatRequest]) -> Iterator[ChatRefusal]:
        from vllm.inputs import tokens_input

        while len(asked) < self._params.in_flight and (request := next(waiting, None)):
            prompt = self._prompt(request)
            if isinstance(prompt, ChatRefusal):
                yield prompt
                continue
            name = str(next(self._serial))
            self._engine.add_request(name, tokens_input(prompt), _sampling(request))
            asked[name] = request

    def _prompt(self, request: ChatRequest) -> list[int] | ChatRefusal:
        for _, content in request.messages:
            if found := self._reserved.search(content):
                return ChatRefusal(request.key, "special_token", f"a text holds {found[0]}")
        tokens = tokens_of(self._tokenizer, request.messages)
        room = self._params.max_model_len - request.sampling.max_tokens
        if len(tokens) > room:
            return ChatRefusal(request.key, "passage_too_long", f"{len(tokens)} tokens of prompt, room for {room}")
        return tokens

    def close(self) -> None:
        """End the engine and free its memory; the second time does nothing."""
        self._engine = None
        gc.collect()  # the engine is part of a circle


def _settle(finished: "Future[list[Any]]", engine: Any) -> None:
    try:
        finished.set_result(engine.step())
    except BaseException as error:  # raised again where the result is asked for
        finished.set_exception(error)


def _load(folder: Path, model: ModelParams, params: VllmParams, said: IO[bytes]) -> Any:
    set_environment()
    make_engine = _engine_maker()
    if params.quantization == "none":  # else vLLM makes the weights smaller while it loads them
        check_memory(needed_bytes(folder, params.dtype), free_memory(params.tensor_parallel))
    try:
        with _aside(said):
            return make_engine(**engine_options(folder, params))
    except (ValueError, RuntimeError, OSError) as error:
        gc.collect()
        raise UserError(
            f"generate.llm.backend: vLLM cannot load {model.name} ({_last_error(said) or _reason(error)}): change the "
            "model, dtype, quantization, max_model_len or memory (gpu_memory_utilization in vLLM's words)"
        ) from error


@contextmanager
def _aside(said: IO[bytes]) -> Iterator[None]:
    """Have what this process, and those that it starts, say go to a file; NESTLING_LOG leaves it at the terminal."""
    if os.environ.get("NESTLING_LOG"):
        yield
        return
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(said.fileno(), number)
        yield
    finally:
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)


def _last_error(said: IO[bytes]) -> str:
    """Return the last error that an engine in a process of its own told before it ended, none where it told none."""
    said.seek(0)
    told = _ERROR.findall(said.read().decode("utf-8", "replace"))
    return told[-1].strip()[:_LONGEST_REASON] if told else ""


def _engine_maker() -> Callable[..., Any]:
    try:
        from vllm import EngineArgs, LLMEngine
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            f"generate.llm.backend: vLLM is installed but cannot be imported ({_reason(error)}): install it as "
            "docs/llm.md says"
        ) from error
    return lambda **options: LLMEngine.from_engine_args(EngineArgs(**options))


def engine_options(folder: Path, params: VllmParams) -> dict[str, Any]:
    """Return the arguments of vLLM's EngineArgs, or of its LLM, for a model in a folder."""
    from vllm.config import StructuredOutputsConfig

    options = {
        "model": str(folder),
        "tokenizer": str(folder),
        "tokenizer_mode": "hf",
        "config_format": "hf",
        "load_format": "safetensors",
        "trust_remote_code": False,
        "language_model_only": True,
        "dtype": params.dtype,
        "quantization": None if params.quantization == "none" else params.quantization,
        "max_model_len": params.max_model_len,
        "enable_prefix_caching": True,
        "structured_outputs_config": StructuredOutputsConfig(backend="guidance", disable_any_whitespace=True),
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if not _is_for_cpus():
        return options | {"gpu_memory_utilization": params.memory, "tensor_parallel_size": params.tensor_parallel}
    left = free_memory(params.tensor_parallel) - needed_bytes(folder, params.dtype)
    return options | {
        "enforce_eager": True,  # else a C++ compiler is needed
        "enable_chunked_prefill": False,  # with a seed for each request it breaks vLLM's sampler on CPUs
        "kv_cache_memory_bytes": int(left * params.memory),
    }


def _guard(processes: Iterable[Any]) -> None:
    """Have the engine's processes end when this one does, be it killed: else they would keep the GPU's memory.

    A process of its own waits at a pipe whose other end only this process holds, and then kills them.
    """
    if pids := [str(process.pid) for process in processes]:
        read, write = os.pipe()  # neither end is inherited; `write` is closed by this process's end alone
        subprocess.Popen([sys.executable, "-c", _GUARD, str(read), *pids], pass_fds=[read], start_new_session=True)
        os.close(read)
        _GUARDED.append(write)


def _is_for_cpus() -> bool:
    try:
        return "cpu" in importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return True  # the distribution is called vllm-cpu


def set_environment() -> None:
    """Set what vLLM reads from the environment, but for what is set already; before vLLM is imported."""
    told = os.environ.get("NESTLING_LOG", "").upper()
    level = told if told in ("INFO", "DEBUG") else "ERROR"
    logging.getLogger("torch._library.triton").setLevel(level)  # says that a CPU has no Triton
    for name, value in (_EVERYWHERE | (_ON_CPU if _is_for_cpus() else {}) | {"VLLM_LOGGING_LEVEL": level}).items():
        os.environ.setdefault(name, value)


def _reserved(tokenizer: Any) -> re.Pattern[str]:
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    tokens = {*tokenizer.all_special_tokens, *added} - {""}
    return re.compile("|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True)) or "(?!)")


def _sampling(request: ChatRequest) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        **request.sampling.model_dump(),
        seed=request.seed,
        structured_outputs=StructuredOutputsParams(json=request.schema),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _answer(key: str, output: Any) -> ChatAnswer:
    (said,) = output.outputs
    counts = len(output.prompt_token_ids), len(said.token_ids), output.num_cached_tokens or 0
    return ChatAnswer(key, said.text, _FINISH.get(said.finish_reason, "error"), *counts)


def _reason(error: Exception) -> str:
    told = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
    lines = [line.strip() for line in told.splitlines() if line.strip()] or [type(error).__name__]
    return lines[0].removeprefix("Value error, ")[:_LONGEST_REASON]
