"""What a corpus becomes: passages, graded sentence pairs, evaluation suites, and the rows that were left out."""

import dataframely as dy
import polars as pl

SPLITS = ("train", "dev", "test")


class Document(dy.Schema):
    """A text as it was brought, before cleaning; `document_id` is the owner's."""

    document_id = dy.String(primary_key=True, min_length=1)
    title = dy.String()
    text = dy.String()
    language = dy.String(nullable=True)  # ISO 639-1 as its owner declared it; null where unsaid
    licence = dy.String(nullable=True)
    source = dy.String()  # file within the set


class Passage(dy.Schema):
    """A retrievable text: one or more sentences of a document, short enough for an encoder."""

    passage_id = dy.String(primary_key=True, regex=r"^[0-9a-f]{20}$")  # hash of the text
    document_id = dy.String()
    title = dy.String()
    text = dy.String(min_length=1)
    start = dy.UInt32()  # characters into the cleaned document
    end = dy.UInt32()
    language = dy.String()
    licence = dy.String(nullable=True)
    group_id = dy.String()  # documents that share a text, or nearly, stand in one group, hence in one split
    split = dy.Enum(SPLITS)

    @dy.rule()
    def span_is_not_empty(cls) -> pl.Expr:
        return cls.start.col < cls.end.col


class NearDuplicate(dy.Schema):
    """A passage that others repeat in nearly all their words: another text, with answers of its own, but no negative.

    Passages that no other repeats have no row.
    """

    passage_id = dy.String(primary_key=True)
    near_id = dy.String()  # the same for all that are linked: the smallest of their passage ids


class Place(dy.Schema):
    """A passage that holds a document's text, the document's own or, where that was a copy, the one that was kept."""

    document_id = dy.String(primary_key=True)
    passage_id = dy.String(primary_key=True)


class RecordedQuery(dy.Schema):
    """A query that existed before (search log, FAQ, earlier round) and a document that answers it."""

    query_id = dy.String(primary_key=True)
    document_id = dy.String(primary_key=True)
    text = dy.String(min_length=1)


class SplitQuery(RecordedQuery):
    """A recorded query and the last of train, dev and test that it ever named a document of."""

    split = dy.Enum(SPLITS)


class SentencePair(dy.Schema):
    """Two sentences and how similar people find them, from 0 to 1."""

    pair_id = dy.String(primary_key=True, regex=r"^[0-9a-f]{20}$")
    sentence1 = dy.String(min_length=1)
    sentence2 = dy.String(min_length=1)
    score = dy.Float64(min=0.0, max=1.0)
    split = dy.Enum(SPLITS)


class Rejected(dy.Schema):
    """A row that was left out, and why; nothing vanishes."""

    item = dy.String()  # document, passage, query, pair, line ...
    item_id = dy.String()
    reason = dy.String()
    detail = dy.String()
    text = dy.String()  # its beginning


class SuiteDocument(dy.Schema):
    """A passage of what an evaluation suite searches; a document scores as its best passage."""

    suite = dy.String(primary_key=True)
    document_id = dy.String(primary_key=True)
    part = dy.UInt32(primary_key=True)
    text = dy.String(min_length=1)
    own = dy.Bool()  # the suite brought this text itself, so it must not be trained on


class SuiteQuery(dy.Schema):
    """A held-out query of an evaluation suite."""

    suite = dy.String(primary_key=True)
    query_id = dy.String(primary_key=True)
    text = dy.String(min_length=1)


class SuiteQrel(dy.Schema):
    """A document that somebody judged for a suite's query: how well it answers (1 and up), or 0 where it does not."""

    suite = dy.String(primary_key=True)
    query_id = dy.String(primary_key=True)
    document_id = dy.String(primary_key=True)
    relevance = dy.Int32(min=0)


class SuitePair(dy.Schema):
    """A held-out sentence pair; `score` from 0 to 1."""

    suite = dy.String(primary_key=True)
    pair_id = dy.String(primary_key=True)
    sentence1 = dy.String(min_length=1)
    sentence2 = dy.String(min_length=1)
    score = dy.Float64(min=0.0, max=1.0)
