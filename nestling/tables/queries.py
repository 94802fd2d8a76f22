"""Queries on their way: as generated, and as the round trip left them."""

import dataframely as dy

from nestling.tables.corpus import SPLITS


class Query(dy.Schema):
    """A query and where it came from."""

    query_id = dy.String(primary_key=True, regex=r"^[0-9a-f]{20}$")
    text = dy.String(min_length=1)
    origin = dy.String()  # recorded, extractive, or the LLM backend
    kind = dy.String()  # recorded, keywords, cloze, title, question ...
    language = dy.String()
    split = dy.Enum(SPLITS)


class Answerable(dy.Schema):
    """A passage that may be the query's own: one where it was made from a passage, all of a document that it names."""

    query_id = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)
    document_id = dy.String(primary_key=True)  # that the query names; of one made from a passage, the passage's
    origin = dy.String()  # of who says so; recorded where a person and a model ask the same


class Judged(dy.Schema):
    """A query as an LLM graded it beside the passage that it was written for, from 0 to 4."""

    text = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)
    answerable = dy.UInt8(max=4)  # from the passage alone
    specific = dy.UInt8(max=4)
    fluent = dy.UInt8(max=4)
    language = dy.UInt8(max=4)  # in the passage's
    judge_score = dy.Float64(min=0.0, max=1.0)  # geometric mean of the grades
    judge = dy.String()  # identity of the model


class FoundQuery(Query):
    """A query whose own passage the current encoder found."""

    passage_id = dy.String()  # its own passage; of several, the one that ranks first
    rank = dy.UInt32(min=1)  # 1 is first among all passages of the set
    score = dy.Float32()
    copied = dy.Float64(min=0.0, max=1.0)  # share of the query's words that stand in the passage in that order


class FoundPositive(dy.Schema):
    """A labelled positive of a query: of each document that it names the passage that ranks first."""

    query_id = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)
    document_id = dy.String()  # that the query names
    rank = dy.UInt32(min=1)  # 1 is first among all passages of the set
    score = dy.Float32()
    copied = dy.Float64(min=0.0, max=1.0)  # as in FoundQuery


class LostQuery(dy.Schema):
    """A query, or one positive of a query that stays, that the round trip left out."""

    query_id = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)
    text = dy.String()
    rank = dy.UInt32()
    score = dy.Float32()
    copied = dy.Float64()
    reason = dy.String()
