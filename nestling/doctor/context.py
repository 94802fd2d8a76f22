"""Whether an LLM's context holds a prompt of this project; only its tokenizer is loaded."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nestling.doctor.facts import JUDGE, Facts, at
from nestling.doctor.findings import Finding, lack
from nestling.errors import UserError
from nestling.llm.backend import ChatRequest
from nestling.llm.context import load_tokenizer, shortfall
from nestling.llm.weights import check_length
from nestling.queries.judging import AnyJudge, NoJudge, shortest_grading
from nestling.queries.writing import WritingParams, shortest_asking


def context_problem(facts: Facts, folder: Path, where: str, engine: str) -> Finding | None:
    """Return what is wrong with `max_model_len`, None where it holds a prompt or the parameters cannot be read.

    Args:
        facts: with the parameters.
        folder: of the model.
        where: the place in params.yaml that names it.
        engine: the place of its `max_model_len`.
    """
    longest = at(facts.params, f"{engine}.max_model_len", 0)
    try:
        shortest = _shortest(facts, where)
    except (ValidationError, UserError, OSError):
        return None  # the stage says it, and the check of the prompts
    if not longest or not shortest:
        return None
    try:
        check_length(folder, longest)
        found = shortfall(load_tokenizer(folder), shortest, longest)
    except UserError as error:
        return lack(*str(error).removeprefix("generate.llm.backend: ").rsplit(": ", 1))
    if found is None:
        return None
    told = (
        f"max_model_len {longest} holds no prompt for {found.asked}: {found.prompt} tokens, {found.answer} to answer"
    )
    return lack(told, found.way_out)


def _shortest(facts: Facts, where: str) -> list[ChatRequest]:
    languages = [str(language) for language in at(facts.params, "shared.languages", [])]
    judge = TypeAdapter(AnyJudge).validate_json(json.dumps(at(facts.params, JUDGE, {})))
    to_grade = [] if isinstance(judge, NoJudge) else shortest_grading(judge, languages)
    if where == JUDGE:
        return to_grade
    writing = WritingParams.model_validate_json(json.dumps(at(facts.params, "generate.llm.writing", {})))
    return [*shortest_asking(writing, languages), *(to_grade if judge.kind == "writer" else [])]
