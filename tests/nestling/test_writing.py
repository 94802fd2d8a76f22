"""What is asked of the model for each passage, and how its answer is read."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRequest, ModelParams
from nestling.llm.echo import EchoBackend
from nestling.llm.forms import Replies
from nestling.llm.meter import Meter
from nestling.llm.response_cache import ResponseCache
from nestling.queries.templates import load_template
from nestling.queries.writing import WritingParams, answer_schema, read_queries, wanted, write_queries

MODEL = ModelParams(name="echo", revision="a" * 40)
SAMPLING = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 64}
MILL = "Il mulino di Valdombra apre alle nove del mattino e macina il grano dei contadini della valle."
BOAT = "A barca regressa ao porto de Arca antes do pôr do sol e o peixe é vendido na lota."


class Recording(EchoBackend):
    """The echo, which keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        for request in requests:
            self.asked.append(request)
            yield from super().answer([request])


def kinds(**queries: float) -> dict[str, Any]:
    return {name: {"queries": number, "min_words": 3, "max_words": 10} for name, number in queries.items()}


def params(summary_words: int = 0, **queries: float) -> WritingParams:
    tree = {"kinds": kinds(**queries), "summary_words": summary_words, "attempts": 2, "sampling": SAMPLING}
    return WritingParams.model_validate_json(json.dumps(tree))


def passages(*texts: str, language: str = "it") -> pl.DataFrame:
    names = [f"{text[:12]} {len(text)}" for text in texts]
    return pl.DataFrame({"passage_id": names, "text": texts}).with_columns(language=pl.lit(language))


def numbered(*numbers: int) -> pl.DataFrame:
    return passages(*(f"{number}: {MILL}" for number in numbers))


def write(
    cache: Path, about: pl.DataFrame, asked: WritingParams, seed: int = 1
) -> tuple[list[ChatRequest], Replies[list[tuple[str, str]]]]:
    """Return what the model was asked, and what came of it."""
    model = Recording()
    with ResponseCache(cache) as kept, Llm(MODEL, lambda: model, kept, Meter()) as llm:
        replies = write_queries(llm, about, asked, seed)
    return model.asked, replies


def digests(cache: Path, about: pl.DataFrame, asked: WritingParams) -> set[str]:
    return {request.key for request in write(cache, about, asked)[0]}


@pytest.mark.parametrize("quota", [0.02, 0.25, 0.5, 1.0, 2.7, 20.0])
def test_passages_get_the_quota_on_average_and_each_a_whole_number_next_to_it(quota: float) -> None:
    counts = [wanted(params(question=quota).kinds, f"p{place}", 1).get("question", 0) for place in range(4000)]
    spread = ((quota % 1) * (1 - quota % 1) / 4000) ** 0.5
    assert abs(sum(counts) / 4000 - quota) <= 4 * spread
    assert set(counts) <= {int(quota), int(quota) + (quota % 1 > 0)}


def test_a_kind_without_a_quota_is_never_wanted() -> None:
    asked = params(question=0.5, claim=0.0).kinds
    assert not any("claim" in wanted(asked, f"p{place}", 1) for place in range(1000))


def test_kinds_are_drawn_apart() -> None:
    asked = params(question=0.5, claim=0.5).kinds
    found = [len(wanted(asked, f"p{place}", 1)) for place in range(4000)]
    assert 0.22 < found.count(2) / 4000 < 0.28
    assert 0.22 < found.count(0) / 4000 < 0.28


def test_another_seed_draws_other_passages() -> None:
    asked = params(question=0.5).kinds
    assert [bool(wanted(asked, f"p{n}", 1)) for n in range(64)] != [bool(wanted(asked, f"p{n}", 2)) for n in range(64)]


def test_a_passage_that_wants_no_query_is_not_asked_about(tmp_path: Path) -> None:
    asked, replies = write(tmp_path / "j", numbered(*range(200)), params(question=0.2))
    assert 20 < len(asked) < 60
    assert len(replies.good) == len(asked)
    assert (replies.failed, replies.malformed) == ({}, 0)


def test_what_is_asked_of_a_passage_hangs_on_no_other(tmp_path: Path) -> None:
    settings = params(question=1.5, keywords=0.5)
    whole = digests(tmp_path / "whole", numbered(*range(40)), settings)
    some = digests(tmp_path / "some", numbered(*range(39, 0, -3)), settings)
    assert len(some) == 13
    assert some < whole


def test_a_change_of_one_percent_of_the_passages_asks_for_one_percent(tmp_path: Path) -> None:
    settings = params(question=2.0, keywords=0.5)
    first = digests(tmp_path / "j", numbered(*range(200)), settings)
    again = digests(tmp_path / "j", numbered(*range(198), 1000, 1001), settings)
    assert (len(first), len(again)) == (200, 2)


def test_each_passage_has_a_seed_of_its_own_and_the_seed_of_the_params_moves_all(tmp_path: Path) -> None:
    about, settings = numbered(*range(20)), params(question=1.0)
    seeds = [{each.seed for each in write(tmp_path / f"{n}", about, settings, seed=n)[0]} for n in (1, 2)]
    assert len(seeds[0] | seeds[1]) == 40


def test_every_string_and_list_of_the_schema_is_bounded_and_keys_stand_in_the_order_of_the_params() -> None:
    settings = params(summary_words=40, keywords=1.0, question=2.0)
    schema = json.loads(answer_schema({"keywords": 1, "question": 2}, settings))
    query = {"type": "string", "minLength": 1, "maxLength": 120}
    assert schema["required"] == list(schema["properties"]) == ["summary", "keywords", "question"]
    assert schema["properties"]["summary"] == query | {"maxLength": 480}
    assert schema["properties"]["question"] == {"type": "array", "items": query, "minItems": 2, "maxItems": 2}
    assert schema["additionalProperties"] is False


def test_without_a_summary_none_is_asked_for(tmp_path: Path) -> None:
    settings = params(question=1.0)
    assert list(json.loads(answer_schema({"question": 1}, settings))["properties"]) == ["question"]
    ((request,), _) = write(tmp_path / "j", passages(MILL), settings)
    assert "summary" not in str(request.messages)


def test_a_summary_comes_before_the_queries_and_is_no_query(tmp_path: Path) -> None:
    ((request,), replies) = write(tmp_path / "j", passages(MILL), params(summary_words=25, question=2.0))
    assert load_template("it").summary.format(words=25) in request.messages[0][1]
    assert all(next(iter(json.loads(said))) == "summary" for who, said in request.messages if who == "assistant")
    assert [[kind for kind, _ in queries] for queries in replies.good.values()] == [["question"] * 2]


def test_a_kind_without_queries_stands_nowhere_in_the_prompt(tmp_path: Path) -> None:
    ((request,), _) = write(tmp_path / "j", passages(MILL), params(question=1.0, claim=0.0))
    said, template = " ".join(text for _, text in request.messages), load_template("it")
    assert '"question"' in said
    assert '"claim"' not in said
    assert template.kinds.claim not in said
    assert not any(text in said for example in template.examples for text in example.queries.claim)
    assert "claim" not in request.schema


def test_each_language_has_its_own_template(tmp_path: Path) -> None:
    both = pl.concat([passages(BOAT, language="pt"), passages(MILL)])
    asked, _ = write(tmp_path / "j", both, params(question=1.0))
    for request, code, text in zip(asked, ("it", "pt"), (MILL, BOAT), strict=True):
        assert request.messages[0][1].startswith(load_template(code).system)
        assert text in request.messages[-1][1]


def test_a_language_without_a_template_is_one_sentence_and_nothing_is_asked(tmp_path: Path) -> None:
    both = pl.concat([passages("Die Mühle öffnet um neun.", language="de"), passages(MILL)])
    with pytest.raises(UserError, match=r"^there is no prompt template for 'de' \(there are: ca, en.*translate it$"):
        write(tmp_path / "j", both, params(question=1.0))
    with closing(sqlite3.connect(tmp_path / "j")) as cache:
        assert cache.execute("SELECT key FROM responses").fetchall() == []


def test_the_passage_is_asked_about_in_the_last_message_and_nowhere_else(tmp_path: Path) -> None:
    ((request,), _) = write(tmp_path / "j", passages(MILL), params(question=1.0))
    assert [MILL in text for _, text in request.messages] == [False] * (len(request.messages) - 1) + [True]
    assert request.messages[-1][0] == "user"


def test_no_passages_are_no_error(tmp_path: Path) -> None:
    asked, replies = write(tmp_path / "j", numbered().cast(pl.String), params(question=1.0))
    assert (asked, replies) == ([], Replies())


COUNTS = {"question": 2, "keywords": 1}


@pytest.mark.parametrize(
    "answer",
    [
        '{"question": ["a", "b"], "keywords": ["c"]}',
        '{"keywords": ["c"], "question": ["a", "b"]}',
        '{"summary": 7, "question": ["a", "b", "d"], "keywords": ["c"], "claim": null}',
        'Ecco:\n```json\n{"question": ["a", "b"], "keywords": ["c"]}\n```',
    ],
)
def test_queries_are_read_in_the_order_of_the_kinds_and_no_more_than_were_wanted(answer: str) -> None:
    assert read_queries(answer, COUNTS) == [("question", "a"), ("question", "b"), ("keywords", "c")]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Non posso aiutare.",
        '["a", "b", "c"]',
        '{"question": ["a", "b"]}',
        '{"question": ["a"], "keywords": ["c"]}',
        '{"question": "ab", "keywords": ["c"]}',
        '{"question": {"0": "a", "1": "b"}, "keywords": ["c"]}',
        '{"question": ["a", 2], "keywords": ["c"]}',
        '{"question": ["a", "b", null], "keywords": ["c"]}',
        '{"question": ["a", ["b"]], "keywords": ["c"]}',
        '{"question": ["a", "b"], "keywords": null}',
        '{"question": ["a", "b"], "keywords": []}',
        '{"Question": ["a", "b"], "keywords": ["c"]}',
        '{"queries": {"question": ["a", "b"], "keywords": ["c"]}}',
        '{"question": ["a", "b"], "keywords": ["c"',
    ],
)
def test_an_answer_in_another_shape_is_none(answer: str) -> None:
    assert read_queries(answer, COUNTS) is None


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "at least 1 item"),
        (kinds(poem=1.0), "Input should be 'question', 'keywords', 'description' or 'claim'"),
        (kinds(question=0.0, claim=0.0), "kinds ask for no query: set queries of one of them above 0"),
        (kinds(question=-0.5), "greater than or equal to 0"),
        (kinds(question=float("nan")), "less than or equal to 20"),
        (kinds(question=21.0), "less than or equal to 20"),
        ({"question": {"queries": 1.0, "min_words": 9, "max_words": 8}}, "min_words is 9 and max_words 8"),
        ({"question": {"queries": 1.0, "min_words": 0, "max_words": 8}}, "greater than 0"),
    ],
)
def test_kinds_that_nobody_can_mean_are_refused(tree: dict[str, Any], message: str) -> None:
    asked = {"kinds": tree, "summary_words": 0, "attempts": 2, "sampling": SAMPLING}
    with pytest.raises(ValidationError, match=message):
        WritingParams.model_validate_json(json.dumps(asked))
