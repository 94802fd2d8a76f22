"""One search: which documents match, in which order, which of them are asked for, and what is counted over them."""

from operator import mul
from typing import Any

from services.argilla.search.arranging import counted, in_order
from services.argilla.search.index import Entry, Index
from services.argilla.search.queries import read_query
from services.argilla.search.refusal import RefusedError, members, single, whole
from services.argilla.search.values import unit

Hits = list[tuple[Entry, float | None]]

_BODY = ("query", "aggs", "sort", "post_filter", "from", "size")
_PAGE = 10  # documents of an answer where no size is asked for


def search(index: Index, body: Any) -> dict[str, Any]:
    """Answer one search."""
    members(body, "a search", _BODY)
    query = body.get("query", {"match_all": {}})
    hits = (
        _nearest(index, query, body) if isinstance(query, dict) and "knn" in query else _matching(index, query, body)
    )
    first, size = whole(body.get("from", 0), "from"), whole(body.get("size", _PAGE), "size")
    page = [{"_id": entry.id, "_score": score} for entry, score in hits[first : first + size]]
    total = {"value": len(hits), "relation": "eq"}
    answer = {"took": 0, "timed_out": False, "hits": {"total": total, "max_score": None, "hits": page}}
    if "aggs" in body:
        answer["aggregations"] = counted(index, [entry for entry, _ in hits], body["aggs"])
    return answer


def _found(index: Index, query: Any) -> Hits:
    match = read_query(index, query)
    scored = ((entry, match(entry, entry.parts.flat)) for entry in index.entries)
    return [(entry, score) for entry, score in scored if score is not None]


def _matching(index: Index, query: Any, body: dict[str, Any]) -> Hits:
    if "post_filter" in body:
        raise RefusedError("post_filter goes with knn alone")
    hits = _found(index, query)
    if body.get("sort"):
        return [(entry, None) for entry in in_order(index, [entry for entry, _ in hits], body["sort"])]
    return sorted(hits, key=_best_first)


def _nearest(index: Index, query: Any, body: dict[str, Any]) -> Hits:
    """Return the k nearest of those that pass all filters.

    OpenSearch takes the k nearest first and lets the post_filter thin them; whoever filters wants k of what is left.
    """
    field, spec = single(single(query, "a query")[1], "knn")
    members(spec, "knn", ("vector", "k", "filter"))
    known = index.mapping.fields.get(field)
    if known is None or known.kind != "knn_vector":
        raise RefusedError(f"[{field}] is no vector")
    wanted = unit(spec.get("vector"), known.dims, field)
    filters = [tree for tree in (spec.get("filter"), body.get("post_filter")) if tree is not None]
    hits = _found(index, {"bool": {"filter": filters, "must": {"match_all": {}}}})
    near = [(entry, entry.parts.vectors[field]) for entry, _ in hits if field in entry.parts.vectors]
    scored: Hits = [(entry, (1 + sum(map(mul, wanted, vector))) / 2) for entry, vector in near]
    return sorted(scored, key=_best_first)[: whole(spec.get("k"), "k")]


def _best_first(hit: tuple[Entry, float | None]) -> tuple[float, int]:
    entry, score = hit
    return -(score or 0.0), entry.number
