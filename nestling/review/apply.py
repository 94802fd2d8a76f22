"""Apply what people said: bad queries out, better wordings in, false negatives made positives, others certified.

Judgements are carried by what was judged, the words of the query and the passages, not by a record's name, so that
they hold in every round in which the same query meets the same passage. Where a referee spoke, referees alone count.
What one person alone said with a machine's answer before their eyes is unconfirmed and changes no label: people follow
what is selected, and a click on a wrong passage would make a positive of it.
"""

import json

import polars as pl

from nestling.corpus.cleaning import one_line
from nestling.corpus.ids import content_id
from nestling.review.agreement import passage_units
from nestling.review.answers import majority

_MATTER = ["query", "passage_id"]
_GOOD = "good"
_SIDES = (("yes", pl.col("people") - pl.col("yes")), ("own_yes", "own_no"))  # who agrees, by what most say


def quality(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, passage_id, `quality` and `confirmed`.

    The quality is good or the bad word that most used; null for a tie of good and bad.
    """
    said = deciding(latest(asked(answers, records, "query_quality"), _MATTER), _MATTER)
    votes = said.group_by(_MATTER, maintain_order=True).agg("value", "suggested")
    told = [[json.loads(vote) for vote in row] for row in votes["value"].to_list()]
    words = [_word(row) for row in told]
    # good against bad: the word for a bad query may differ
    sides = [[(vote == _GOOD) == (word == _GOOD) for vote in row] for row, word in zip(told, words, strict=True)]
    sure = [_confirmed(side, primed) for side, primed in zip(sides, votes["suggested"].to_list(), strict=True)]
    return votes.select(
        *_MATTER, quality=pl.Series(words, dtype=pl.String), confirmed=pl.Series(sure, dtype=pl.Boolean)
    )


def _confirmed(agrees: list[bool], primed: list[bool]) -> bool:
    """Return whether two people or more say so, or one whom no machine's answer was shown."""
    return sum(agrees) > 1 or any(one and not shown for one, shown in zip(agrees, primed, strict=True))


def _word(votes: list[str]) -> str | None:
    """Return what the votes come to: good against bad first, then which bad word, the first by alphabet of several."""
    bad = sorted(vote for vote in votes if vote != _GOOD)
    if 2 * len(bad) == len(votes):
        return None
    return max(dict.fromkeys(bad), key=bad.count) if 2 * len(bad) > len(votes) else _GOOD


def rewrites(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, passage_id and `rewrite`, the wording that most proposed; null for a tie.

    A wording is asked for where the majority calls the query bad, or where at least half of those who judged its
    quality propose one. A referee's word on the quality or the wording silences the annotators' proposals. Blanks and
    the query's own words propose nothing.
    """
    said = [latest(asked(answers, records, question), _MATTER) for question in ("query_quality", "rewrite")]
    told = deciding(pl.concat(said), _MATTER)
    words = [one_line(json.loads(word)) for word in told["value"].to_list()]
    judges, word = pl.col("question") == "query_quality", pl.col("word")
    proposes = ~judges & (word != "") & (word != pl.col("query"))
    marked = told.with_columns(word=pl.Series(words, dtype=pl.String)).with_columns(
        bad=judges & (word != _GOOD),
        proposes=proposes,
        betters=proposes.any().over(*_MATTER, "annotator"),
    )
    bad, better, people = (which.sum().over(_MATTER) for which in (pl.col("bad"), judges & pl.col("betters"), judges))
    asked_for = marked.filter((2 * bad > people) | (2 * better >= people)).filter("proposes")
    votes = asked_for.group_by(_MATTER, maintain_order=True).agg("word")
    wordings = pl.Series([majority(row) for row in votes["word"].to_list()], dtype=pl.String)
    return votes.select(*_MATTER, rewrite=wordings)


def asked(answers: pl.DataFrame, records: pl.DataFrame, question: str) -> pl.DataFrame:
    """Return the answers to a question, with the query and its own passage_id that each record shows."""
    contents = records.select("record_id", "query", "passage_id")
    return answers.filter(pl.col("question") == question).join(contents, on="record_id", maintain_order="left")


def marked_passages(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the answers on passages, `value` as the list of those that were marked."""
    marks = answers.filter(pl.col("question") == "relevant")
    return marks.with_columns(pl.col("value").str.json_decode(pl.List(pl.String)))


def passage_votes(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return what each person said (0 or 1) of each passage shown: the query's own and the candidates."""
    shown = records.select("record_id", candidates=pl.concat_list("passage_id", "candidates"))
    votes = passage_units(marked_passages(answers), shown).rename({"unit_id": "passage_id"})
    return votes.join(records.select("record_id", "query"), on="record_id", maintain_order="left")


def latest(said: pl.DataFrame, matter: list[str]) -> pl.DataFrame:
    """Return each person's last word on a matter, which may have stood in several records."""
    ordered = said.sort("submitted_at", "round", maintain_order=True)
    last = ordered.unique([*matter, "annotator", "referee"], keep="last", maintain_order=True)
    return last.sort(*matter, "annotator", "referee")


def deciding(said: pl.DataFrame, matter: list[str]) -> pl.DataFrame:
    """Return the words that count: referees' alone where one spoke on the matter."""
    return said.filter(pl.col("referee") | ~pl.col("referee").any().over(matter))


def _outcome(votes: pl.DataFrame, matter: list[str]) -> pl.DataFrame:
    yes = pl.col("value").cast(pl.Boolean)
    counted = (
        deciding(votes, matter)
        .group_by(matter)
        .agg(
            yes=yes.sum().cast(pl.Int64),
            people=pl.len().cast(pl.Int64),
            own_yes=(yes & ~pl.col("suggested")).sum(),
            own_no=(~yes & ~pl.col("suggested")).sum(),
        )
    )
    relevant = pl.when(2 * pl.col("yes") != pl.col("people")).then(2 * pl.col("yes") > pl.col("people"))
    agree, own = (pl.when("relevant").then(left).otherwise(right) for left, right in _SIDES)
    return (
        counted.with_columns(relevant=relevant)
        .select(*matter, "relevant", confirmed=(agree > 1) | (own > 0))
        .sort(matter)
    )


def relevance(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return record_id, passage_id and `relevant`, the majority's word on every passage shown; null for a tie."""
    return _outcome(passage_votes(answers, records), ["record_id", "passage_id"]).drop("confirmed")


def judged_passages(answers: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return query, passage_id, `relevant` (null for a tie) and `confirmed`, for every passage that people judged."""
    matter = ["query", "passage_id"]
    return _outcome(latest(passage_votes(answers, records), matter), matter)


def apply_quality(
    queries: pl.DataFrame, judged: pl.DataFrame, reworded: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the queries to go on with, some in a better wording, and those left out with their `reason`.

    A better wording saves a query that was judged bad; one that its passage has already is a duplicate. Ties and what
    is unconfirmed change nothing.

    Args:
        queries: query_id, text, passage_id and more.
        judged: as `quality` gives it.
        reworded: as `rewrites` gives it.
    """
    keys = {"left_on": ["text", "passage_id"], "right_on": ["query", "passage_id"]}
    told = queries.join(judged, how="left", maintain_order="left", **keys)  # type: ignore[arg-type]
    told = told.join(reworded, how="left", maintain_order="left", **keys)  # type: ignore[arg-type]
    better = (pl.col("rewrite").str.len_chars() > 0) & (pl.col("rewrite") != pl.col("text"))
    marked = told.with_columns(better=better.fill_null(False), old_id="query_id")
    said_bad = pl.col("quality").is_in(["vague", "not_answerable", "wrong_language"]) & pl.col("confirmed")
    bad = said_bad.fill_null(False) & ~pl.col("better")
    kept = (
        marked.filter(~bad)
        .with_columns(
            rewritten_from=pl.when("better").then("text"), text=pl.when("better").then("rewrite").otherwise("text")
        )
        .sort("better", maintain_order=True)  # of two with the same words the older stays
        .with_columns(first=pl.struct("text", "passage_id").is_first_distinct())
    )
    named = kept.select("better", "query_id", "text", "passage_id").iter_rows()
    names = [content_id(text, passage) if better else old for better, old, text, passage in named]
    kept = kept.with_columns(query_id=pl.Series(names, dtype=pl.String))
    left_out = pl.concat(
        [
            frame.select(pl.col("old_id").alias("query_id"), "text", "passage_id", reason=pl.lit(reason))
            for frame, reason in ((marked.filter(bad), "quality"), (kept.filter(~pl.col("first")), "duplicate"))
        ]
    )
    return kept.filter("first").drop("quality", "confirmed", "rewrite", "better", "first"), left_out


def apply_relevance(
    queries: pl.DataFrame, hits: pl.DataFrame, judged: pl.DataFrame, held_out: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return positives (query_id, passage_id, source) and negatives (query_id, rank, passage_id, score, certified).

    A passage judged to answer becomes a positive and no negative; one on which people tie, or that one person alone
    marked beside a machine's suggestion, becomes neither. A query's own passage that is judged not to answer is no
    positive; a query may thereby lose all of them. A hit that is judged not to answer is a certified negative,
    whatever the miner made of it; but a held-out passage never becomes one of a training query.

    Args:
        queries: query_id, old_id, text, passage_id, rewritten_from, split.
        hits: Candidate rows (query_id as mined, hence old_id).
        judged: as `judged_passages` gives it.
        held_out: passage_id of the passages that are not of the training split.
    """
    asked = queries.select("query_id", "old_id", "passage_id", "split", query=pl.coalesce("rewritten_from", "text"))
    said = judged.join(asked.select("query", "query_id"), on="query", maintain_order="left").select(
        "query_id", "passage_id", "relevant", "confirmed", said=True
    )
    yes, no = (pl.col("confirmed") & word for word in (pl.col("relevant"), ~pl.col("relevant")))
    own = asked.select("query_id", "passage_id").join(
        said, on=["query_id", "passage_id"], how="left", maintain_order="left"
    )
    stays = own.filter(~no.fill_null(False)).select("query_id", "passage_id", source=pl.lit("own"))
    found = said.filter(yes).join(stays, on=["query_id", "passage_id"], how="anti")
    positives = pl.concat([stays, found.select("query_id", "passage_id", source=pl.lit("judged"))])
    told = (
        hits.rename({"query_id": "old_id"})
        .join(asked.select("query_id", "old_id", "split"), on="old_id", maintain_order="left")
        .join(said, on=["query_id", "passage_id"], how="left", maintain_order="left")
        .join(held_out.select("passage_id", out=True), on="passage_id", how="left", maintain_order="left")
    )
    allowed = (pl.col("split") != "train") | pl.col("out").is_null()
    stands = (pl.col("verdict") == "negative") & (pl.col("said").is_null() | ~pl.col("relevant")).fill_null(False)
    marked = told.with_columns(certified=(no & allowed).fill_null(False))
    return positives, marked.filter(stands | pl.col("certified")).select(
        "query_id", "rank", "passage_id", "score", "certified"
    )


def add_labelled(
    positives: pl.DataFrame, queries: pl.DataFrame, labelled: pl.DataFrame, judged: pl.DataFrame
) -> pl.DataFrame:
    """Return the positives with the queries' other labelled ones, but for those that are judged not to answer.

    A record shows the best of the passages that a query comes with; the others stand until somebody judges them.

    Args:
        positives: as `apply_relevance` gives them.
        queries: query_id, old_id, passage_id, text, rewritten_from.
        labelled: query_id (as mined, hence old_id), passage_id.
        judged: as `judged_passages` gives it.
    """
    asked = queries.select("query_id", "old_id", own="passage_id", query=pl.coalesce("rewritten_from", "text"))
    refused = judged.filter(pl.col("confirmed") & ~pl.col("relevant"))
    others = (
        labelled.select("passage_id", old_id="query_id")
        .join(asked, on="old_id", maintain_order="left")
        .filter(pl.col("passage_id") != pl.col("own"))
        .join(refused, on=["query", "passage_id"], how="anti", maintain_order="left")
        .join(positives, on=["query_id", "passage_id"], how="anti", maintain_order="left")
    )
    return pl.concat([positives, others.select("query_id", "passage_id", source=pl.lit("own"))])


def apply_similarity(pairs: pl.DataFrame, answers: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the pairs with people's mean grade (0 to 5, brought to 0 to 1) if there is one, and how many changed."""
    grades = (
        deciding(answers.filter(pl.col("question") == "similarity"), ["record_id"])
        .with_columns(grade=pl.col("value").cast(pl.Float64))
        .group_by("record_id", maintain_order=True)
        .agg(pl.col("grade").mean() / 5)
    )
    told = pairs.join(grades, left_on="pair_id", right_on="record_id", how="left", maintain_order="left")
    changed = told.filter(pl.col("grade").is_not_null()).height
    return told.with_columns(score=pl.coalesce("grade", "score")).drop("grade"), changed
