"""BEIR's files: queries.jsonl, and the qrels that say which document answers which query."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nestling.corpus.ids import content_id
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import MAX_ROW, Row, read_jsonl
from nestling.corpus.values import id_of, text_of
from nestling.corpus.walk import judge, name_of
from nestling.errors import UserError

_DOCUMENTS = ("document_id", "document_ids")
_COLUMNS, _TREC_COLUMNS = 3, 4


class Query(NamedTuple):
    """A query, and the documents that its row points to."""

    query_id: str
    text: str
    document_ids: tuple[str, ...]


class Qrel(NamedTuple):
    """A document that answers a query; relevance is 1 or more."""

    query_id: str
    document_id: str
    relevance: int


def one_of(folder: Path, root: Path, *names: str) -> Path | None:
    """Return the one file of these names in `folder`, or None.

    Raises:
        UserError: there are two of them, or it is no file within `root`.
    """
    there = [folder / name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if len(there) > 1:
        raise UserError(f"{folder} has {' and '.join(path.name for path in there)}: keep one of them")
    if not there:
        return None
    if (found := judge(there[0], root)).reason:
        raise UserError(f"{found.path} cannot be read: {found.detail}")
    return there[0]


def queries_of(folder: Path, root: Path) -> Path | None:
    """Return the folder's file of queries, or None."""
    return one_of(folder, root, "queries.jsonl", "queries.jsonl.gz")


def corpus_of(folder: Path, root: Path) -> Path | None:
    """Return the folder's corpus, or None."""
    return one_of(folder, root, "corpus.jsonl", "corpus.jsonl.gz")


def read_queries(path: Path, name: str) -> Iterator[Query | Reject]:
    """Yield the queries of a JSON lines file; one without an id is named by its content."""
    for row in read_jsonl(path, name, MAX_ROW):
        yield row if isinstance(row, Reject) else _query(row)


def distinct_queries(queries: Iterable[Query | Reject]) -> tuple[list[Query], list[Reject]]:
    """Return the queries, exact repeats joined, and the rejects: those given, and ids that name another text too."""
    kept: dict[str, Query] = {}
    rejects: list[Reject] = []
    for query in queries:
        if isinstance(query, Reject):
            rejects.append(query)
        elif (first := kept.get(query.query_id, query)).text != query.text:
            rejects.append(Reject("query", query.query_id, "duplicate_id", "with another text", query.text))
        else:
            pointers = tuple(
                dict.fromkeys((*(first.document_ids if query.query_id in kept else ()), *query.document_ids))
            )
            kept[query.query_id] = query._replace(document_ids=pointers)
    return list(kept.values()), rejects


def read_qrels(path: Path, root: Path) -> tuple[list[Qrel], list[Reject]]:
    """Read BEIR's three columns (query-id, corpus-id, score) or TREC's four; a header is passed over."""
    kept: dict[tuple[str, str], Qrel] = {}
    rejects: list[Reject] = []
    name = name_of(path, root)
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        shown = line.decode("utf-8-sig", "replace")
        qrel = _qrel(line, f"{name}:{number}", is_first=number == 1) if line.strip() else None
        if isinstance(qrel, Reject):
            rejects.append(qrel._replace(text=shown))
        elif qrel and (qrel.query_id, qrel.document_id) in kept:
            rejects.append(
                Reject("line", f"{name}:{number}", "duplicate_id", "a judgement that was given before", shown)
            )
        elif qrel:
            kept[qrel.query_id, qrel.document_id] = qrel
    return list(kept.values()), rejects


def check_known(qrels: Iterable[Qrel], query_ids: set[str], document_ids: set[str], where: str, way_out: str) -> None:
    """Make sure that qrels speak of queries and documents that are there.

    Raises:
        UserError: some do not; names three.
    """
    for what, known, ids in (
        ("queries", query_ids, [qrel.query_id for qrel in qrels]),
        ("documents", document_ids, [qrel.document_id for qrel in qrels]),
    ):
        unknown = [one for one in dict.fromkeys(ids) if one not in known]
        if unknown:
            first = ", ".join(repr(one) for one in unknown[:3])
            raise UserError(f"{where}: the qrels name {len(unknown)} {what} that are not there ({first}): {way_out}")


def _query(row: Row) -> Query | Reject:
    text, name = text_of(row.values, "text"), id_of(row.values, "_id", "id", "query_id")
    if not text:
        return Reject("query", name or row.place, "missing_text", row.place)
    pointers = [value for key in _DOCUMENTS for value in _several(row.values.get(key))]
    documents = [document for value in pointers if (document := id_of({"": value}, ""))]
    return Query(name or content_id(text), text, tuple(dict.fromkeys(documents)))


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _qrel(line: bytes, place: str, *, is_first: bool) -> Qrel | Reject | None:
    """Return the judgement on a line, or None for the header."""
    try:
        text = line.decode("utf-8-sig" if is_first else "utf-8")
    except UnicodeDecodeError as error:
        return Reject("line", place, "invalid_utf8", error.reason)
    fields = text.split("\t") if text.count("\t") == _COLUMNS - 1 else text.split()
    if len(fields) == _TREC_COLUMNS:
        fields = [fields[0], fields[2], fields[3]]
    if len(fields) != _COLUMNS or not all(field.strip() for field in fields):
        return Reject("line", place, "broken_row", "three columns (BEIR) or four (TREC) were expected")
    query_id, document_id, score = (field.strip() for field in fields)
    try:
        relevance = int(score)
    except ValueError:
        return None if is_first else Reject("line", place, "broken_row", f"the score {score!r} is not a whole number")
    if relevance <= 0:
        return Reject("qrel", f"{query_id} {document_id}", "not_relevant", place)
    return Qrel(query_id, document_id, min(relevance, 2**31 - 1))
