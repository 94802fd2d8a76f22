import gc
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count, repeat
from pathlib import Path

import pytest
from pydantic import ValidationError

from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, ModelParams, Outcome, SamplingParams
from nestling.llm.meter import Meter
from nestling.llm.response_cache import ResponseCache
from nestling.llm.server import ServerBackend
from nestling.llm.server_params import KEY, ServerParams
from tests.liar import TOO_LONG, Liar

MODEL = ModelParams(name="liar", revision="a" * 40)
SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=64)
HARMLESS = "1 + 1 = ?"  # asked to tell whether a server minds a text or the settings
WORD = {"type": "string", "maxLength": 80}
SCHEMA = json.dumps({"type": "object", "properties": {"zeta": WORD, "alfa": WORD}}, separators=(",", ":"))
SETTINGS = {"kind": "server", "served_as": "", "structure": "schema", "in_flight": 4, "tries": 3, "timeout_s": 5.0}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the back-off of the library."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def settings(url: str, **others: object) -> ServerParams:
    return ServerParams.model_validate(SETTINGS | {"url": url} | others)


def connect(server: Liar, **others: object) -> closing[ServerBackend]:
    return closing(ServerBackend(MODEL, settings(server.url, **others)))


def ask(text: str, seed: int = 1) -> ChatRequest:
    key = text if seed == 1 else f"{text} ({seed})"
    return ChatRequest(key, (("system", "sii breve"), ("user", text)), seed, SCHEMA, SAMPLING)


def texts(number: int) -> list[ChatRequest]:
    return [ask(f"testo {place}") for place in range(number)]


def collect(outcomes: Iterator[Outcome]) -> tuple[dict[str, Outcome], str]:
    """Return the outcomes by their keys, and the error that came after them."""
    found: dict[str, Outcome] = {}
    try:
        for outcome in outcomes:
            assert outcome.key not in found
            found[outcome.key] = outcome
    except UserError as error:
        return found, str(error)
    return found, ""


def finishes(found: dict[str, Outcome]) -> dict[str, str]:
    return {key: outcome.finish for key, outcome in found.items() if isinstance(outcome, ChatAnswer)}


def test_every_request_has_the_answer_of_its_key_however_often_the_backend_is_used():
    with Liar() as liar, connect(liar) as backend:
        for _ in range(2):
            found, error = collect(backend.answer(texts(20)))
            assert (set(found), error) == ({f"testo {place}" for place in range(20)}, "")
        assert found["testo 7"] == ChatAnswer("testo 7", found["testo 7"].text, "stop", 2, 6, cached_tokens=1)
        assert sorted(json.loads(found["testo 7"].text)) == ["alfa", "zeta"]
        assert list(backend.answer([])) == []
        backend.close()


@pytest.mark.parametrize(
    ("structure", "form"),
    [
        (
            "schema",
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": json.loads(SCHEMA), "strict": True}},
        ),
        ("object", {"type": "json_object"}),
        ("none", None),
    ],
)
def test_a_request_says_all_that_decides_its_answer(structure, form):
    with Liar() as liar, connect(liar, structure=structure) as backend:
        list(backend.answer([ask("perché {x}", seed=7)]))
        said = [{"role": "system", "content": "sii breve"}, {"role": "user", "content": "perché {x}"}]
        body = {"model": "liar", "messages": said, "seed": 7, "temperature": 0.7, "top_p": 0.9, "max_tokens": 64}
        assert liar.bodies == [body | ({"response_format": form} if form else {})]
        if structure == "schema":  # a model fills in the properties in their order
            assert list(liar.bodies[0]["response_format"]["json_schema"]["schema"]["properties"]) == ["zeta", "alfa"]


@pytest.mark.parametrize(
    "lie",
    [
        *(
            "status 500",
            "status 503",
            "status 408",
            "later 0",
            "broken",
            "cut",
            "nothing",
            "html",
            "deep",
            "choiceless",
            "large",
            "endless",
            "status 501",
        ),
        *('finish "abort"', 'finish "error"'),  # what vLLM says of an answer in the midst of which it is stopped
    ],
)
def test_what_passes_is_tried_again(lie):
    with Liar({"testo 1": [lie, lie]}) as liar, connect(liar) as backend:
        found, error = collect(backend.answer(texts(3)))
        assert (len(found), error, liar.asked.count("testo 1")) == (3, "", 3)


@pytest.mark.parametrize("lie", ["hang", "drip"])
def test_a_try_ends_with_its_time(lie):
    with Liar({"testo 1": [lie]}) as liar, connect(liar, timeout_s=0.3) as backend:
        found, error = collect(backend.answer(texts(3)))
        assert (len(found), error, liar.asked.count("testo 1")) == (3, "", 2)


def test_a_request_without_an_answer_does_not_end_the_night():
    with Liar({"testo 1": repeat("status 503"), "testo 3": repeat("hang")}) as liar:
        with connect(liar, timeout_s=0.3) as backend:
            found, error = collect(backend.answer(texts(30)))
        assert len(found) == 28
        assert error.startswith(
            f"{liar.url} gave no answer to 2 of 30 requests (the last: ReadTimeout: no answer within 0.3 s); all"
        )
        assert "run again" in error
        assert liar.asked.count("testo 1") == liar.asked.count("testo 3") == 3


def test_a_server_that_is_down_is_not_asked_for_ever():
    downfall = {f"testo {place}": repeat("status 502") for place in range(5, 500)}
    with Liar(downfall) as liar, connect(liar, tries=2) as backend:
        found, error = collect(backend.answer(texts(500)))
        assert len(found) == 5
        assert "(the last: HTTP 502: so says 502)" in error
        assert "check the server" in error
        assert len(set(liar.asked)) <= 5 + 8 + 4


def test_a_server_that_dies_on_the_way_costs_no_answer():
    with Liar() as liar, connect(liar, in_flight=1, tries=1) as backend:
        outcomes = backend.answer(texts(100))
        first = [next(outcomes) for _ in range(3)]
        liar.__exit__()
        found, error = collect(outcomes)
        assert (len(first), "ConnectError" in error) == (3, True)
        assert len(found) <= 1


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (
            "status 401",
            f"wants a key, and there is none in {KEY} \\(HTTP 401: so says 401\\): set it to a key of this",
        ),
        ("status 403", f"wants a key, and there is none in {KEY}"),
        ("status 404", r"does not serve liar \(HTTP 404: so says 404\): see whether `url` ends as .*`served_as`"),
        ("status 402", r"rejects requests \(HTTP 402: so says 402\): see whether it supports what `structure`"),
        ("redirect http://evil.example/v1?x=1", r"redirects \(HTTP 307, http://evil.example/v1\): set `url`"),
        ("model another", "answers as the model another, and not as liar: .*`served_as`"),
        ("model liar-7b", "answers as the model liar-7b, and not as liar"),
        ("context answer", "serves a model with room for 64 tokens, and max_tokens asks for answers of 64: lower max"),
    ],
)
def test_what_concerns_all_requests_ends_the_run_in_one_sentence_and_loses_nothing(lie, message):
    lies = {"testo 5": [lie], **{f"testo {place}": ["late 0.2"] for place in (4, 6, 7)}}
    with Liar(lies) as liar, connect(liar) as backend:
        outcomes = backend.answer(texts(1000))
        found = {}
        with pytest.raises(UserError, match=f"^{liar.url} {message}") as caught:
            found.update((outcome.key, outcome) for outcome in outcomes)
        assert "\n" not in str(caught.value)
        assert sorted([*found, "testo 5"]) == sorted(liar.asked)  # what was asked was waited for
        assert len(liar.asked) < 20


def test_a_server_that_changes_its_model_says_which_ones_it_has():
    with Liar({"*": ["status 404"]}) as liar, connect(liar) as backend:
        liar.listed = list("abcdefg")
        with pytest.raises(
            UserError, match=r"serves a, b, c, d, e, \.\.\., and not liar: name in `served_as` the one meant"
        ):
            list(backend.answer([ask("uno")]))


@pytest.mark.parametrize("who", ["vllm", "openai", "llama"])
def test_a_prompt_beyond_the_context_is_refused_and_the_others_are_answered(who):
    with Liar({"testo 1": [f"context {who}"]}) as liar, connect(liar) as backend:
        found, error = collect(backend.answer(texts(3)))
        refusal = found["testo 1"]
        assert isinstance(refusal, ChatRefusal)
        assert refusal.reason == "passage_too_long"
        assert TOO_LONG[who]["message"].startswith(refusal.detail.removesuffix("..."))
        assert (len(found), error) == (3, "")


@pytest.mark.parametrize("status", [400, 413, 422, 451])
def test_a_request_that_is_turned_down_is_refused_and_the_others_are_answered(status):
    with Liar({"testo 5": repeat(f"status {status}")}) as liar, connect(liar) as backend:
        found, error = collect(backend.answer(texts(30)))
        assert found["testo 5"] == ChatRefusal("testo 5", "turned_down", f"HTTP {status}: so says {status}")
        assert (len(finishes(found)), error, liar.asked.count("testo 5")) == (29, "", 1)


@pytest.mark.parametrize("others", [{}, {"testo 6": ["late 0.3"], "testo 7": repeat("status 503")}])
def test_what_is_turned_down_before_the_first_answer_is_told_from_wrong_settings_by_one_question(others):
    lies = {f"testo {place}": ["status 422"] for place in range(6)} | others
    with Liar(lies) as liar, connect(liar, in_flight=4, tries=2) as backend:
        found, _ = collect(backend.answer(texts(30)))
    refused = {key for key, outcome in found.items() if not isinstance(outcome, ChatAnswer)}
    assert refused == {f"testo {place}" for place in range(6)}
    assert liar.asked.count(HARMLESS) == 1


def test_a_backend_that_answered_once_may_turn_down_all_that_comes_after():
    with Liar({f"testo {place}": ["status 400"] for place in range(9)}) as liar, connect(liar) as backend:
        list(backend.answer([ask("uno")]))
        found, error = collect(backend.answer(texts(9)))
        assert ([outcome.reason for outcome in found.values()], error) == (["turned_down"] * 9, "")


@pytest.mark.parametrize(
    ("others", "refused"),
    [({}, set()), ({"testo 2": repeat("context vllm"), "testo 3": repeat("cut")}, {"testo 2"})],
)
def test_a_server_that_turns_all_down_is_not_set_as_it_can_be(others, refused):
    with Liar({"*": repeat("status 422")} | others) as liar, connect(liar) as backend:
        for _ in range(2):
            found, error = collect(backend.answer(texts(5)))
            assert set(found) == refused
            assert error.startswith(f"{liar.url} rejects requests (HTTP 422: so says 422): see whether it supports")


def test_a_server_that_turns_down_how_it_is_asked_is_not_taken_for_one_that_minds_the_texts():
    lies = {f"testo {place}": repeat("status 400") for place in range(20)} | {HARMLESS: repeat("status 400")}
    with Liar(lies) as liar, connect(liar) as backend:
        found, error = collect(backend.answer(texts(20)))
    assert (found, "rejects requests (HTTP 400" in error) == ({}, True)
    first, probe = (liar.bodies[place]["messages"] for place in (0, -1))
    assert first[:-1] == probe[:-1]  # instructions and examples as with what was turned down


def test_many_requests_turned_down_before_the_first_answer_end_no_run():
    lies = {f"testo {place}": repeat("status 451") for place in range(100)}
    with Liar(lies) as liar, connect(liar, in_flight=20) as backend:
        found, error = collect(backend.answer(texts(103)))
    assert (len(found), len(finishes(found)), error) == (103, 3, "")


def test_a_rerun_that_lacks_only_what_is_turned_down_tells_it_from_wrong_settings():
    with Liar({"testo 5": repeat("status 451")}) as liar, connect(liar) as backend:
        found, error = collect(backend.answer([ask("testo 5")]))
    assert ([outcome.reason for outcome in found.values()], error) == (["turned_down"], "")


def test_a_server_that_turns_all_down_is_not_asked_for_ever():
    with Liar({"*": repeat("status 422")}) as liar, connect(liar, in_flight=20) as backend:
        found, error = collect(backend.answer(texts(2000)))
        assert (found, "rejects requests" in error) == ({}, True)
        assert len(liar.asked) < 3 * 20  # those in flight, and a harmless question for each


def test_what_ends_the_run_is_said_before_what_was_turned_down():
    with Liar({"testo 0": ["status 422"], "*": ["late 0.1"], "testo 1": ["status 401"]}) as liar:
        with connect(liar, in_flight=1) as backend:
            found, error = collect(backend.answer(texts(9)))
        assert ([outcome.reason for outcome in found.values()], "HTTP 401" in error) == (["turned_down"], True)


@pytest.mark.parametrize(
    ("lie", "text", "finish"),
    [
        ('content ""', "", "stop"),
        ("content null", "", "stop"),
        ('content "non so"', "non so", "stop"),
        ('content [{"type": "text"}]', "", "error"),
        ("content 7", "", "error"),
        ("content []", "", "error"),
        ('finish "length"', None, "length"),
        ('finish "content_filter"', None, "error"),
        ("finish null", None, "error"),
        ("finish [1]", None, "error"),
        ("model liar-2026-05-01", None, "stop"),
    ],
)
def test_an_answer_that_no_form_allows_is_an_answer_all_the_same(lie, text, finish):
    with Liar({"uno": [lie]}) as liar, connect(liar) as backend:
        (answer,) = backend.answer([ask("uno")])
        assert (answer.finish, len(liar.bodies)) == (finish, 1)
        assert answer.text == text if text is not None else len(answer.text) <= 300


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ("null", (0, 0, 0)),
        ('"many"', (0, 0, 0)),
        ('{"prompt_tokens": -3, "completion_tokens": 2.5}', (0, 0, 0)),
        ('{"prompt_tokens": true, "completion_tokens": 1e400, "prompt_tokens_details": [1]}', (0, 0, 0)),
        (f'{{"prompt_tokens": {10**30}, "completion_tokens": 9, "prompt_tokens_details": null}}', (0, 9, 0)),
        ('{"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}', (5, 0, 4)),
    ],
)
def test_odd_counts_are_none(usage, counts):
    with Liar({"uno": [f"usage {usage}"]}) as liar, connect(liar) as backend:
        (answer,) = backend.answer([ask("uno")])
        assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == counts


def test_no_more_requests_are_under_way_than_may_be():
    with Liar(delay=0.2) as liar, connect(liar, in_flight=5) as backend:
        assert len(list(backend.answer(texts(20)))) == 20
        assert liar.most == 5


def test_requests_are_drawn_as_there_is_room():
    drawn = count()
    with Liar() as liar, connect(liar) as backend:
        outcomes = backend.answer(ask(f"testo {next(drawn)}") for _ in repeat(None))
        for _ in range(10):
            next(outcomes)
        assert next(drawn) <= 10 + 4


def test_nothing_is_left_of_a_round_that_is_not_read_to_its_end():
    with Liar({"testo 2": ["hang"]}) as liar:
        with connect(liar) as backend:
            outcomes = backend.answer(texts(10))
            next(outcomes)
            outcomes.close()
            assert len(list(backend.answer(texts(2)))) == 2
            outcomes = backend.answer(texts(10))
            next(outcomes)
        del outcomes  # only after its backend was closed
        gc.collect()


def test_an_error_in_drawing_a_request_is_passed_on():
    def drawn():
        yield ask("uno")
        raise LookupError

    with Liar({"uno": ["hang"]}) as liar, connect(liar) as backend, pytest.raises(LookupError):
        list(backend.answer(drawn()))


def test_what_the_caller_does_in_between_counts_for_no_try():
    with Liar({"testo 1": ["late 0.2"]}) as liar, connect(liar, in_flight=2, tries=1, timeout_s=0.5) as backend:
        outcomes = backend.answer(texts(2))
        assert next(outcomes).key == "testo 0"
        time.sleep(0.8)
        assert next(outcomes).key == "testo 1"


def test_a_server_is_left_alone_for_as_long_as_it_asks():
    with Liar({"uno": ["later 0.7"]}) as liar, connect(liar) as backend:
        began = time.monotonic()
        assert len(list(backend.answer([ask("uno")]))) == 1
        assert 0.7 <= time.monotonic() - began < 3


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv(KEY, " sk-geheim\n")
    caplog.set_level(logging.DEBUG)
    lies = {"due": ["parrot"], "tre": ["redirect http://127.0.0.1:1/chat/completions"]}
    with Liar(lies) as liar, connect(liar) as backend:
        list(backend.answer([ask("uno")]))
        messages = [collect(backend.answer([ask(text)]))[1] for text in ("due", "tre")]
        shown = repr(backend)
    assert [headers["Authorization"] for headers in liar.headers] == ["Bearer sk-geheim"] * 3
    assert messages[0].endswith(
        f"does not accept the key in {KEY} (HTTP 401: this is no key: Bearer *** [31m): set it to a key of this server"
    )
    assert "redirects" in messages[1]
    assert "geheim" not in shown + "".join(messages) + caplog.text


def test_without_a_key_none_is_sent():
    with Liar() as liar, connect(liar) as backend:
        list(backend.answer([ask("uno")]))
        assert "Authorization" not in liar.headers[0]


def test_the_server_learns_nothing_of_this_machine_or_of_other_accounts(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://another.example/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer another\nX-More: another")
    with Liar() as liar, connect(liar) as backend:
        list(backend.answer([ask("uno")]))
    told = {name.lower(): value for name, value in liar.headers[0].items()}
    assert "another" not in str(told)
    assert set(told) == {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent")
    }


def test_parameters_are_read_without_the_client():
    code = "import sys, nestling.llm.registry; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("key", ["due parole", "a\nb", "perché"])
def test_a_key_that_can_be_none_is_not_shown(monkeypatch, key):
    monkeypatch.setenv(KEY, key)
    with pytest.raises(UserError, match=f"^{KEY} holds signs that no key has") as caught:
        ServerBackend(MODEL, settings("http://127.0.0.1:1/v1"))
    assert key not in str(caught.value)


def test_this_machine_is_asked_without_a_proxy_and_others_through_it(monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    with Liar() as liar:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with connect(liar) as backend:
            list(backend.answer([ask("uno")]))
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{liar.server_port}")
        with closing(ServerBackend(MODEL, settings("http://elsewhere.invalid/v1"))) as backend:
            list(backend.answer([ask("due")]))
        assert liar.asked == ["uno", "due"]


def test_a_proxy_that_cannot_be_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "gopher://me:secret@proxy")
    with pytest.raises(UserError, match="correct or unset HTTP_PROXY") as caught:
        ServerBackend(MODEL, settings("http://elsewhere.invalid/v1"))
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_said_at_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(UserError, match=f"^{url} cannot be reached \\(ConnectError.*start the server, or"):
        ServerBackend(MODEL, settings(url))


@pytest.mark.parametrize("listed", [None, [], ["other", "liar"]])
def test_a_server_need_not_list_its_models(listed):
    with Liar(listed=listed) as liar, connect(liar) as backend:
        assert len(list(backend.answer([ask("uno")]))) == 1


def test_a_server_of_other_models_is_said_at_the_start():
    with Liar(listed=["un", "altro"]) as liar:
        with pytest.raises(UserError, match="serves un, altro, and not liar: name in `served_as` the one meant"):
            connect(liar)
        with pytest.raises(UserError, match="serves un, altro, and not bertino"):
            connect(liar, served_as="bertino")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000/v1",
        "ftp://h/v1",
        "http://",
        "http://h:0/v1",
        "http://h:65536/v1",
        "http://a..b/v1",
        "http://me:secret@h/v1",
        "http://h/v1?api_key=secret",
        "",
        "http://h\n/",
    ],
)
def test_a_url_that_cannot_be_one_is_turned_down_unshown(url):
    with pytest.raises(ValidationError) as caught:
        settings(url)
    assert "secret" not in str(caught.value)


def test_after_a_failure_only_what_is_missing_is_asked(tmp_path):
    asked = [*texts(12), ask("testo 3", seed=2)]
    said = {}
    for lies, ends in (({"testo 8": ["status 401"]}, "HTTP 401"), ({"testo 10": repeat("cut")}, "1 of"), ({}, "")):
        with Liar(lies, log=tmp_path / "log") as liar, ResponseCache(tmp_path / "cache") as cache:
            params = settings(liar.url, in_flight=2)
            with Llm(MODEL, lambda params=params: ServerBackend(MODEL, params), cache, Meter()) as llm:
                found, error = collect(llm.ask(asked, "queries"))
        assert ends in error
        assert all(replace(found[key], cached_tokens=0) == replace(said[key], cached_tokens=0) for key in said)
        said = found
    digests = (tmp_path / "log").read_text().split()
    assert len(digests) == len(set(digests)) == len(said) == 13


def test_the_liar_runs_by_itself(tmp_path):
    command = [sys.executable, "-m", "tests.liar", "--port-file", "port", "--log", "log", "--delay", "0"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}) as process:
        try:
            while not (tmp_path / "port").exists():
                time.sleep(0.05)
            url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/v1"
            with closing(ServerBackend(MODEL, settings(url))) as backend:
                assert len(list(backend.answer(texts(3)))) == 3
        finally:
            process.kill()
    assert len(set((tmp_path / "log").read_text().split())) == 3
