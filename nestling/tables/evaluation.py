"""Scores a query at a time, so that two models or two data versions can be compared honestly."""

import dataframely as dy


class QueryScore(dy.Schema):
    """One metric of one system on one query."""

    suite = dy.String(primary_key=True)
    system = dy.String(primary_key=True)  # bm25, base, tuned
    dim = dy.UInt32(primary_key=True)  # 0 for bm25
    query_id = dy.String(primary_key=True)
    metric = dy.String(primary_key=True)
    value = dy.Float64(min=0.0, max=1.0)


class PairScore(dy.Schema):
    """The cosine that one system gives one pair of an STS suite."""

    suite = dy.String(primary_key=True)
    system = dy.String(primary_key=True)
    dim = dy.UInt32(primary_key=True)
    pair_id = dy.String(primary_key=True)
    cosine = dy.Float64(min=-1.0001, max=1.0001)
    score = dy.Float64()
