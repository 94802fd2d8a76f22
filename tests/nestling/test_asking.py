"""What is asked of a model and what is not; what a request's digest hangs on; what the meter counts."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, ModelParams, SamplingParams, canonical
from nestling.llm.echo import EchoBackend
from nestling.llm.meter import Meter
from nestling.llm.response_cache import Response, ResponseCache

MODEL = ModelParams(name="paese/scrivano", revision="a" * 40)
SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=64)
TEXT = canonical({"type": "string", "minLength": 1, "maxLength": 99})


def request(text, key=None):
    return ChatRequest(key or text, (("system", "sii breve"), ("user", text)), 1, TEXT, SAMPLING)


@dataclass
class Counting:
    """A backend that tells what it was asked and may refuse, end early, or have something happen before it answers."""

    refused: tuple[str, ...] = ()
    ends_after: int = 10**9
    before: Callable[[ChatRequest], object] = lambda request: None
    loads: int = 0
    closed: int = 0
    asked: list[str] = field(default_factory=list)

    def load(self):
        self.loads += 1
        return self

    def answer(self, requests):
        for asked in requests:
            if len(self.asked) == self.ends_after:
                raise UserError("the engine ended")
            text = asked.messages[-1][1]
            self.asked.append(text)
            self.before(asked)
            if text in self.refused:
                yield ChatRefusal(asked.key, "passage_too_long", "9 of 8 tokens")
            else:
                yield ChatAnswer(asked.key, f"{text}?", "stop", 10, 4, cached_tokens=5)

    def close(self):
        self.closed += 1


@pytest.fixture
def cache(tmp_path):
    with ResponseCache(tmp_path / "cache") as opened:
        yield opened


def stored(cache, requests):
    """Return which of the requests have an answer in the cache."""
    return [one.key for one in requests if cache.get(one.digest(MODEL))]


def ask(cache, backend, *requests, meter=None):
    """Return (key, text) of every answer and (key, reason) of every refusal, and what was used."""
    with Llm(MODEL, backend.load, cache, meter or Meter()) as llm:
        outcomes = list(llm.ask(requests, "test"))
    said = [(out.key, out.reason if isinstance(out, ChatRefusal) else out.text) for out in outcomes]
    return said, llm.used


def test_a_second_run_asks_nothing_and_loads_no_model(cache):
    requests = [request(f"parole {number}") for number in range(50)]
    with Llm(MODEL, EchoBackend, cache, Meter()) as llm:
        first = list(llm.ask(requests, "test"))
    assert (len(first), len(stored(cache, requests)), len(llm.used)) == (50, 50, 50)
    again = Counting()
    with Llm(MODEL, again.load, cache, Meter()) as llm:
        assert list(llm.ask(requests, "test")) == first
    assert (again.loads, again.closed) == (0, 0)


def test_one_in_a_hundred_requests_that_changed_is_one_in_a_hundred_that_is_asked(cache):
    requests = [request(str(number)) for number in range(200)]
    ask(cache, Counting(), *requests)
    again = Counting()
    said, _ = ask(
        cache, again, *requests[:57], request("cambiata"), *requests[58:133], request("due"), *requests[134:]
    )
    assert again.asked == ["cambiata", "due"]
    assert len(said) == 200


def test_equal_requests_are_asked_once_and_each_has_its_outcome(cache):
    backend = Counting(refused=("lungo",))
    said, _ = ask(
        cache, backend, request("uno", "a"), request("lungo", "b"), request("uno", "c"), request("lungo", "d")
    )
    assert sorted(said) == [("a", "uno?"), ("b", "passage_too_long"), ("c", "uno?"), ("d", "passage_too_long")]
    assert backend.asked == ["uno", "lungo"]


def test_a_refusal_is_kept_and_loads_no_model_again(cache):
    first = ask(cache, Counting(refused=("lungo",)), request("uno"), request("lungo"))
    again = Counting(refused=("lungo",))
    assert ask(cache, again, request("uno"), request("lungo")) == first
    assert first[0] == [("uno", "uno?"), ("lungo", "passage_too_long")]
    assert again.loads == 0


def test_raised_limits_ask_again_for_what_was_refused_and_for_nothing_else(cache):
    for limits, asked in (("8", ["uno", "lungo"]), ("8", []), ("9", ["lungo"])):
        backend = Counting(refused=("lungo",))
        with Llm(MODEL, backend.load, cache, Meter(), limits) as llm:
            outcomes = {outcome.key: outcome for outcome in llm.ask([request("uno"), request("lungo")], "test")}
        assert backend.asked == asked
        assert outcomes["lungo"] == ChatRefusal("lungo", "passage_too_long", "9 of 8 tokens")


def test_what_a_model_said_before_it_ended_is_kept_and_the_next_run_asks_for_the_rest(cache):
    requests = [request(str(number)) for number in range(5)]
    ended = Counting(ends_after=3)
    with pytest.raises(UserError, match="the engine ended"):
        ask(cache, ended, *requests)
    assert (stored(cache, requests), ended.closed) == (["0", "1", "2"], 1)
    again = Counting()
    said, _ = ask(cache, again, *requests)
    assert again.asked == ["3", "4"]
    assert said == [(str(number), f"{number}?") for number in range(5)]


def test_a_model_is_loaded_once_and_closed_once_however_much_is_asked(cache):
    backend = Counting()
    with Llm(MODEL, backend.load, cache, Meter()) as llm:
        for text in ("uno", "due", "uno"):
            assert [out.text for out in llm.ask([request(text)], "test")] == [f"{text}?"]
    assert (backend.loads, backend.closed, backend.asked) == (1, 1, ["uno", "due"])


def test_a_model_that_cannot_be_loaded_ends_the_run_after_what_is_kept(cache):
    def load():
        raise UserError("no GPU")

    ask(cache, Counting(), request("uno"))
    with Llm(MODEL, load, cache, Meter()) as llm:
        answers = llm.ask([request("due"), request("uno")], "test")
        assert next(answers).text == "uno?"
        with pytest.raises(UserError, match="no GPU"):
            next(answers)


def elsewhere(path, *texts):
    """Keep answers as another process does."""
    with ResponseCache(path) as other:
        other.add(Response(request(text).digest(MODEL), "altrove", "stop", 1, 1) for text in texts)


def test_of_two_answers_to_one_request_all_processes_give_out_the_one_that_is_kept(cache, tmp_path):
    backend = Counting(before=lambda _: elsewhere(tmp_path / "cache", "uno"))
    assert ask(cache, backend, request("uno"))[0] == [("uno", "altrove")]
    assert ask(cache, backend, request("uno"))[0] == [("uno", "altrove")]
    assert backend.asked == ["uno"]


def test_an_iterator_that_is_left_half_way_has_kept_what_it_gave(cache):
    backend = Counting()
    with Llm(MODEL, backend.load, cache, Meter()) as llm:
        answers = llm.ask([request(str(number)) for number in range(5)], "test")
        given = {next(answers).key, next(answers).key}
        answers.close()
    assert given == {"0", "1"}
    assert llm.used == {request(text).digest(MODEL) for text in given}
    assert stored(cache, [request(str(number)) for number in range(5)]) == ["0", "1"]
    assert backend.closed == 1


def test_an_answer_is_the_same_whether_it_was_asked_or_kept_even_where_no_file_can_hold_it(cache):
    one = request("uno")
    first = ask(cache, Counting(), one)
    assert ask(cache, Counting(), one) == first
    with Llm(MODEL, lambda: Surrogate(), cache, Meter()) as llm:
        (asked,) = llm.ask([request("due")], "test")
        (kept,) = llm.ask([request("due")], "test")
    assert (asked.text, replace(asked, cached_tokens=0)) == ("due ?", kept)


class Surrogate(Counting):
    """A model that says what no file can hold."""

    def answer(self, requests):
        for asked in requests:
            yield ChatAnswer(asked.key, f"{asked.messages[-1][1]} \ud800", "length", 10, 4, 5)


ONE = request("uno")


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, messages=(("system", "sii breve"), ("user", "due"))),
        replace(ONE, messages=(("system", "sii breveuno"), ("user", ""))),
        replace(ONE, messages=(("user", "sii breve"), ("user", "uno"))),
        replace(ONE, messages=ONE.messages[::-1]),
        replace(ONE, seed=2),
        replace(ONE, schema=canonical({"maxLength": 99, "minLength": 1, "type": "string"})),
        *(replace(ONE, sampling=SAMPLING.model_copy(update={name: 1})) for name in SamplingParams.model_fields),
    ],
)
def test_another_request_has_another_digest(other):
    assert other.digest(MODEL) != ONE.digest(MODEL)


def test_the_callers_name_for_a_request_decides_nothing():
    assert replace(ONE, key="b").digest(MODEL) == ONE.digest(MODEL)
    assert re.fullmatch(r"[0-9a-f]{64}", ONE.digest(MODEL))


def test_another_model_has_another_digest_but_a_folder_is_the_same_wherever_it_lies():
    def digest(name, revision):
        return ONE.digest(ModelParams(name=name, revision=revision))

    assert len({digest("a", "1" * 40), digest("b", "1" * 40), digest("a", "2" * 40), digest("a", "1" * 64)}) == 4
    assert digest("/qui/scrivano", "1" * 64) == digest("../la", "1" * 64) != digest("../la", "2" * 64)


def test_the_order_of_a_schemas_properties_decides_for_it_is_the_order_of_the_answer():
    schemas = [canonical({"type": "object", "properties": {name: {} for name in names}}) for names in ("ab", "ba")]
    one, other = (replace(ONE, schema=schema).digest(MODEL) for schema in schemas)
    assert one != other
    assert [list(json.loads(schema)["properties"]) for schema in schemas] == [["a", "b"], ["b", "a"]]


def test_a_meter_counts_what_was_asked_kept_and_refused(cache):
    ask(cache, Counting(), request("uno"))
    meter = Meter()
    ask(cache, Counting(refused=("x",)), *map(request, ("uno", "due", "tre", "x")), meter=meter)
    told = meter.report()
    rate = told.pop("answers_per_second")
    assert told.pop("seconds") >= 0
    assert rate > 0
    assert told == {
        "cache_hits": 1, "asked": 2, "refused": 1, "malformed": 0, "prompt_tokens": 20, "prefix_cached_tokens": 10,
        "completion_tokens": 8,
    }  # fmt: skip


def test_a_run_from_the_cache_alone_cost_nothing_and_shows_no_bar(cache, capsys):
    ask(cache, Counting(), request("uno"))
    capsys.readouterr()
    meter = Meter()
    ask(cache, Counting(), request("uno"), meter=meter)
    told = meter.report()
    assert (told["cache_hits"], told["asked"], told["seconds"], told["answers_per_second"]) == (1, 0, 0, 0)
    assert capsys.readouterr().err == ""


def test_the_bar_ends_with_rates_hits_and_what_was_wrong_the_last_answer_too(cache, capsys):
    meter = Meter(hits=3)
    with Llm(MODEL, Counting(refused=("x",)).load, cache, meter) as llm:
        for outcome in llm.ask(map(request, ("uno", "x", "due")), "queries"):
            meter.malformed += outcome.key != "x"
    last = capsys.readouterr().err.rstrip().rpartition("\r")[2]
    assert last.startswith("queries: 100%")
    assert re.search(r" 3/3 \[.* [\d.]+ answers/s, \d+\+\d+ tokens/s, 3 from cache, 2 malformed, 1 refused\]$", last)
