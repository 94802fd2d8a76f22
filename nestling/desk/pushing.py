"""From the queue that `select` wrote to the desk where people judge."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl

from nestling.desk.interface import Pile, Pushed
from nestling.desk.opening import opened
from nestling.desk.rounds import check_round
from nestling.desk.settings import ArgillaParams, ReviewParams
from nestling.desk.tasks import pair_tasks, retrieval_tasks
from nestling.errors import UserError
from nestling.retrieval.embeddings import EncodeParams, Encoder, shrink
from nestling.review.answers import read_answers, read_shown_records, under_names_of_now, unprimed
from nestling.review.people import CONFIRMING, done
from nestling.review.population import CUT_OUT
from nestling.tables.io import read_table
from nestling.tables.queries import Judged
from nestling.tables.review import PairItem, QueueItem

RETRIEVAL, STS = Path("data/queue/retrieval.parquet"), Path("data/queue/sts.parquet")
JUDGED, ANNOTATIONS = Path("data/generated/judged.parquet"), Path("data/annotations")


class PushParams(ReviewParams, section="review", shared=("current", "people", "encode")):
    """What a push reads: to find similar queries it encodes them."""

    current: str
    encode: EncodeParams


def push(params: PushParams) -> list[Pushed]:
    """Send the queue out, and say what was there and what is new.

    Raises:
        UserError: there is no queue, or the desk does not take it.
    """
    piles = queue_piles(params)
    cut_out = any(task.metadata.get("origin") == CUT_OUT for pile in piles for task in pile.tasks)
    with opened(params, cut_out) as desk:
        return desk.push(check_round(params.round), piles)


def queue_piles(params: PushParams) -> list[Pile]:
    """Return the queue as piles of tasks.

    Raises:
        UserError: answers are suggested where one person alone judges, which would change nothing.
    """
    for purpose in params.suggest:
        if getattr(params.people, purpose) < CONFIRMING:
            raise UserError(
                f"review.suggest pre-selects answers of the pile {purpose}, and shared.people.{purpose} asks one "
                "person: what one person alone says beside a suggestion changes nothing. Ask two, or suggest nothing"
            )
    queue, pairs = read_table(RETRIEVAL, QueueItem), read_table(STS, PairItem)
    version = data_version(RETRIEVAL, STS)
    tasks = retrieval_tasks(
        queue, read_table(JUDGED, Judged), params.suggest, query_vectors(queue["query"], params), version
    )
    shown = queue.with_columns(pl.col("candidates").list.eval(pl.element().struct.field("passage_id")))
    said = under_names_of_now(read_answers(ANNOTATIONS)[0], shown, read_shown_records(ANNOTATIONS))
    judged = judged_before(said, params.round, params.people.audit)
    return [
        Pile("audit", params.people.audit, [task for task in tasks["audit"] if task.record_id not in judged]),
        Pile("active", params.people.active, tasks["active"]),
        Pile("sts", params.people.sts, pair_tasks(pairs, query_vectors(pairs["sentence1"], params), version)),
    ]


def judged_before(answers: pl.DataFrame, round_name: str, people: int) -> set[str]:
    """Return the records that so many people, or a referee, have judged unprompted in other rounds.

    The audit is the same sample in every round until queries or encoder change.
    """
    return set(done(unprimed(answers.filter(pl.col("round") != round_name)), people))


def query_vectors(texts: pl.Series, params: PushParams) -> np.ndarray | None:
    """Return [texts, dims] the first numbers of the current encoder's vectors; None where the desk wants none."""
    dims = params.desk.vector_dims if isinstance(params.desk, ArgillaParams) else 0
    if not dims or texts.is_empty():
        return None
    encoder = Encoder(params.current, params.encode)
    vectors = encoder.encode(texts.to_list(), "query")
    return shrink(vectors.block(0, len(vectors)), min(dims, encoder.dims))


def data_version(*files: Path) -> str:
    """Return eight digits that name the bytes of files."""
    digest = hashlib.blake2b(digest_size=4)
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
