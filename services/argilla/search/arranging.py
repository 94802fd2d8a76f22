"""What is done with the documents found: they are put in order, and their values are counted."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from services.argilla.search.index import Entry, Index
from services.argilla.search.queries import Match, read_query
from services.argilla.search.refusal import RefusedError, listed, members, single, text, whole


def in_order(index: Index, entries: Sequence[Entry], sort: Any) -> list[Entry]:
    """Return documents by the first clause, then the next; one without a value comes last, ties as they came."""
    ordered = sorted(entries, key=lambda entry: entry.number)
    for clause in reversed(listed(sort)):
        field, spec = single(clause, "sort")
        spec = members(spec if isinstance(spec, dict) else {"order": spec}, "sort", ("order", "mode", "nested"))
        if spec.get("order") not in ("asc", "desc"):
            raise RefusedError("sort: order must be asc or desc")
        down, values = spec["order"] == "desc", _values(index, field, spec)
        keyed = [(_key(values(entry), spec, down), entry) for entry in ordered]
        valued = [pair for pair in keyed if pair[0] is not None]
        valued.sort(key=lambda pair: pair[0], reverse=down)
        ordered = [entry for _, entry in valued] + [entry for key, entry in keyed if key is None]
    return ordered


def counted(index: Index, entries: Sequence[Entry], aggregations: Any) -> dict[str, Any]:
    """Return what each aggregation counts."""
    if not isinstance(aggregations, dict):
        raise RefusedError("aggregations must be an object")
    return {name: _count(index, entries, spec) for name, spec in aggregations.items()}


def _values(index: Index, field: str, spec: dict[str, Any]) -> Callable[[Entry], list[Any]]:
    if index.mapping.kind(field) in (None, "text"):
        raise RefusedError(f"No mapping found for [{field}] in order to sort on")
    if "nested" not in spec:
        return lambda entry: entry.parts.flat.get(field, [])
    nested = members(spec["nested"], "nested", ("path", "filter"))
    path = text(nested, "path", "nested")
    only: Match = read_query(index, nested.get("filter", {"match_all": {}}))
    return lambda entry: [
        value
        for part in entry.parts.nested.get(path, ())
        if only(entry, part) is not None
        for value in part.get(field, ())
    ]


def _key(values: list[Any], spec: dict[str, Any], down: bool) -> Any:
    if not values:
        return None
    if spec.get("mode") == "avg" and not isinstance(values[0], str):
        return sum(values) / len(values)
    return max(values) if down else min(values)


def _count(index: Index, entries: Sequence[Entry], spec: Any) -> dict[str, Any]:
    kind, body = single(spec, "an aggregation")
    field = text(members(body, kind, ("field", "size")), "field", kind)
    values = [value for entry in entries for value in _once(index, entry, field)]
    if kind == "value_count":
        return {"value": len(values)}
    if kind == "stats":
        ends = {"min": min(values, default=None), "max": max(values, default=None)}
        return {"count": len(values), "sum": sum(values)} | ends
    if kind == "terms":
        most = sorted(Counter(values).items(), key=lambda pair: (-pair[1], str(pair[0])))
        top = most[: whole(body.get("size", 10), "size")]
        return {"buckets": [{"key": value, "doc_count": count} for value, count in top]}
    raise RefusedError(f"unknown aggregation [{kind}]")


def _once(index: Index, entry: Entry, field: str) -> list[Any]:
    """A document counts once for each word it holds, as in OpenSearch, but for every one of its numbers."""
    values = entry.parts.flat.get(field, [])
    return list(dict.fromkeys(values)) if index.mapping.kind(field) == "keyword" else values
