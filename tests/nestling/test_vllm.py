"""The real engine on a CPU, with a tiny model. One process holds one engine at a time; what it changes is put back."""

import copy
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoTokenizer

from nestling.errors import UserError
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, ModelParams, SamplingParams, canonical
from nestling.llm.vllm import VllmBackend, VllmParams
from nestling.models import fingerprint
from tests.tiny_llm import SPECIAL, tiny_llm

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make engine"),
    pytest.mark.filterwarnings("ignore"),  # those of vLLM
]

POSITIONS = 16384
PARAMS = VllmParams(
    kind="vllm",
    dtype="float32",
    quantization="none",
    max_model_len=4096,
    tensor_parallel=1,
    memory=0.1,
    in_flight=16,
)
ITEM = {"type": "string", "minLength": 1, "maxLength": 60}
QUESTIONS = {"question": {"type": "array", "items": ITEM, "minItems": 2, "maxItems": 2}}
SCHEMA = canonical(
    {"type": "object", "properties": QUESTIONS, "required": ["question"], "additionalProperties": False}
)
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=300)
SYSTEM = "Scrivi due domande a cui il testo risponde, in italiano, e rispondi in JSON. " * 12


@contextmanager
def contained():
    """Put back what vLLM changes for the whole process: environment, logging, hooks, random states."""
    environment, threads, records = dict(os.environ), torch.set_num_threads, logging.getLogRecordFactory()
    hook = sys.excepthook
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # vLLM 0.32 looks at every attribute of every module, and trips over llvmlite's library, which bm25s brings with
    # numba; the stage that loads vLLM loads no bm25s
    hidden = {name: sys.modules.pop(name) for name in ("llvmlite.binding.ffi",) if name in sys.modules}
    try:
        yield
    finally:
        sys.modules.update(hidden)
        os.environ.clear()
        os.environ.update(environment)
        torch.set_num_threads, sys.excepthook = threads, hook
        logging.setLogRecordFactory(records)
        for put_back, state in zip((random.setstate, np.random.set_state, torch.set_rng_state), states, strict=True):
            put_back(state)


def pinned(folder):
    return ModelParams(name=str(folder), revision=fingerprint(folder))


def request(key, text="Il mulino macina il grano del paese.", seed=1, **sampling):
    drawn = SAMPLING.model_copy(update=sampling)
    return ChatRequest(str(key), (("system", SYSTEM), ("user", f"{text} {key}")), seed, SCHEMA, drawn)


def texts(outcomes):
    return {outcome.key: outcome.text for outcome in outcomes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llm(tmp_path_factory.mktemp("vllm") / "tiny", POSITIONS, seed=1)


def test_an_engine_that_cannot_be_loaded_is_told_in_a_sentence(folder):  # first: no other engine may live beside it
    with contained(), pytest.raises(UserError) as told:
        VllmBackend(pinned(folder), PARAMS.model_copy(update={"memory": 1e-4}))
    assert str(told.value).startswith(f"generate.llm.backend: vLLM cannot load {folder} (")
    assert "KV cache" in str(told.value)
    assert "\n" not in str(told.value)


def test_an_unknown_quantization_is_told_with_those_there_are(folder):
    with contained(), pytest.raises(UserError, match=r"cannot load .*: q4_k_m.* .*fp8.*: change the model"):
        VllmBackend(pinned(folder), PARAMS.model_copy(update={"quantization": "q4_k_m"}))


def test_a_context_above_the_models_is_told_before_anything_is_loaded(folder):
    with pytest.raises(UserError, match=f"max_model_len is {POSITIONS + 1}, but the model ends at {POSITIONS} tokens"):
        VllmBackend(pinned(folder), PARAMS.model_copy(update={"max_model_len": POSITIONS + 1}))


def test_a_context_that_holds_no_prompt_is_told_before_anything_is_loaded(folder):
    asked = request("queries in it", max_tokens=PARAMS.max_model_len - 100)
    with pytest.raises(
        UserError, match=r"a prompt for queries in it takes \d+ tokens before any passage, .* is 4096: "
    ):
        VllmBackend(pinned(folder), PARAMS, [asked])


def test_a_model_that_is_not_the_pinned_one_is_told(folder):
    with pytest.raises(UserError, match="has the fingerprint"):
        VllmBackend(ModelParams(name=str(folder), revision="0" * 64), PARAMS)


def test_without_vllm_the_sentence_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"vLLM is not installed: .*\[vllm\].*make engine.*docs/llm.md"):
        VllmBackend(pinned(folder), PARAMS)


@pytest.mark.parametrize("wrong", [{"memory": 0.0}, {"memory": 1.1}, {"in_flight": 0}, {"dtype": "int8"}])
def test_parameters_out_of_their_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        VllmParams(**PARAMS.model_dump() | wrong)


@pytest.fixture(scope="module")
def backend(folder):
    with contained():
        opened = VllmBackend(pinned(folder), PARAMS)
        yield opened
        opened.close()
        opened.close()


@pytest.fixture(scope="module")
def answers(backend):
    return list(backend.answer(request(key, seed=key) for key in range(64)))


def test_every_request_gets_an_answer_that_obeys_its_schema(answers):
    assert sorted(int(answer.key) for answer in answers) == list(range(64))
    for answer in answers:
        first, second = json.loads(answer.text)["question"]
        assert 1 <= len(first) <= 60
        assert 1 <= len(second) <= 60
    assert {answer.finish for answer in answers} == {"stop"}


def test_tokens_are_counted_and_a_shared_beginning_is_read_once(answers):
    lengths = {answer.prompt_tokens for answer in answers}
    assert min(lengths) > 256
    assert all(0 < answer.completion_tokens <= SAMPLING.max_tokens for answer in answers)
    assert all(0 <= answer.cached_tokens < answer.prompt_tokens for answer in answers)
    assert sum(answer.cached_tokens > 0 for answer in answers) >= 63


def test_the_seed_decides_the_answer_whatever_the_order_and_the_number_in_flight(backend, folder, answers):
    backwards = [request(key, seed=key) for key in reversed(range(64))]
    assert texts(backend.answer(backwards)) == texts(answers)
    fewer = copy.copy(backend)
    fewer._params = PARAMS.model_copy(update={"in_flight": 3})
    assert texts(fewer.answer(backwards)) == texts(answers)


def test_another_seed_gives_another_answer(backend):
    said = [texts(backend.answer([request("a", seed=seed)]))["a"] for seed in (1, 2, 1)]
    assert said[0] == said[2] != said[1]


def test_an_answer_that_is_cut_says_so(backend):
    (answer,) = backend.answer([request("a", max_tokens=5)])
    assert (answer.finish, answer.completion_tokens) == ("length", 5)


def test_a_prompt_that_is_too_long_is_refused_and_the_others_are_answered(backend):
    long = request("long", "parola " * 5000)
    outcomes = {outcome.key: outcome for outcome in backend.answer([request("a"), long, request("b")])}
    assert outcomes["long"] == ChatRefusal("long", "passage_too_long", outcomes["long"].detail)
    assert f"room for {PARAMS.max_model_len - SAMPLING.max_tokens}" in outcomes["long"].detail
    assert isinstance(outcomes["a"], ChatAnswer)
    assert isinstance(outcomes["b"], ChatAnswer)


def test_a_prompt_is_refused_one_token_above_what_fits(backend):
    (probe,) = backend.answer([request("a")])
    room = PARAMS.max_model_len - probe.prompt_tokens
    (fits,) = islice(backend.answer([request("a", max_tokens=room)]), 1)
    (refused,) = backend.answer([request("a", max_tokens=room + 1)])
    assert fits.prompt_tokens == probe.prompt_tokens
    assert refused.reason == "passage_too_long"


@pytest.mark.parametrize("token", SPECIAL)
@pytest.mark.parametrize("text", ["prima {} dopo", "{}", "a{}b"])
def test_a_text_that_holds_a_special_token_is_refused(backend, token, text):
    outcomes = list(backend.answer([request("bad", text.format(token)), request("good")]))
    assert outcomes[0] == ChatRefusal("bad", "special_token", f"a text holds {token}")
    assert outcomes[1].key == "good"


@pytest.mark.parametrize("text", ["<|im_start", "im_end|>", "< |im_end|>", "<|im_end|", "<s>", "{{ x }} {% y %} {0}"])
def test_what_only_looks_like_a_special_token_is_text(backend, text):
    (answer,) = backend.answer([request("a", text)])
    tokenizer = backend._tokenizer
    ids = backend._prompt(request("a", text))
    assert sum(id in tokenizer.all_special_ids for id in ids) == 5  # two messages of a start and an end, and a start
    assert text in tokenizer.decode(ids)
    assert answer.prompt_tokens == len(ids)


def test_requests_are_drawn_as_there_is_room(backend):
    drawn = 0

    def endless():
        nonlocal drawn
        for key in count():
            drawn += 1
            yield request(key, seed=key)

    running = backend.answer(endless())
    assert drawn == 0
    for given in range(1, 33):
        next(running)
        assert drawn - given <= PARAMS.in_flight
    running.close()


def test_a_caller_that_stops_leaves_a_clean_engine(backend, answers):
    running = backend.answer(request(key, seed=key) for key in range(64))
    next(running)
    running.close()
    assert not backend._engine.has_unfinished_requests()
    assert texts(backend.answer(request(key, seed=key) for key in range(64))) == texts(answers)


def test_a_source_of_requests_that_breaks_leaves_a_clean_engine(backend):
    def broken():
        yield request("a")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(backend.answer(broken()))
    assert [answer.key for answer in backend.answer([request("b")])] == ["b"]


def test_no_requests_no_answers(backend):
    assert list(backend.answer([])) == []


def test_a_chat_template_that_refuses_a_role_is_told(backend, folder):
    strict = copy.copy(backend)
    strict._tokenizer = AutoTokenizer.from_pretrained(folder)
    strict._tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(UserError, match=r"chat template refuses system, user \(System role not supported\)"):
        list(strict.answer([request("a")]))


KILLED = """
import sys, warnings
warnings.simplefilter("ignore")
import psutil
from nestling.cli import run
from tests.nestling.test_vllm import PARAMS, VllmBackend, Path, pinned, request, texts

def main():
    backend = VllmBackend(pinned(Path(sys.argv[1])), PARAMS)
    print(sorted(texts(backend.answer(request(key, seed=key) for key in range(8))).items()), flush=True)
    running = backend.answer(request(key, seed=key) for key in range(64))
    next(running)
    for child in psutil.Process().children():
        child.kill()
    try:
        list(running)
    finally:
        backend.close()

run(main)
"""


@pytest.mark.slow
def test_an_engine_in_its_own_process_says_the_same_and_its_death_is_told(folder, answers):
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, folder],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    expected = {key: text for key, text in texts(answers).items() if int(key) < 8}
    assert ended.stdout.strip() == str(sorted(expected.items()))
    assert ended.returncode == 1
    assert any(line.startswith("error: vLLM's engine ended") for line in ended.stderr.splitlines())


ORPHANED = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import multiprocessing
from tests.nestling.test_vllm import PARAMS, VllmBackend, Path, pinned, request

if __name__ == "__main__":
    backend = VllmBackend(pinned(Path(sys.argv[1])), PARAMS)
    next(backend.answer(request(key, seed=key) for key in range(64)))
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


UNLOADABLE = """
import sys, warnings
warnings.simplefilter("ignore")
from nestling.cli import run
from tests.nestling.test_vllm import PARAMS, VllmBackend, Path, pinned

if __name__ == "__main__":
    run(lambda: VllmBackend(pinned(Path(sys.argv[1])), PARAMS.model_copy(update={"memory": 1e-6})))
"""


@pytest.mark.slow
def test_an_engine_in_its_own_process_that_cannot_be_loaded_is_told_in_a_sentence(folder):
    ended = subprocess.run(
        [sys.executable, "-c", UNLOADABLE, folder],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    told = [line for line in ended.stderr.splitlines() if "error" in line.lower()]
    assert (ended.returncode, ended.stdout, len(told)) == (1, "", 1), ended.stderr
    assert "vLLM cannot load" in told[0]
    assert "No available memory for the cache blocks" in told[0]
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_an_engine_in_its_own_process_ends_with_a_stage_that_is_killed(folder):
    ended = subprocess.run(
        [sys.executable, "-c", ORPHANED, folder],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    engines = [int(pid) for pid in ended.stdout.split()]
    assert (ended.returncode, len(engines)) == (-signal.SIGKILL, 1)
    until = time.monotonic() + 10
    while alive(engines[0]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(engines[0])


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
