"""Reading what a model said, and asking again where it did not keep to the form."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRefusal, ChatRequest, ModelParams, Outcome, SamplingParams
from nestling.llm.forms import Form, Replies, ask_in_form, closed_object, read_object, request_seed
from nestling.llm.meter import Meter
from nestling.llm.response_cache import ResponseCache

MODEL = ModelParams(name="scripted", revision="a" * 40)
SAMPLING = SamplingParams(temperature=0.0, top_p=1.0, max_tokens=8)
CUT, REFUSED = '{"n": ', "refused"  # what the model says of itself


class Scripted:
    """Says its lines about each thing, one a time, and then no more; keeps what it was asked."""

    def __init__(self, **lines: Sequence[str]) -> None:
        self.lines = {name: iter(texts) for name, texts in lines.items()}
        self.asked: list[tuple[str, int]] = []

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[Outcome]:
        for request in requests:
            name = request.messages[-1][1]
            self.asked.append((name, request.seed))
            text = next(self.lines[name])
            if text == REFUSED:
                yield ChatRefusal(request.key, "passage_too_long", "9 of 8 tokens")
            else:
                yield ChatAnswer(request.key, text, "length" if text == CUT else "stop", 10, 1)

    def close(self) -> None:
        """Free nothing."""


def request(name: str, attempt: int) -> ChatRequest:
    return ChatRequest(name, (("user", name),), request_seed(1, name, attempt), "{}", SAMPLING)


def number(_: str, text: str) -> int | None:
    found = (read_object(text) or {}).get("n")
    return found if isinstance(found, int) else None


def ask(cache: Path, model: Scripted | None, *names: str, attempts: int = 3) -> Replies[int]:
    """Ask for a number about every name; without a model, everything must be kept already."""

    def load() -> Scripted:
        assert model, "a model was loaded"
        return model

    with ResponseCache(cache) as kept, Llm(MODEL, load, kept, Meter()) as llm:
        replies = ask_in_form(llm, names, Form("numbers", request, number, attempts))
    refused = sum(failed.reason == "passage_too_long" for failed in replies.failed.values())
    assert len(llm.used) == replies.answers + refused == llm.meter.asked + llm.meter.refused + llm.meter.hits
    return replies


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Ecco le domande:\n\n{"a": 1}\n\nSpero che vadano bene!', {"a": 1}),
        ('{"a": {"b": [1, {}]}}', {"a": {"b": [1, {}]}}),
        ('{"a": "}{"}', {"a": "}{"}),
        ('{"a": 1, "a": 2}', {"a": 2}),  # the later word counts
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ('\ufeff{"a": 1}\x00', {"a": 1}),
        ("{}", {}),
    ],
)
def test_an_object_is_read_whatever_stands_round_it(text: str, tree: dict[str, object]) -> None:
    assert read_object(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "7",
        "[1, 2]",
        '[{"a": 1}, {"b": 2}]',
        "{",
        "}",
        "}{",
        '{"a": 1',
        '{"a": ["b", "c',
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": 1} oppure {"a": 2}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        "{" * 100_000 + "}" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_object_is_none(text: str) -> None:
    assert read_object(text) is None


@given(st.text(alphabet='{}[]",:\\u0d8ea1 -.eNaN\n') | st.text())
def test_no_answer_breaks_the_reading(text: str) -> None:
    assert read_object(text) is None or isinstance(read_object(text), dict)


def test_a_closed_object_has_its_properties_in_their_order_and_no_other() -> None:
    word, grade = {"type": "string"}, {"type": "integer"}
    assert closed_object({"z": word, "a": grade}) == (
        '{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}},"required":["z","a"],'
        '"additionalProperties":false}'
    )


def test_a_seed_has_31_bits() -> None:
    seeds = [request_seed(1, "a", attempt) for attempt in range(1000)]
    assert 0 <= min(seeds) < 2**24
    assert 2**30 < max(seeds) < 2**31


def test_seeds_differ_by_every_part_and_by_where_it_ends() -> None:
    parts = [("ab", 0), ("ac", 0), ("ab", 1), ("a", "b0"), ("ab0",), ("a", "b", 0)]
    assert len({request_seed(seed, *each) for seed in (1, 2) for each in parts}) == 2 * len(parts)


def test_a_seed_never_changes_for_what_was_answered_would_be_asked_again() -> None:
    assert request_seed(20261120, "0123456789abcdef0123", 0) == 2136577031


def test_an_answer_out_of_form_is_asked_for_again_with_another_seed_and_no_more_often_than_told(
    tmp_path: Path,
) -> None:
    model = Scripted(a=["?"] * 9)
    replies = ask(tmp_path / "j", model, "a", attempts=3)
    assert [name for name, _ in model.asked] == ["a"] * 3
    assert len({seed for _, seed in model.asked}) == 3
    assert (replies.good, list(replies.failed), replies.malformed) == ({}, ["a"], 3)


def test_only_what_is_out_of_form_is_asked_again(tmp_path: Path) -> None:
    model = Scripted(a=['{"n": 1}'], b=["?", '{"n": 2}'], c=['{"n": 3}'])
    ask(tmp_path / "j", model, "a", "b", "c")
    assert [name for name, _ in model.asked] == ["a", "b", "c", "b"]


def test_what_failed_first_and_kept_to_the_form_later_is_good_and_not_failed(tmp_path: Path) -> None:
    replies = ask(tmp_path / "j", Scripted(a=[CUT, "?", '{"n": 1}']), "a")
    assert (replies.good, replies.failed) == ({"a": 1}, {})
    assert (replies.answers, replies.malformed) == (3, 2)


def test_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    model = Scripted(a=[REFUSED, '{"n": 1}'], b=['{"n": 2}'])
    replies = ask(tmp_path / "j", model, "a", "b")
    assert [name for name, _ in model.asked] == ["a", "b"]
    assert (replies.failed["a"].reason, replies.failed["a"].detail) == ("passage_too_long", "9 of 8 tokens")
    assert (replies.good, replies.answers) == ({"b": 2}, 1)


@pytest.mark.parametrize(("text", "reason"), [(CUT, "cut"), ("Non saprei.", "not_json"), ('{"n": "1"}', "not_json")])
def test_why_there_is_no_answer_is_told_with_the_last_answer(tmp_path: Path, text: str, reason: str) -> None:
    failed = ask(tmp_path / "j", Scripted(a=["prima", text]), "a", attempts=2).failed["a"]
    assert (failed.reason, failed.detail, failed.text) == (reason, "1 tokens", text)


def test_figures_are_the_same_when_every_answer_is_kept_and_then_nothing_is_asked(tmp_path: Path) -> None:
    model = Scripted(a=['{"n": 1}'], b=["?", '{"n": 2}'], c=["?"] * 3)
    first = ask(tmp_path / "j", model, "a", "b", "c")
    assert (first.answers, first.malformed, first.prompt_tokens, first.completion_tokens) == (6, 4, 60, 6)
    assert ask(tmp_path / "j", None, "a", "b", "c") == first


def test_a_run_that_was_stopped_asks_only_for_the_rest(tmp_path: Path) -> None:
    ask(tmp_path / "j", Scripted(a=["?", '{"n": 1}']), "a")
    model = Scripted(b=['{"n": 2}'])
    assert ask(tmp_path / "j", model, "a", "b").good == {"a": 1, "b": 2}
    assert [name for name, _ in model.asked] == ["b"]


def test_nothing_to_ask_loads_no_model(tmp_path: Path) -> None:
    assert ask(tmp_path / "j", None) == Replies()
