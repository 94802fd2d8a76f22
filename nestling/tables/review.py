"""What people are asked, what they answered, and what was made of it."""

import dataframely as dy
import polars as pl

PURPOSES = ("audit", "active")
QUESTIONS = ("query_quality", "relevant", "rewrite", "comment", "similarity")
DISPUTABLE = ("query_quality", "relevant", "similarity")
QUALITIES = ("good", "vague", "not_answerable", "wrong_language")


class ReviewRecord(dy.Schema):
    """One query as people would judge it: its passage and the candidates beside it, in rank order."""

    record_id = dy.String(primary_key=True, regex=r"^[0-9a-f]{20}$")  # hash of query, positive and candidates
    query_id = dy.String()
    query = dy.String()
    origin = dy.String()
    passage_id = dy.String()
    candidates = dy.List(dy.String())  # passage ids
    mined = dy.List(dy.Bool())  # which of them are used as negatives
    margin = dy.Float32(nullable=True)  # positive's score less the nearest candidate's; null without candidates
    rank = dy.UInt32()  # of the query's own passage at the round trip
    stratum = dy.String()  # of the audit sample


class QueueItem(dy.Schema):
    """What people should look at next, and why; rows lie by record_id, `position` is the queue's order."""

    record_id = dy.String(primary_key=True)
    position = dy.UInt32(min=1)  # 1 first
    purpose = dy.Enum(PURPOSES)
    why = dy.String()
    query_id = dy.String()
    query = dy.String()
    kind = dy.String()
    language = dy.String()
    origin = dy.String()
    passage_id = dy.String()
    passage = dy.String()
    rank = dy.UInt32()  # of the query's own passage at the round trip
    positive_score = dy.Float32()  # its own passage's
    margin = dy.Float32(nullable=True)  # as in ReviewRecord
    stratum = dy.String()
    candidates = dy.List(
        dy.Struct({"passage_id": dy.String(), "text": dy.String(), "score": dy.Float32(), "verdict": dy.String()})
    )


class PairItem(dy.Schema):
    """A sentence pair whose grade and the encoder disagree; people grade it from 0 to 5."""

    record_id = dy.String(primary_key=True)
    position = dy.UInt32()
    why = dy.String()
    sentence1 = dy.String()
    sentence2 = dy.String()
    score = dy.Float64()
    cosine = dy.Float32()


class Answer(dy.Schema):
    """The last word of one person on one question of one record; `value` is JSON."""

    record_id = dy.String(primary_key=True)
    question = dy.String(primary_key=True)
    annotator = dy.String(primary_key=True)
    referee = dy.Bool(primary_key=True)  # said to settle what others disagreed on
    suggested = dy.Bool()  # a machine's suggestion for the question was shown to the person
    value = dy.String()
    submitted_at = dy.String()
    round = dy.String()


class Disagreement(dy.Schema):
    """What annotators said differently of one thing, and whether a referee has settled it.

    One row a query (query_quality), a passage of a query (relevant) or a sentence pair (similarity), under the name of
    a record that shows it.
    """

    record_id = dy.String()
    question = dy.Enum(DISPUTABLE)
    passage_id = dy.String(nullable=True)  # of relevant alone
    votes = dy.List(dy.Struct({"annotator": dy.String(), "value": dy.String()}))  # value is JSON; true: it answers
    settled = dy.Bool()

    @dy.rule()
    def a_thing_is_listed_once(cls) -> pl.Expr:
        return pl.struct("record_id", "question", "passage_id").is_unique()


class CuratedQuery(dy.Schema):
    """A query after people had their say."""

    query_id = dy.String(primary_key=True, regex=r"^[0-9a-f]{20}$")
    text = dy.String(min_length=1)
    origin = dy.String()
    kind = dy.String()
    language = dy.String()
    split = dy.Enum(("train", "dev", "test"))
    rewritten_from = dy.String(nullable=True)  # the wording before somebody bettered it


class Positive(dy.Schema):
    """A passage that answers a query."""

    query_id = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)
    source = dy.Enum(("own", "judged"))  # judged: people found it among the candidates


class Negative(dy.Schema):
    """A hard negative that stood the judgement, nearest first; training takes the certified ones before all others."""

    query_id = dy.String(primary_key=True)
    rank = dy.UInt32(primary_key=True)
    passage_id = dy.String()
    score = dy.Float32()
    certified = dy.Bool()  # people found that it does not answer
