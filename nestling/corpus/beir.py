"""BEIR's folders: which files they hold, and the queries in them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nestling.corpus.ids import content_id
from nestling.corpus.rejects import Reject
from nestling.corpus.rows import MAX_ROW, Row, read_jsonl
from nestling.corpus.values import UnusableError, id_of, text_of
from nestling.corpus.walk import judge
from nestling.errors import UserError

_DOCUMENTS = ("document_id", "document_ids")


class Query(NamedTuple):
    """A query, and the documents that its row points to."""

    query_id: str
    text: str
    document_ids: tuple[str, ...]


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


def _query(row: Row) -> Query | Reject:
    try:
        text, name = text_of(row.values, "text"), id_of(row.values, "_id", "id", "query_id")
        pointers = [id_of({key: value}, key) for key in _DOCUMENTS for value in _several(row.values.get(key))]
    except UnusableError as error:
        return Reject("query", row.place, "invalid_value", str(error))
    if not text:
        return Reject("query", name or row.place, "missing_text", row.place)
    return Query(name or content_id(text), text, tuple(dict.fromkeys(filter(None, pointers))))


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
