"""Queries that an LLM writes for a passage: what it is asked for, and how its answer is read.

Several kinds of query, as in E5-mistral's and Nemotron's recipes; summarise-then-ask after SWIM-X (Thakur et al.
2024).
"""

import random
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, PositiveInt, model_validator

from nestling.llm.asking import Llm
from nestling.llm.backend import ChatRequest, SamplingParams
from nestling.llm.forms import Form, Replies, ask_in_form, closed_object, read_object, request_seed
from nestling.params import Strict
from nestling.queries.templates import Writer, load_template

Kind = Literal["question", "keywords", "description", "claim"]
_CHARACTERS_A_WORD = 12  # the bound of a query in characters, so that no answer goes on for ever


class KindParams(Strict):
    """How many queries of a kind a passage gets, and how long they may be."""

    queries: float = Field(ge=0, le=20)  # a passage; 0.5 is one for every second passage, drawn by the passage's id
    min_words: PositiveInt
    max_words: PositiveInt

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words is {self.min_words} and max_words {self.max_words}: no query is that long")
        return self


class WritingParams(Strict):
    """What is asked of the LLM for every passage."""

    kinds: dict[Kind, KindParams] = Field(min_length=1)
    summary_words: int = Field(ge=0)  # the passage is summed up first, in so many words at most; 0: asked at once
    attempts: PositiveInt  # how often a passage is asked about whose answer does not keep to the form
    sampling: SamplingParams

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(of_kind.queries for of_kind in self.kinds.values()):
            raise ValueError("kinds ask for no query: set queries of one of them above 0")
        return self


def wanted(kinds: Mapping[Kind, KindParams], passage_id: str, seed: int) -> dict[str, int]:
    """Return how many queries of each kind a passage gets; it hangs on no other passage."""
    counts: dict[str, int] = {}
    for kind, params in kinds.items():
        draw = random.Random(f"{seed} {kind} {passage_id}").random()
        counts[kind] = int(params.queries) + (draw < params.queries % 1)
    return {kind: count for kind, count in counts.items() if count}


def answer_schema(counts: Mapping[str, int], params: WritingParams) -> str:
    """Return the JSON schema of an answer with so many queries of each kind; every string and list is bounded."""
    properties: dict[str, Any] = {"summary": _string(params.summary_words)} if params.summary_words else {}
    longest = {str(kind): of_kind.max_words for kind, of_kind in params.kinds.items()}
    for kind, count in counts.items():
        properties[kind] = {"type": "array", "items": _string(longest[kind]), "minItems": count, "maxItems": count}
    return closed_object(properties)


def _string(words: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": words * _CHARACTERS_A_WORD}


def read_queries(text: str, counts: Mapping[str, int]) -> list[tuple[str, str]] | None:
    """Return the (kind, query) pairs of an answer, or None when it does not keep to the form."""
    tree = read_object(text)
    if tree is None:
        return None
    queries: list[tuple[str, str]] = []
    for kind, count in counts.items():
        given = tree.get(kind)
        if not isinstance(given, list) or len(given) < count or not all(isinstance(query, str) for query in given):
            return None
        queries += [(kind, query) for query in given[:count]]
    return queries


def shortest_asking(params: WritingParams, languages: Iterable[str]) -> list[ChatRequest]:
    """Return a request about an empty passage in each language: what leaves no room for it leaves none for any.

    Raises:
        UserError: a language has no template.
    """
    return [
        ChatRequest(
            f"queries in {code}", writer.messages("", {writer.kinds[0]: 1}), 0, closed_object({}), params.sampling
        )
        for code in sorted(languages)
        for writer in [_writer(code, params)]
    ]


def _writer(language: str, params: WritingParams) -> Writer:
    kinds = [str(kind) for kind, of_kind in params.kinds.items() if of_kind.queries]
    return Writer(load_template(language), kinds, params.summary_words)


def write_queries(
    llm: Llm, passages: pl.DataFrame, params: WritingParams, seed: int
) -> Replies[list[tuple[str, str]]]:
    """Ask for every passage's queries.

    Args:
        llm: that writes.
        passages: passage_id, text, language.
        params: what to ask for.
        seed: of the draws.

    Returns:
        By passage_id, the (kind, query) pairs of its answer.

    Raises:
        UserError: a language has no template, or the model cannot be had; answers so far are kept.
    """
    writers = {code: _writer(code, params) for code in passages["language"].unique().sort()}
    # neighbours share a language's instructions, which the engine then reads once
    rows = {row["passage_id"]: row for row in passages.sort("language", "passage_id").iter_rows(named=True)}
    counts = {name: wanted(params.kinds, name, seed) for name in rows}

    def request(name: str, attempt: int) -> ChatRequest:
        messages = writers[rows[name]["language"]].messages(rows[name]["text"], counts[name])
        schema = answer_schema(counts[name], params)
        return ChatRequest(name, messages, request_seed(seed, name, attempt), schema, params.sampling)

    asked = [name for name, of_each in counts.items() if of_each]
    read = Form("queries", request, lambda name, text: read_queries(text, counts[name]), params.attempts)
    return ask_in_form(llm, asked, read)
