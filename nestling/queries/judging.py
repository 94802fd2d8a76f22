"""An LLM's grades for queries: answerable from the passage alone, specific, fluent, in the language.

Judging by criteria one at a time follows G-Eval (Liu et al. 2023) and UMBRELA's graded scale (Upadhyay et al. 2024).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, PositiveInt

from nestling.llm.asking import Llm
from nestling.llm.backend import ChatRequest, ModelParams, SamplingParams
from nestling.llm.forms import Form, Replies, ask_in_form, closed_object, read_object, request_seed
from nestling.llm.registry import BackendParams
from nestling.params import Strict
from nestling.queries.templates import CRITERIA, Grader, load_template

BEST = 4  # grades are whole numbers from 0
_GRADE = {"type": "integer", "minimum": 0, "maximum": BEST}
SCHEMA = closed_object(dict.fromkeys(CRITERIA, _GRADE))


class NoJudge(Strict):
    """Nobody grades."""

    kind: Literal["none"]


class JudgeParams(Strict):
    """How queries are graded, and which stay."""

    threshold: float = Field(ge=0, le=1)  # a query stays that scores at least this
    attempts: PositiveInt
    sampling: SamplingParams


class WriterJudge(JudgeParams):
    """The model that wrote grades, too: cheap, and lenient with itself."""

    kind: Literal["writer"]


class OtherJudge(JudgeParams):
    """Another model grades."""

    kind: Literal["llm"]
    model: ModelParams
    backend: BackendParams


AnyJudge = Annotated[NoJudge | WriterJudge | OtherJudge, Field(discriminator="kind")]


def score(grades: Mapping[str, int]) -> float:
    """Return the geometric mean of the grades, from 0 to 1: a query that fails one criterion fails."""
    product = math.prod(grades[criterion] / BEST for criterion in CRITERIA)
    return float(round(product ** (1 / len(CRITERIA)), 6))


def read_grades(text: str) -> dict[str, int] | None:
    """Return the grade of every criterion, or None when the answer does not keep to the form."""
    tree = read_object(text) or {}
    grades = {criterion: tree.get(criterion) for criterion in CRITERIA}
    if not all(type(grade) is int and 0 <= grade <= BEST for grade in grades.values()):
        return None
    return {criterion: int(grade) for criterion, grade in grades.items() if grade is not None}


def shortest_grading(params: JudgeParams, languages: Iterable[str]) -> list[ChatRequest]:
    """Return a request about an empty passage and query in each language."""
    return [
        ChatRequest(f"grades in {code}", Grader(load_template(code)).messages("", ""), 0, SCHEMA, params.sampling)
        for code in sorted(languages)
    ]


@dataclass(frozen=True)
class _Case:
    query: str
    passage_id: str
    language: str


def grade_queries(
    llm: Llm, rows: pl.DataFrame, passages: pl.DataFrame, params: JudgeParams, seed: int
) -> tuple[pl.DataFrame, Replies[dict[str, int]]]:
    """Have every query graded beside its passage.

    Args:
        llm: that judges.
        rows: text, passage_id.
        passages: passage_id, text, language.
        params: of the judging.
        seed: of the draws.

    Returns:
        `rows` with a column for each criterion and `judge_score`, null where no answer kept to the form; and the
        replies behind them.

    Raises:
        UserError: a language has no template, or the model cannot be had; answers so far are kept.
    """
    texts = dict(passages.select("passage_id", "text").iter_rows())
    joined = rows.select("text", "passage_id").join(
        passages.select("passage_id", "language"), on="passage_id", how="left", maintain_order="left"
    )
    cases = {
        str(place): _Case(row["text"], row["passage_id"], row["language"])
        for place, row in enumerate(joined.iter_rows(named=True))
    }
    graders = {code: Grader(load_template(code)) for code in joined["language"].unique().sort()}

    def request(name: str, attempt: int) -> ChatRequest:
        case = cases[name]
        messages = graders[case.language].messages(texts[case.passage_id], case.query)
        drawn = request_seed(seed, case.passage_id, case.query, attempt)
        return ChatRequest(name, messages, drawn, SCHEMA, params.sampling)

    # neighbours share a passage, which the engine then reads once
    order = sorted(cases, key=lambda name: (cases[name].language, cases[name].passage_id, int(name)))
    form = Form("grades", request, lambda _, text: read_grades(text), params.attempts)
    replies = ask_in_form(llm, order, form)
    return rows.with_columns(_columns(replies, list(cases))), replies


def _columns(replies: Replies[dict[str, int]], names: Sequence[str]) -> list[pl.Series]:
    grades = [replies.good.get(name) for name in names]
    columns = [
        pl.Series(criterion, [each[criterion] if each else None for each in grades], dtype=pl.UInt8)
        for criterion in CRITERIA
    ]
    return [*columns, pl.Series("judge_score", [score(each) if each else None for each in grades], dtype=pl.Float64)]
