"""Judgements of relevance (qrels): which documents answer a query, as BEIR and TREC write it down."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from nestling.corpus.delimited import ONE_COLUMN, Table, turned_to_floats, whole_number
from nestling.corpus.rejects import ALL, Reject, first_of
from nestling.corpus.rows import MAX_ROW, Row
from nestling.corpus.values import identity, number_of
from nestling.corpus.walk import name_of
from nestling.errors import UserError

NO_TEXT = "missing_text"  # the reason of a document that is there and says nothing

# what headers of qrels call their columns, folded and without the marks between words
_NAMES = {
    "query": ("queryid", "qid", "topicid"),
    "document": ("corpusid", "docid", "documentid", "did", "docno", "passageid", "pid"),
    "score": ("score", "relevance", "rel", "relevant", "grade", "label", "judgment", "judgement"),
}
_OTHERS = {"query": ("query", "topic"), "document": ("document",)}  # which beside one of the former are a text
_ABSENT = "that are not there"
_BEIR, _TREC = ("query", "document", "score"), ("query", "iteration", "document", "score")
_MARKS = re.compile(r"[\W_]")
_HIGHEST = 2**31 - 1  # grade that the table takes


class Qrel(NamedTuple):
    """A document that somebody judged for a query; relevance is 1 or more where it answers, else 0."""

    query_id: str
    document_id: str
    relevance: int


class Judgements(NamedTuple):
    """What a file of qrels says.

    Attributes:
        relevant: the documents that answer.
        others: query and document of each grade of 0 or less -> its reject, for where nobody asks for it.
        rejects: rows that say nothing.
    """

    relevant: list[Qrel]
    others: dict[tuple[str, str], Reject]
    rejects: list[Reject]

    @property
    def left_out(self) -> list[Reject]:
        """The rejects where only what answers is wanted."""
        return [*self.rejects, *self.others.values()]


class Known(NamedTuple):
    """The documents that a query may point to, or the queries that are judged.

    Attributes:
        ids: of those that can be used.
        left: those that were left out.
        unread: lines and files of which nobody knows what they hold.
    """

    ids: set[str]
    left: Mapping[str, Reject] = MappingProxyType({})
    unread: Sequence[Reject] = ()

    @classmethod
    def of(cls, ids: Iterable[str], rejects: Iterable[Reject], item: str) -> "Known":
        """Return which documents or queries (`item`) are there, and which of the rejects are."""
        told = [reject for reject in rejects if reject.reason != ALL]
        left = {reject.item_id: reject for reject in told if reject.item == item}
        return cls(set(ids), left, [reject for reject in told if reject.item in ("line", "file", "sheet")])


def read_qrels(path: Path, root: Path) -> Judgements:
    """Read judgements: the columns that a header names, else BEIR's three or TREC's four.

    A file whose columns cannot be told is left out whole. Of a document that is judged to answer and not to answer the
    former holds.
    """
    kept: dict[tuple[str, str], Qrel] = {}
    others: dict[tuple[str, str], Reject] = {}
    rejects: list[Reject] = []
    name = name_of(path, root)
    for row in _judgements(path, name):
        if isinstance(row, Reject):
            rejects.append(row)
        elif isinstance(qrel := _qrel(row), Reject):
            rejects.append(qrel)
        elif qrel[:2] in (kept if qrel.relevance else others):
            shown = " ".join(map(str, qrel))
            rejects.append(Reject("line", row.place, "duplicate_id", "a judgement that was given before", shown))
        elif qrel.relevance:
            kept[qrel[:2]] = qrel
        else:
            others[qrel[:2]] = Reject("qrel", f"{qrel.query_id} {qrel.document_id}", "not_relevant", row.place)
    rejects += [others.pop(key) for key in kept if key in others]
    return Judgements(list(kept.values()), others, rejects)


def judged_for(
    judgements: Judgements, asked: Collection[str], documents: Collection[str]
) -> tuple[list[Qrel], list[Reject]]:
    """Return all judgements of a suite, for Judged@k those of documents that do not answer too, and the rejects.

    Args:
        judgements: of which those that do not answer matter only between `asked` and `documents`.
        asked: queries that the suite asks.
        documents: that it searches.
    """
    qrels, rejects = [*judgements.relevant], [*judgements.rejects]
    for (query, document), reject in judgements.others.items():
        if query in asked and document in documents:
            qrels.append(Qrel(query, document, 0))
        else:
            rejects.append(reject)
    return qrels, rejects


def check_known(qrels: Collection[Qrel], queries: Known, documents: Known, where: str, way_out: str) -> None:
    """Make sure that qrels speak of queries and documents that are there.

    Raises:
        UserError: some do not; names three, and says which are there and cannot be used, and why.
    """
    for what, named, known in (
        ("queries", [qrel.query_id for qrel in qrels], queries),
        ("documents", [qrel.document_id for qrel in qrels], documents),
    ):
        for how, ids in _unknown(named, known).items():
            unread = f"; {len(known.unread)} lines or files could not be read: {first_of(known.unread)}"
            more = unread if known.unread and how == _ABSENT else ""
            raise UserError(f"{where}: the qrels name {len(ids)} {what} {how} ({', '.join(ids[:3])}{more}): {way_out}")


def _unknown(named: Iterable[str], known: Known) -> dict[str, list[str]]:
    """Return the ids that cannot be used, each with the cause, by how they cannot."""
    found: dict[str, list[str]] = {}
    for one in dict.fromkeys(named):
        left = known.left.get(one)
        if one not in known.ids and left is None:
            found.setdefault(_ABSENT, []).append(repr(one))
        elif one not in known.ids and left:
            why = "" if left.reason == NO_TEXT else left.reason
            said = ": ".join(part for part in (repr(one), why, left.detail) if part)
            found.setdefault("that were left out" if why else "without text", []).append(said)
    return found


def _qrel(row: Row) -> Qrel | Reject:
    query_id, document_id, score = (identity(str(row.values[key])) for key in _BEIR)
    grade, shown = number_of(score), f"{query_id} {document_id} {score}"
    if not query_id or not document_id:
        return Reject("line", row.place, "broken_row", "an id is empty", shown)
    if grade is None or not grade.is_integer():
        return Reject("line", row.place, "broken_row", f"the score {score!r} is not a whole number", shown)
    return Qrel(query_id, document_id, int(min(max(grade, 0), _HIGHEST)))


def _judgements(path: Path, name: str) -> Iterator[Row | Reject]:
    """Yield the rows of a file of qrels, with the values query, document and score."""
    table = Table(path, name, MAX_ROW)
    table.say_encoding()
    delimiter = _delimiter(table)
    records = [
        (place, _fields(fields, line, delimiter), line)
        for place, fields, line in table.records(delimiter or ONE_COLUMN)
    ]
    places = _places([fields for _, fields, _ in records])
    if isinstance(places, str):
        yield Reject("file", name, "unreadable", places)
        records, places = [], {}
    below = records[bool(records) and _header(records[0][1]) is not None :]
    floats = {
        key
        for key in ("query", "document")
        if below
        and turned_to_floats(fields[places[key]] for _, fields, _ in below if len(fields) > max(places.values()))
    }
    for place, fields, line in below:
        if max(places.values()) < len(fields) <= len(records[0][1]):
            values: dict[str, object] = {key: fields[column] for key, column in places.items()}
            yield Row(place, values | {key: whole_number(str(values[key])) for key in floats})
        else:
            yield Reject("line", place, "broken_row", f"{len(fields)} columns, not {len(records[0][1])}", line)
    yield from table.rejects


def _delimiter(table: Table) -> str:
    """Return what stands between columns, or an empty text for blanks."""
    line = table.first.strip("\r\n")
    ways = {delimiter: line.split(delimiter or None) for delimiter in ("\t", ";", ",", "|", "")}
    named = [delimiter for delimiter, fields in ways.items() if _header(fields) is not None]
    whole = [
        delimiter
        for delimiter, fields in ways.items()
        if len(fields) in (len(_BEIR), len(_TREC)) and number_of(fields[-1].strip('"')) is not None
    ]
    return [*named, *whole, ""][0]


def _fields(fields: list[str] | None, line: str, delimiter: str) -> list[str]:
    """Return the fields of a record; none where the quotes do not match, and by blanks where nothing else parts it."""
    if fields is None:
        return []
    if not delimiter or len(fields) == 1:
        return line.split()
    while fields[-1:] == [""]:
        fields.pop()
    return [field.strip() for field in fields]


def _header(fields: Sequence[str]) -> dict[str, list[int]] | None:
    """Return which columns a header calls the query, the document and the score, or None if it is none."""
    folded = [_MARKS.sub("", field.casefold()) for field in fields]
    found = {}
    for key, names in _NAMES.items():
        ids = [column for column, name in enumerate(folded) if name in names]
        found[key] = ids or [column for column, name in enumerate(folded) if name in _OTHERS.get(key, ())]
    return found if found["query"] and found["document"] else None


def _places(rows: Sequence[list[str]]) -> dict[str, int] | str:
    """Return in which columns query, document and score stand, or why that cannot be told."""
    first = rows[0] if rows else []
    if (named := _header(first)) is not None:
        return _named(named, first)
    if len(first) == len(_BEIR) and number_of(first[-1]) is not None:
        return {key: column for column, key in enumerate(_BEIR)}
    if len(first) == len(_TREC) and len({row[1] for row in rows if len(row) == len(_TREC)}) == 1:
        return {"query": 0, "document": 2, "score": 3}  # between them TREC has the same 0 in every row
    return f"columns cannot be told from {' '.join(first)[:100]!r}: put query-id, corpus-id, score on top"


def _named(named: Mapping[str, list[int]], header: Sequence[str]) -> dict[str, int] | str:
    if not named["score"]:
        return f"the header {' '.join(header)!r} names no score"
    if twice := [(key, columns) for key, columns in named.items() if len(columns) > 1]:
        key, columns = twice[0]
        return f"the columns {' and '.join(header[column] for column in columns)} all name the {key}: keep one"
    return {key: column for key, (column,) in named.items()}
