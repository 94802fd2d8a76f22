"""The LLM as a source of queries: written, gated, judged; every query and passage that goes leaves its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from nestling.cli import say
from nestling.corpus.cleaning import one_line
from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatRequest, ModelParams
from nestling.llm.forms import Replies
from nestling.llm.meter import Meter
from nestling.llm.registry import BackendParams, answering, limits, open_backend
from nestling.llm.response_cache import ResponseCache
from nestling.params import Strict
from nestling.queries.gates import GateParams, gate
from nestling.queries.judging import (
    AnyJudge,
    JudgeParams,
    NoJudge,
    OtherJudge,
    WriterJudge,
    grade_queries,
    shortest_grading,
)
from nestling.queries.self_test import FEWEST, SelfTest, check_judge, drawn, measured
from nestling.queries.templates import load_template
from nestling.queries.writing import WritingParams, shortest_asking, write_queries
from nestling.tables.corpus import Rejected
from nestling.tables.io import empty
from nestling.tables.queries import Judged
from nestling.tables.sieve import reasons, rejected, sieve

_WAYS_OUT = {  # where every passage goes for the same reason
    "passage_too_long": "raise max_model_len (of a server, its context), lower max_tokens, or cut shorter passages",
    "special_token": "see in docs/llm.md what a text may not hold",
    "turned_down": "see what the server says, and whether it supports `structure` and the sampling parameters",
    "cut": "raise writing.sampling.max_tokens, or ask for fewer queries",
    "not_json": "take a backend that holds the model to the schema, or a larger model",
}
Queries = Replies[list[tuple[str, str]]]
ROWS = {"text": pl.String, "kind": pl.String, "passage_id": pl.String, "position": pl.UInt32}


class LlmParams(Strict):
    """An LLM that writes queries, the gates that they pass, and who judges them."""

    model: ModelParams
    backend: BackendParams
    writing: WritingParams
    gates: GateParams
    judge: AnyJudge


@dataclass(frozen=True)
class Synthetic:
    """What the LLM gave.

    Attributes:
        rows: text, kind, passage_id of the queries that stay.
        judged: Judged rows: all queries that were judged, whether they stay or not.
        left_out: Rejected rows: queries with the gate that stopped them, passages without an answer in form.
        used: digests of the requests on whose answers all this rests.
        report: figures.
    """

    rows: pl.DataFrame
    judged: pl.DataFrame
    left_out: pl.DataFrame
    used: set[str]
    report: dict[str, Any]


@dataclass(frozen=True)
class _Verdict:
    kept: pl.DataFrame
    below: pl.DataFrame
    judged: pl.DataFrame
    used: set[str]
    report: dict[str, Any]


def synthesise(passages: pl.DataFrame, params: LlmParams, seed: int, cache: ResponseCache) -> Synthetic:
    """Have an LLM write and, where wanted, judge the queries of all passages.

    Args:
        passages: passage_id, text, language.
        params: of the LLM, the gates and the judge.
        seed: of the draws.
        cache: of responses.

    Raises:
        UserError: a language has no template, a model cannot be had, or it ended; answers so far are kept.
    """
    meter = Meter()
    verdict = None
    to_write, to_grade = _shortest(params, passages["language"].unique().to_list())
    with _llm(params.model, params.backend, cache, meter, to_write) as writer:
        replies = write_queries(writer, passages, params.writing, seed)
        passed, stopped = _gate(replies, passages, params)
        if isinstance(params.judge, WriterJudge):
            verdict = _judge(writer, passed, passages, params.judge, seed)
    if isinstance(params.judge, OtherJudge):  # loaded now that the writer has left the memory
        with _llm(params.judge.model, params.judge.backend, cache, meter, to_grade) as other:
            verdict = _judge(other, passed, passages, params.judge, seed)
    kept, below = (verdict.kept, verdict.below) if verdict else (passed, empty(Rejected))
    left_out = pl.concat([_failed(replies), stopped, below])
    gone = ", ".join(f"{number} {reason}" for reason, number in reasons(left_out).items())
    say(f"llm: {meter.sentence()}; {kept.height} queries stay, left out {gone or 'none'}")
    report = _report(writer.model, replies, kept, passages) | ({"judge": verdict.report} if verdict else {})
    return Synthetic(
        rows=kept.select("text", "kind", "passage_id"),
        judged=verdict.judged if verdict else empty(Judged),
        left_out=left_out,
        used=writer.used | (verdict.used if verdict else set()),
        report=report | {"run": meter.report()},
    )


def check_answered(made: Synthetic) -> None:
    """Raise a UserError where no passage at all has an answer: a source that gives nothing is none."""
    out = made.left_out.filter(pl.col("item") == "passage")
    if not out.height or out.height < made.report["passages"]:
        return
    counts = reasons(out)
    most = max(counts, key=lambda reason: counts[reason])
    told = ", ".join(f"{number} {reason}" for reason, number in counts.items())
    (detail, *_) = out.filter(pl.col("reason") == most)["detail"]
    raise UserError(
        f"generate.llm: none of {out.height} passages has an answer ({told}; {detail}): {_WAYS_OUT[most]}; "
        "data/generated/rejected.parquet names each"
    )


def _shortest(params: LlmParams, languages: Sequence[str]) -> tuple[list[ChatRequest], list[ChatRequest]]:
    """Return the shortest requests to the writer, and to a judge that is another model."""
    to_write = shortest_asking(params.writing, languages)
    to_grade = [] if isinstance(params.judge, NoJudge) else shortest_grading(params.judge, languages)
    return (to_write, to_grade) if isinstance(params.judge, OtherJudge) else ([*to_write, *to_grade], [])


def _llm(
    model: ModelParams, backend: BackendParams, cache: ResponseCache, meter: Meter, shortest: Sequence[ChatRequest]
) -> Llm:
    return Llm(
        answering(model, backend), lambda: open_backend(model, backend, shortest), cache, meter, limits(backend)
    )


def _gate(replies: Queries, passages: pl.DataFrame, params: LlmParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    answers = [
        (_settled(text), kind, passage_id, position)
        for passage_id, queries in sorted(replies.good.items())
        for position, (kind, text) in enumerate(queries)
    ]
    rows = pl.DataFrame(answers, schema=ROWS, orient="row")
    templates = {code: load_template(code) for code in passages["language"].unique()}
    bounds = {str(kind): (of_kind.min_words, of_kind.max_words) for kind, of_kind in params.writing.kinds.items()}
    kept, stopped = gate(rows, passages, templates, bounds, params.gates)
    return kept, _rejected(stopped)


def _settled(text: str) -> str:
    """Return `text` cleaned for good: no gate passes what a later cleaning would turn into something else."""
    while (cleaned := one_line(text)) != text:
        text = cleaned
    return text


def _judge(llm: Llm, rows: pl.DataFrame, passages: pl.DataFrame, params: JudgeParams, seed: int) -> _Verdict:
    test, graded, costs = _graded(llm, rows, passages, params, seed)
    score = pl.col("judge_score")
    kept, below = sieve(graded, {"not_judged": score.is_not_null(), "judge": score >= params.threshold})
    judged = graded.filter(score.is_not_null()).with_columns(judge=pl.lit(llm.model.identity))
    report = {
        "model": llm.model.identity,
        "threshold": params.threshold,
        "judged": judged.height,
        "below": judged.height - kept.height,
        "not_judged": graded.height - judged.height,
        "mean_score": round(judged["judge_score"].mean() or 0.0, 4),  # type: ignore[arg-type]
        "self_test": test.report(),
        **costs,
    }
    return _Verdict(kept, _rejected(below), judged.select(empty(Judged).columns), llm.used, report)


def _graded(
    llm: Llm, rows: pl.DataFrame, passages: pl.DataFrame, params: JudgeParams, seed: int
) -> tuple[SelfTest, pl.DataFrame, dict[str, int]]:
    """Return the self-test, the graded rows in their order and what it cost; nothing is asked twice."""
    placed = rows.with_row_index("place")
    own, swapped = drawn(placed, passages, seed)
    if own.height < FEWEST:
        say(f"llm: with {own.height} queries nothing can be told of the judge; {FEWEST} are needed")
        own, swapped = own.clear(), swapped.clear()
    of_own, by_own = grade_queries(llm, own, passages, params, seed)
    of_swapped, by_swapped = grade_queries(llm, swapped, passages, params, seed)
    test = measured(of_own, of_swapped, seed)
    check_judge(test, llm.model.name)
    of_rest, by_rest = grade_queries(llm, placed.join(own, on="place", how="anti"), passages, params, seed)
    costs = [_cost(replies) for replies in (by_own, by_swapped, by_rest)]
    total = {name: sum(cost[name] for cost in costs) for name in costs[0]}
    return test, pl.concat([of_own, of_rest]).sort("place").drop("place"), total


def _rejected(rows: pl.DataFrame) -> pl.DataFrame:
    ids = [content_id(*row) for row in rows.select("text", "passage_id").iter_rows()]
    return rejected(rows.with_columns(id=pl.Series(ids, dtype=pl.String)), "query", "id", detail="passage_id")


def _failed(replies: Queries) -> pl.DataFrame:
    rows = [(name, failed.reason, failed.detail, failed.text) for name, failed in sorted(replies.failed.items())]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("id", "reason", "detail", "text"), pl.String), orient="row")
    return rejected(frame, "passage", "id", detail="detail")


def _report(model: ModelParams, replies: Queries, kept: pl.DataFrame, passages: pl.DataFrame) -> dict[str, Any]:
    spoken = kept.select("kind", "passage_id").join(passages.select("passage_id", "language"), on="passage_id")
    by_kind = {
        kind: dict(sorted(of_kind["language"].value_counts().iter_rows()))
        for (kind,), of_kind in sorted(spoken.group_by("kind"))
    }
    tokens = replies.prompt_tokens + replies.completion_tokens
    return {
        "model": model.identity,
        "passages": passages.height,
        "passages_without_answer": len(replies.failed),
        **_cost(replies),
        "queries": by_kind,
        "tokens_per_kept_query": round(tokens / kept.height, 1) if kept.height else None,
    }


def _cost(replies: Replies[Any]) -> dict[str, int]:
    """Return what the answers cost when they were asked, whether that was in this run or not."""
    return {
        "answers": replies.answers,
        "malformed": replies.malformed,
        "prompt_tokens": replies.prompt_tokens,
        "completion_tokens": replies.completion_tokens,
    }
