"""On what do annotators differ, and has a referee settled it? The list from which adjudication is pushed.

People differ on a query's quality in words, on a passage in whether it answers, on a sentence pair by two grades or
more. What they differ on is a query with its passage, wherever it was shown, under the name of a record that shows it.
Referees who tie settle nothing.
"""

import polars as pl

from nestling.review.apply import asked, judged_passages, latest, passage_votes, quality
from nestling.tables.io import empty
from nestling.tables.review import DISPUTABLE, Disagreement

FAR = 2  # grades


def disagreements(answers: pl.DataFrame, records: pl.DataFrame, passages: pl.DataFrame) -> pl.DataFrame:
    """Return the table Disagreement, sorted.

    Args:
        answers: Answer rows, of queries, passages and pairs that there still are.
        records: record_id, query, passage_id, candidates; of several that show the same, the first gives its name.
        passages: passage_id, of the whole corpus; what people said of others is past.
    """
    own = ["query", "passage_id"]
    judged = latest(asked(answers, records, "query_quality"), own)
    votes = passage_votes(answers, records).join(passages, on="passage_id", how="semi", maintain_order="left")
    yes = pl.when(pl.col("value") == 1).then(pl.lit("true")).otherwise(pl.lit("false"))
    marked = latest(votes, own).with_columns(value=yes)
    graded = answers.filter(pl.col("question") == "similarity")
    grade = pl.col("value").cast(pl.Float64)
    shown = records.select("record_id", "query", passage_id=pl.concat_list("passage_id", "candidates"))
    differ = pl.col("value").n_unique() > 1
    refereed = answers.filter("referee")
    good, answering = quality(refereed, records), judged_passages(refereed, records)
    quarrels = _split(judged, own, differ, good.drop_nulls("quality"))
    passages_apart = _split(marked, own, differ, answering.drop_nulls("relevant"))
    grades_apart = _split(graded, ["record_id"], grade.max() - grade.min() >= FAR, graded.filter("referee"))
    tables = (
        _named(quarrels, records, "query_quality").with_columns(passage_id=None),
        _named(passages_apart, shown.explode("passage_id"), "relevant"),
        grades_apart.with_columns(question=pl.lit("similarity"), passage_id=None),
    )
    schema = empty(Disagreement).schema
    found = pl.concat([table.select(schema.names()).cast(schema) for table in tables])
    return found.sort("record_id", "question", "passage_id")


def _split(said: pl.DataFrame, matter: list[str], apart: pl.Expr, settled: pl.DataFrame) -> pl.DataFrame:
    """Return the matters on which annotators are `apart`, with their votes and whether they are among the settled."""
    votes = pl.struct("annotator", "value")
    theirs = said.filter(~pl.col("referee")).sort(*matter, "annotator").group_by(matter, maintain_order=True)
    differing = theirs.agg(votes=votes, apart=apart).filter("apart")
    told = settled.select(*matter, settled=pl.lit(True)).unique()
    return differing.join(told, on=matter, how="left").with_columns(pl.col("settled").fill_null(False))


def _named(split: pl.DataFrame, shown: pl.DataFrame, question: str) -> pl.DataFrame:
    first = shown.select("record_id", "query", "passage_id").unique(
        ["query", "passage_id"], keep="first", maintain_order=True
    )
    return split.join(first, on=["query", "passage_id"]).with_columns(question=pl.lit(question))


def open_and_settled(found: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return, by question, how many disagreements are open and how many settled."""
    questions = found["question"].cast(pl.String)
    counts = {}
    for question in DISPUTABLE:
        settled = found.filter(questions == question)["settled"]
        counts[question] = {"open": int((~settled).sum()), "settled": int(settled.sum())}
    return counts
