"""What a set brings besides documents: recorded queries, graded sentence pairs, evaluation suites.

Suites keep whole documents here; they are cut into passages elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from nestling.corpus.beir import (
    Qrel,
    Query,
    check_known,
    corpus_of,
    distinct_queries,
    one_of,
    queries_of,
    read_qrels,
    read_queries,
)
from nestling.corpus.pairs import normalise_scores, pairs_frame, read_pairs
from nestling.corpus.rejects import Reject, rejects_frame
from nestling.corpus.rows import MAX_ROW, read_jsonl
from nestling.corpus.settings import Settings, read_settings
from nestling.corpus.sources import Raw, distinct, documents_frame, row_documents
from nestling.corpus.walk import Found, judge, name_of, walk
from nestling.errors import UserError
from nestling.tables.corpus import RecordedQuery, SuiteQrel, SuiteQuery
from nestling.tables.io import empty

SUITE_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Suites:
    """Every evaluation suite of a set; each table has a column `suite`."""

    documents: pl.DataFrame  # suite and the columns of Document: what suites brought themselves
    queries: pl.DataFrame  # SuiteQuery
    qrels: pl.DataFrame  # SuiteQrel
    pairs: pl.DataFrame  # suite, sentence1, sentence2, score (0 to 1)
    rejected: pl.DataFrame  # Rejected


@dataclass
class _Gathered:
    documents: list[tuple[str, Raw]] = field(default_factory=list)
    queries: list[tuple[str, Query]] = field(default_factory=list)
    qrels: list[tuple[str, Qrel]] = field(default_factory=list)
    pairs: list[pl.DataFrame] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def read_recorded(folder: Path, document_ids: set[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the set's recorded queries, a row for each document that answers one (RecordedQuery), and Rejected.

    Args:
        folder: data/raw/<set>.
        document_ids: the documents of the set; pointers to others are rejected.
    """
    path = queries_of(folder, folder)
    queries, rejects = distinct_queries(read_queries(path, name_of(path, folder)) if path else [])
    judged, unjudged = _train_qrels(folder)
    rows: list[tuple[str, str, str]] = []
    for query in queries:
        pointers = query.document_ids or tuple(judged.pop(query.query_id, ()))
        known = [document for document in pointers if document in document_ids]
        rows += [(query.query_id, document, query.text) for document in known]
        rejects += _unanswered(query, pointers, document_ids)
    names = {query.query_id for query in queries}
    rejects += [Reject("qrel", name, "unknown_query", "qrels/train.tsv") for name in judged if name not in names]
    frame = pl.DataFrame(rows, schema=empty(RecordedQuery).schema, orient="row")
    return frame, rejects_frame([*rejects, *unjudged])


def read_sts(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the pairs of sts/*.csv as sentence1, sentence2, score (0 to 1), and Rejected."""
    settings = read_settings(folder)
    frames, rejects = [pairs_frame([])], []
    for found in walk(folder / "sts", folder):
        if found.reason == "hidden":
            continue
        if found.reason or not found.name.lower().endswith(".csv"):
            rejects.append(_left(found, "sts/ holds CSV files"))
        else:
            frame, left = _read_pairs(found, settings)
            frames.append(frame)
            rejects += left
    return pl.concat(frames), rejects_frame(rejects)


def read_suites(folder: Path, document_ids: set[str]) -> Suites:
    """Return the suites of eval/: a folder in BEIR's layout each, or a CSV file of sentence pairs.

    Args:
        folder: data/raw/<set>.
        document_ids: the documents of the set, which a suite without a corpus of its own searches.

    Raises:
        UserError: a suite has a bad name, lacks a file, or its qrels name what is not there.
    """
    gathered, settings, seen = _Gathered(), read_settings(folder), set[str]()
    for path in sorted((folder / "eval").iterdir()) if (folder / "eval").is_dir() else []:
        found = judge(path, folder)
        suite = path.stem if found.name.lower().endswith(".csv") else path.name
        if found.reason == "hidden" or (path.is_dir() and not any(path.iterdir())):
            continue
        if found.reason and (path.is_symlink() or not path.is_dir()):
            gathered.rejects.append(_left(found, ""))
        elif not path.is_dir() and suite == path.name:
            gathered.rejects.append(_left(found, "a suite is a folder or a CSV file"))
        else:
            seen.add(check_suite_name(suite, seen))
            _read_suite(gathered, suite, found, document_ids, settings)
    return _tables(gathered)


def check_suite_name(suite: str, taken: set[str]) -> str:
    """Return the name of a suite.

    Raises:
        UserError: it cannot be one, or is taken.
    """
    if not SUITE_NAME.fullmatch(suite):
        raise UserError(f"{suite!r} cannot name a suite: letters, digits, - and _ only; rename it in eval/")
    if suite in taken:
        raise UserError(f"two suites in eval/ are named {suite}: rename one")
    return suite


def _read_pairs(found: Found, settings: Settings) -> tuple[pl.DataFrame, list[Reject]]:
    given, broken = read_pairs(found.path, found.name)
    pairs, outside = normalise_scores(given, settings.sts_scale)
    return pairs_frame(pairs), [*broken, *outside]


def _left(found: Found, detail: str) -> Reject:
    return Reject("file", found.name, found.reason or "unsupported", found.detail or detail)


def _train_qrels(folder: Path) -> tuple[dict[str, list[str]], list[Reject]]:
    path = one_of(folder / "qrels", folder, "train.tsv")
    qrels, rejects = read_qrels(path, folder) if path else ([], [])
    judged: dict[str, list[str]] = {}
    for qrel in qrels:
        judged.setdefault(qrel.query_id, []).append(qrel.document_id)
    return judged, rejects


def _unanswered(query: Query, pointers: tuple[str, ...], document_ids: set[str]) -> Iterator[Reject]:
    if not pointers:
        yield Reject("query", query.query_id, "no_document", "nothing says which document answers it", query.text)
    for document in pointers:
        if document not in document_ids:
            yield Reject("query", query.query_id, "unknown_document", document, query.text)


def _read_suite(gathered: _Gathered, suite: str, found: Found, document_ids: set[str], settings: Settings) -> None:
    if not found.path.is_dir():
        frame, rejects = _read_pairs(found, settings)
        gathered.pairs.append(frame.select(pl.lit(suite).alias("suite"), pl.all()))
        gathered.rejects += rejects
        return
    root = found.path.parent.parent
    documents = _own_documents(gathered, suite, found.path, settings)
    qrels, queries = _judged_queries(gathered, suite, found.path)
    way_out = f"correct eval/{suite}, or bring what is missing"
    known = documents if documents is not None else document_ids
    where = f"{root} suite {suite}"
    check_known(qrels, {query.query_id for query in queries}, known, where, way_out)
    answered = {qrel.query_id for qrel in qrels}
    gathered.qrels += [(suite, qrel) for qrel in qrels]
    gathered.queries += [(suite, query) for query in queries if query.query_id in answered]
    gathered.rejects += [
        Reject("query", f"{suite}/{query.query_id}", "no_qrels", "no document answers it", query.text)
        for query in queries
        if query.query_id not in answered
    ]


def _own_documents(gathered: _Gathered, suite: str, folder: Path, settings: Settings) -> set[str] | None:
    """Gather the documents that the suite brings and return their ids, or None where it brings none."""
    root = folder.parent.parent
    path = corpus_of(folder, root)
    if path is None:
        return None
    name = name_of(path, root)
    documents, rejects = distinct(row_documents(read_jsonl(path, name, MAX_ROW), name, MAX_ROW, settings))
    gathered.documents += [(suite, document) for document in documents]
    gathered.rejects += rejects
    return {document.document_id for document in documents}


def _judged_queries(gathered: _Gathered, suite: str, folder: Path) -> tuple[list[Qrel], list[Query]]:
    root = folder.parent.parent
    path = queries_of(folder, root)
    judgements = one_of(folder, root, "qrels/test.tsv", "qrels.tsv")
    if path is None or judgements is None:
        lacking = "queries.jsonl" if path is None else "qrels/test.tsv or qrels.tsv"
        raise UserError(f"{folder} has no {lacking}: a suite needs queries and qrels, see docs/sets.md")
    queries, unread = distinct_queries(read_queries(path, name_of(path, root)))
    qrels, unjudged = read_qrels(judgements, root)
    gathered.rejects += [*unread, *unjudged]
    return qrels, queries


def _tables(gathered: _Gathered) -> Suites:
    documents = documents_frame(document for _, document in gathered.documents)
    suites = pl.Series("suite", [suite for suite, _ in gathered.documents], dtype=pl.String)
    queries = [(suite, query.query_id, query.text) for suite, query in gathered.queries]
    return Suites(
        documents=documents.insert_column(0, suites),
        queries=pl.DataFrame(queries, schema=empty(SuiteQuery).schema, orient="row"),
        qrels=pl.DataFrame([(s, *qrel) for s, qrel in gathered.qrels], schema=empty(SuiteQrel).schema, orient="row"),
        pairs=pl.concat([pairs_frame([]).select(pl.lit("").alias("suite"), pl.all()), *gathered.pairs]),
        rejected=rejects_frame(gathered.rejects),
    )
