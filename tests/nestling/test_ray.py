"""A real Ray on this machine with two replicas of the real vLLM on the CPU."""

import importlib.util
import json
import os
import signal
from pathlib import Path

import pytest

from nestling.errors import UserError
from nestling.llm.backend import ChatRefusal, ChatRequest, ModelParams, SamplingParams
from nestling.llm.forms import closed_object
from nestling.llm.ray import RayBackend, RayParams
from nestling.llm.vllm import VllmParams
from nestling.models import fingerprint
from tests.tiny_llm import tiny_llm

missing = [name for name in ("ray", "vllm") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}; `make engine` does it"),
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning"),
]
SCHEMA = closed_object({"query": {"type": "string", "minLength": 1, "maxLength": 30}})
SAMPLING = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=200)
ENGINE = VllmParams(
    kind="vllm", dtype="float32", quantization="none", max_model_len=1024, tensor_parallel=1, memory=0.02, in_flight=16
)
PARAMS = RayParams(kind="ray", address="", replicas=2, gpus=0, cpus=1, batch=16, engine=ENGINE)


def requests(number, text="testo"):
    return [
        ChatRequest(str(place), (("system", "Scrivi."), ("user", f"{text} {place}")), place, SCHEMA, SAMPLING)
        for place in range(number)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ModelParams:
    folder = tiny_llm(tmp_path_factory.mktemp("llm") / "tiny", 1024, 0)
    return ModelParams(name=str(folder), revision=fingerprint(folder))


@pytest.fixture(scope="module")
def backend(model):
    # replicas are processes of their own: what the engine needs there comes from the environment that they inherit
    before = dict(os.environ)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    backend = RayBackend(model, PARAMS)
    yield backend
    backend.close()
    os.environ.clear()
    os.environ.update(before)


def workers(backend):
    import ray

    return ray.get([replica.__ray_call__.remote(lambda _: os.getpid()) for replica in backend._replicas])


def test_two_replicas_answer_every_request_once_in_form(backend):
    outcomes = list(backend.answer(requests(100)))
    assert sorted(int(outcome.key) for outcome in outcomes) == list(range(100))
    assert all(json.loads(outcome.text)["query"] for outcome in outcomes)
    assert len(set(workers(backend))) == 2


def test_a_second_round_finds_the_same_replicas_and_says_the_same(backend):
    before = workers(backend)
    first, second = ({one.key: one.text for one in backend.answer(requests(20))} for _ in range(2))
    assert first == second
    assert workers(backend) == before


def test_requests_are_drawn_as_replicas_have_room(backend):
    drawn = []
    stream = backend.answer(drawn.append(one) or one for one in requests(200))
    next(stream)
    assert len(drawn) <= 3 * PARAMS.batch
    assert len(list(stream)) == 199


def test_a_refusal_comes_back_as_one(backend):
    long = ChatRequest("long", (("user", "parola " * 5000),), 0, SCHEMA, SAMPLING)
    outcomes = {one.key: one for one in backend.answer([*requests(3), long])}
    assert isinstance(outcomes["long"], ChatRefusal)
    assert len(outcomes) == 4


def test_what_a_killed_replica_had_not_said_is_asked_again_and_nothing_else(backend):
    stream = backend.answer(requests(120))
    outcomes = [next(stream)]
    os.kill(workers(backend)[0], signal.SIGKILL)
    outcomes += stream
    assert sorted(int(outcome.key) for outcome in outcomes) == list(range(120))


def test_no_requests_are_no_error(backend):
    assert list(backend.answer([])) == []


# --- no cluster is left by these; they run after the others, for a process holds one cluster at a time


def test_what_cannot_be_is_one_sentence_each(backend, model, tmp_path):
    backend.close()
    cases = {
        "cluster has room for": (model, PARAMS.model_copy(update={"replicas": 999})),
        "there is no Ray cluster at 127.0.0.1:1": (model, PARAMS.model_copy(update={"address": "127.0.0.1:1"})),
        "there is no folder": (ModelParams(name=f"{tmp_path}/none", revision="0" * 64), PARAMS),
    }
    for sentence, (of, params) in cases.items():
        with pytest.raises(UserError, match=sentence) as raised:
            RayBackend(of, params)
        assert "\n" not in str(raised.value)
