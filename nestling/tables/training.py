"""What the trainer reads: one row a positive for retrieval, one row a pair for STS."""

import dataframely as dy


class RetrievalRow(dy.Schema):
    """A query, a passage that answers it, and hard negatives, as many as there are."""

    query_id = dy.String(primary_key=True)
    positive_id = dy.String(primary_key=True)
    copy = dy.UInt32(primary_key=True)  # 0, and up where the set was repeated to match the other's size
    origin = dy.String()  # of the query
    anchor = dy.String(min_length=1)
    positive = dy.String(min_length=1)
    negatives = dy.List(dy.String())
    negative_ids = dy.List(dy.String())
    answer_ids = dy.List(dy.String())  # passages that may answer the query, and are no negatives of it in any batch


class StsRow(dy.Schema):
    """A sentence pair; `score` from 0 to 1."""

    pair_id = dy.String(primary_key=True)
    copy = dy.UInt32(primary_key=True)
    sentence1 = dy.String(min_length=1)
    sentence2 = dy.String(min_length=1)
    score = dy.Float64(min=0.0, max=1.0)


class Leak(dy.Schema):
    """A training text that stands in an evaluation suite, exactly or nearly."""

    suite = dy.String()
    eval_item = dy.String()  # query, document or pair
    eval_id = dy.String()
    train_item = dy.String()
    train_id = dy.String()
    similarity = dy.Float64()
    eval_text = dy.String()
    train_text = dy.String()
    train_origin = dy.String()  # of a query its own (recorded, llm, extractive), else document or pair
    coincidence = dy.Bool()  # a program or an LLM wrote the text: it goes out, and the build goes on
