"""What a set brings besides documents: recorded queries, graded sentence pairs, evaluation suites.

Suites keep whole documents here; they are cut into passages elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from nestling.cli import say
from nestling.corpus.beir import Query, corpus_of, distinct_queries, one_of, queries_of, read_queries
from nestling.corpus.formats import ROW_FORMATS, kind_of
from nestling.corpus.pairs import ENDINGS, normalise_scores, pairs_frame, read_pairs, scale_of
from nestling.corpus.qrels import NO_TEXT, Judgements, Known, Qrel, check_known, judged_for, read_qrels
from nestling.corpus.rejects import ALL, Reject, counted, emptied, first_of, rejects_frame, telling
from nestling.corpus.rows import MAX_ROW, read_jsonl
from nestling.corpus.settings import FILE, Settings, read_settings
from nestling.corpus.sources import Raw, distinct, documents_frame, row_documents
from nestling.corpus.values import identity
from nestling.corpus.walk import Found, judge, name_of, walk
from nestling.errors import UserError
from nestling.tables.corpus import RecordedQuery, SuiteQrel, SuiteQuery
from nestling.tables.io import empty

SUITE_NAME = re.compile(r"[A-Za-z0-9_-]+")
RESERVED = "heldout"  # the set's own suites are named so: heldout.recorded, heldout.generated


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


def read_recorded(folder: Path, documents: Known) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the set's recorded queries, a row for each document that answers one (RecordedQuery), and Rejected.

    Args:
        folder: data/raw/<set>.
        documents: those of the set; pointers to others are rejected.
    """
    path = queries_of(folder, folder)
    name = name_of(path, folder) if path else ""
    queries, rejects = distinct_queries(read_queries(path, name) if path else [])
    judged, unjudged = _train_qrels(folder)
    rows: list[tuple[str, str, str]] = []
    for query in queries:
        pointers = query.document_ids or tuple(judged.pop(query.query_id, ()))
        known = [document for document in pointers if document in documents.ids]
        rows += [(query.query_id, document, query.text) for document in known]
        rejects += _unanswered(query, pointers, documents)
    names = {query.query_id for query in queries}
    strangers = [Reject("qrel", name, "unknown_query", "qrels/train.tsv") for name in judged if name not in names]
    strangers += _strange_qrels(folder)
    whole = emptied("file", name, len(rows), [*rejects, *unjudged]) if path else []
    frame = pl.DataFrame(rows, schema=empty(RecordedQuery).schema, orient="row")
    return frame, rejects_frame([*rejects, *strangers, *unjudged, *whole])


def read_sts(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the pairs of sts/*.csv as sentence1, sentence2, score (0 to 1), and Rejected.

    Raises:
        UserError: the scores of a file show no scale, or another than set.yaml says.
    """
    settings = read_settings(folder)
    frames, rejects = [pairs_frame([])], list[Reject]()
    with telling(rejects):
        for found in walk(folder / "sts", folder):
            if found.reason == "hidden":
                continue
            if found.reason or not found.name.lower().endswith(ENDINGS):
                rejects += _left(found, "sts/ holds CSV files")
            else:
                frames.append(_read_pairs(found, folder, settings, rejects))
    return pl.concat(frames), rejects_frame(rejects)


def check_scales(folder: Path) -> None:
    """Make sure that set.yaml names the scales of files that are there.

    Raises:
        UserError: it names another; says which files there are.
    """
    scales = read_settings(folder).sts_scale
    found = [one.name for part in ("sts", "eval") for one in walk(folder / part, folder)]
    there = [name for name in found if name.lower().endswith(ENDINGS) and (name[:4] == "sts/" or name.count("/") == 1)]
    named = scales if isinstance(scales, dict) else {}
    if strange := [name for name in named if identity(name) not in map(identity, there)]:
        files = ", ".join(there) or "none"
        raise UserError(
            f"{folder / FILE}: sts_scale names {strange[0]!r}, which is not there; files of pairs: {files}"
        )


def read_suites(folder: Path, documents: Known) -> Suites:
    """Return the suites of eval/: a folder in BEIR's layout each, or a CSV file of sentence pairs.

    Args:
        folder: data/raw/<set>.
        documents: those of the set, which a suite without a corpus of its own searches.

    Raises:
        UserError: a suite has a bad name, lacks a file, its qrels name what is not there, or its scores show no scale.
    """
    gathered, settings, seen = _Gathered(), read_settings(folder), set[str]()
    with telling(gathered.rejects):
        for path in sorted((folder / "eval").iterdir()) if (folder / "eval").is_dir() else []:
            found = judge(path, folder)
            suite = path.stem if found.name.lower().endswith(ENDINGS) else path.name
            if found.reason == "hidden" or (path.is_dir() and not any(path.glob("[!.]*"))):
                continue
            if found.reason and (path.is_symlink() or not path.is_dir()):
                gathered.rejects += _left(found, "")
            elif not path.is_dir() and suite == path.name:
                gathered.rejects += _left(found, "a suite is a folder or a CSV file")
            else:
                seen.add(check_suite_name(suite, seen))
                _read_suite(gathered, suite, found, documents, settings)
    return _tables(gathered)


def suites_in(folder: Path, but: str) -> set[str]:
    """Return the names of the suites of a set, but that of one file or folder such as eval/gold."""
    there = [path for path in (folder / "eval").glob("[!.]*") if f"eval/{path.name}" != but]
    return {path.stem if path.name.lower().endswith(ENDINGS) else path.name for path in there}


def check_suite_name(suite: str, taken: set[str], way_out: str = "rename it in eval/") -> str:
    """Return the name of a suite.

    Args:
        suite: the name.
        taken: those of other suites.
        way_out: how it gets another.

    Raises:
        UserError: it cannot be one, or is taken.
    """
    if suite.casefold().split(".")[0] == RESERVED:
        raise UserError(f"a suite cannot be named {suite!r}: the set's own held-out suites are; choose another name")
    if not SUITE_NAME.fullmatch(suite):
        raise UserError(f"{suite!r} cannot name a suite: letters, digits, - and _ only; {way_out}")
    if suite in taken:
        raise UserError(f"two suites in eval/ are named {suite}: {way_out}")
    return suite


def _read_pairs(found: Found, folder: Path, settings: Settings, rejects: list[Reject]) -> pl.DataFrame:
    given = read_pairs(found.path, found.name)
    rejects += given.rejects
    way_out = f"write `sts_scale: {{{found.name}: [lowest, highest]}}` into {folder / FILE}"
    declared = settings.scale(found.name)
    scale = scale_of(given, declared, found.name, way_out)
    pairs, outside = normalise_scores(given.pairs, scale)
    if pairs and not declared:
        say(f"note: {found.name}: scores are read as {scale[0]:g} to {scale[1]:g}; sts_scale can say otherwise")
    rejects += [*outside, *emptied("file", found.name, len(pairs), [*given.rejects, *outside])]
    return pairs_frame(pairs)


def _left(found: Found, detail: str) -> list[Reject]:
    """Return the reject of a file; one that holds rows, or a link, was meant as data and must not vanish."""
    left = Reject("file", found.name, found.reason or "unsupported", found.detail or detail)
    meant = found.path.is_symlink() or kind_of(found.name) in ROW_FORMATS
    return [left, *(emptied("file", found.name, 0, [left]) if meant else [])]


def _train_qrels(folder: Path) -> tuple[dict[str, list[str]], list[Reject]]:
    path = one_of(folder / "qrels", folder, "train.tsv")
    found = read_qrels(path, folder) if path else Judgements([], {}, [])
    judged: dict[str, list[str]] = {}
    for qrel in found.relevant:
        judged.setdefault(qrel.query_id, []).append(qrel.document_id)
    whole = [reject._replace(reason=ALL) for reject in found.rejects if reject.item == "file"]
    return judged, [*found.left_out, *whole]


def _strange_qrels(folder: Path) -> Iterator[Reject]:
    """Yield the judgements of a whole dataset that was put in as it is: they are neither trained nor measured with."""
    for path in sorted((folder / "qrels").glob("[!.]*")):
        if path.name != "train.tsv":
            detail = "a set's own judgements are qrels/train.tsv; those to measure with stand in eval/"
            yield Reject("file", name_of(path, folder), "unsupported", detail)


def _unanswered(query: Query, pointers: tuple[str, ...], documents: Known) -> Iterator[Reject]:
    if not pointers:
        yield Reject("query", query.query_id, "no_document", "nothing says which document answers it", query.text)
    for document in pointers:
        if (left := documents.left.get(document)) and document not in documents.ids:
            reason = "without_text" if left.reason == NO_TEXT else "unknown_document"
            yield Reject("query", query.query_id, reason, f"{document}: {left.reason}", query.text)
        elif document not in documents.ids:
            yield Reject("query", query.query_id, "unknown_document", document, query.text)


def _read_suite(gathered: _Gathered, suite: str, found: Found, documents: Known, settings: Settings) -> None:
    if not found.path.is_dir():
        frame = _read_pairs(found, found.path.parent.parent, settings, gathered.rejects)
        gathered.pairs.append(frame.select(pl.lit(suite).alias("suite"), pl.all()))
        return
    known = _own_documents(gathered, suite, found.path, settings) or documents
    judgements, queries, unread = _judged_queries(found.path)
    qrels = judgements.relevant
    way_out = f"correct eval/{suite}, or bring what is missing"
    where = f"{found.path.parent.parent} suite {suite}"
    if qrels and queries:
        asking = Known.of((query.query_id for query in queries), unread, "query")
        with telling([*gathered.rejects, *judgements.rejects, *unread]):
            check_known(qrels, asking, known, where, way_out)
    answered = {qrel.query_id for qrel in qrels}
    asked = [query for query in queries if query.query_id in answered]
    judged, unused = judged_for(judgements, answered, known.ids)
    unasked = [
        Reject("query", f"{suite}/{query.query_id}", "no_qrels", "no document answers it", query.text)
        for query in queries
        if query.query_id not in answered
    ]
    rejects = [*unused, *unread, *unasked]
    gathered.qrels += [(suite, qrel) for qrel in judged]
    gathered.queries += [(suite, query) for query in asked]
    gathered.rejects += [*rejects, *emptied("suite", suite, len(asked), rejects)]


def _own_documents(gathered: _Gathered, suite: str, folder: Path, settings: Settings) -> Known | None:
    """Gather the documents that the suite brings and return them, or None where it brings none."""
    root = folder.parent.parent
    path = corpus_of(folder, root)
    if path is None:
        if others := sorted(other.name for other in folder.iterdir() if other.name.lower().startswith("corpus")):
            raise UserError(
                f"{folder} has {others[0]}, which is not read: bring the suite's documents as corpus.jsonl"
            )
        return None
    name = name_of(path, root)
    documents, rejects = distinct(row_documents(read_jsonl(path, name, MAX_ROW), name, MAX_ROW, settings))
    gathered.documents += [(suite, document) for document in documents]
    gathered.rejects += rejects
    if not documents:
        raise UserError(f"{root} suite {suite}: {name} has no document ({counted(rejects)}; {first_of(rejects)})")
    return Known.of((document.document_id for document in documents), rejects, "document")


def _judged_queries(folder: Path) -> tuple[Judgements, list[Query], list[Reject]]:
    """Return the judgements and the queries of a suite, and which queries were left out."""
    root = folder.parent.parent
    path = queries_of(folder, root)
    judgements = one_of(folder, root, "qrels/test.tsv", "qrels.tsv")
    if path is None or judgements is None:
        lacking = "queries.jsonl" if path is None else "qrels/test.tsv or qrels.tsv"
        raise UserError(f"{folder} has no {lacking}: a suite needs queries and qrels, see docs/sets.md")
    queries, unread = distinct_queries(read_queries(path, name_of(path, root)))
    return read_qrels(judgements, root), queries, unread


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
