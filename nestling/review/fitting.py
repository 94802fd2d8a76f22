"""Which answers still meet what they were given on, and why the others do not.

An answer is on words and passages, whatever the record was called. Where the query, the passage or the pair is gone
from the set, the answer applies to nothing: it is counted here, by question and cause.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from nestling.review.answers import all_records
from nestling.review.apply import marked_passages, passage_votes
from nestling.tables.review import QUESTIONS

CAUSES = ("record_unknown", "query_gone", "passages_gone", "pair_gone")


@dataclass(frozen=True)
class Present:
    """What there is now.

    Attributes:
        queries: text, passage_id (the query's own).
        passages: passage_id, of the whole corpus.
        pairs: pair_id.
    """

    queries: pl.DataFrame
    passages: pl.DataFrame
    pairs: pl.DataFrame


@dataclass(frozen=True)
class Judgements:
    """What people said.

    Attributes:
        answers: the last word of each, Answer rows, with the `cause` why they no longer fit, as `fitted` gives it.
        records: record_id, query, passage_id, candidates of all that were ever shown; those of now first.
        passages_lost: judgements of single passages that no longer fit.
        present: what there is now.
    """

    answers: pl.DataFrame
    records: pl.DataFrame
    passages_lost: int
    present: Present

    @property
    def fitting(self) -> pl.DataFrame:
        """Answers that apply to something."""
        return self.answers.filter(pl.col("cause").is_null())


def gathered(answers: pl.DataFrame, records: pl.DataFrame, earlier: pl.DataFrame, present: Present) -> Judgements:
    """Return what people said of the records of now and of those of earlier rounds as they were shown."""
    shown = all_records(records, earlier, present.queries["text"])
    lost = judgements_that_no_longer_fit(answers, shown, present)
    return Judgements(fitted(answers, shown, present), shown, lost, present)


def fitted(answers: pl.DataFrame, records: pl.DataFrame, present: Present) -> pl.DataFrame:
    """Return the answers with `cause`, null where they fit.

    A quality or a rewrite fits where its query stands with the same own passage; marks where the query stands and at
    least one of the passages shown is in the corpus; a grade where its pair stands; a comment if its record is known.

    Args:
        answers: Answer rows.
        records: record_id, query, passage_id, candidates: all that were ever shown, as far as is known.
        present: what there is now.
    """
    contents = records.select("record_id", "query", "passage_id").join(_shown(records, present), on="record_id")
    pairs = present.pairs.select(record_id="pair_id", paired=pl.lit(True))
    texts = present.queries.select(query="text", asked=pl.lit(True)).unique()
    own = present.queries.select("passage_id", query="text", own=pl.lit(True)).unique()
    known = answers.join(contents, on="record_id", how="left", maintain_order="left")
    for there, keys in ((pairs, ["record_id"]), (texts, ["query"]), (own, ["query", "passage_id"])):
        known = known.join(there, on=keys, how="left", maintain_order="left")
    unknown, graded, marked, commented = (
        pl.col("query").is_null(),
        *(pl.col("question") == name for name in ("similarity", "relevant", "comment")),
    )
    fits = (
        pl.when(graded | (commented & unknown)).then("paired").when(commented).then(True)
        .when(marked).then(pl.col("asked") & pl.col("shown")).otherwise("own")
    )  # fmt: skip
    cause = (
        pl.when(graded).then(pl.lit("pair_gone"))
        .when(unknown).then(pl.lit("record_unknown"))
        .when(marked & pl.col("asked").is_not_null()).then(pl.lit("passages_gone"))
        .otherwise(pl.lit("query_gone"))
    )  # fmt: skip
    return known.select(*answers.columns, cause=pl.when(~fits.fill_null(False)).then(cause))


def _shown(records: pl.DataFrame, present: Present) -> pl.DataFrame:
    """Return record_id and `shown`, true where a passage that the record shows is in the corpus, else null."""
    each = records.select("record_id", passage_id=pl.concat_list("passage_id", "candidates")).explode("passage_id")
    there = each.join(present.passages.select("passage_id"), on="passage_id", how="semi").select("record_id").unique()
    return records.select("record_id").join(there.with_columns(shown=pl.lit(True)), on="record_id", how="left")


def judgements_that_no_longer_fit(answers: pl.DataFrame, records: pl.DataFrame, present: Present) -> int:
    """Return how many judgements of a passage meet nothing: query or passage is gone, or the record never showed it.

    Arguments as of `fitted`; answers to unknown records are left aside, for what they showed is unknown too.
    """
    votes = passage_votes(answers, records)
    standing = votes.join(present.queries, left_on="query", right_on="text", how="semi").join(
        present.passages, on="passage_id", how="semi"
    )
    marks = (
        marked_passages(answers).join(records, on="record_id", how="semi").with_columns(pl.col("value").list.unique())
    )
    never_shown = (
        marks.explode("value")
        .drop_nulls("value")
        .join(votes.select("record_id", value="passage_id"), on=["record_id", "value"], how="anti")
    )
    return votes.height - standing.height + never_shown.height


def no_longer_fit(said: Judgements) -> dict[str, Any]:
    """Return how many answers fit nothing, in all, by question and by cause, and how many judgements of a passage."""
    lost = said.answers.drop_nulls("cause")
    by_question, by_cause = (dict(lost[name].value_counts().iter_rows()) for name in ("question", "cause"))
    return {
        "answers": lost.height,
        **{question: by_question.get(question, 0) for question in QUESTIONS},
        "causes": {cause: by_cause.get(cause, 0) for cause in CAUSES},
        "passages_judged": said.passages_lost,
    }
