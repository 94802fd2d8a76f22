"""Queries: each is read once and becomes a function that says whether a document matches, and how well."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from services.argilla.search.index import Entry, Index
from services.argilla.search.mapping import Flat
from services.argilla.search.refusal import RefusedError, listed, members, single, text, whole
from services.argilla.search.values import read
from services.argilla.search.words import fields_for, find

Match = Callable[[Entry, Flat], float | None]  # the score in a document, or in one of its nested objects; None: no

_WORDS = {
    "default_operator": "AND",
    "analyze_wildcard": False,
    "auto_generate_synonyms_phrase_query": False,
    "fuzzy_transpositions": False,
}


def read_query(index: Index, query: Any) -> Match:
    """Return the function that a query stands for."""
    kind, body = single(query, "a query")
    if kind not in _READERS:
        raise RefusedError(f"unknown query [{kind}]")
    return _READERS[kind](index, body)


def _all(_: Index, body: Any) -> Match:
    members(body, "match_all", ())
    return lambda entry, flat: 1.0


def _bool(index: Index, body: Any) -> Match:
    members(body, "bool", ("must", "must_not", "should", "filter", "minimum_should_match"))
    must, should, barred, kept = (
        [read_query(index, query) for query in listed(body.get(name))]
        for name in ("must", "should", "must_not", "filter")
    )
    need = whole(body.get("minimum_should_match", int(bool(should) and not must and not kept)), "minimum_should_match")

    def match(entry: Entry, flat: Flat) -> float | None:
        if any(query(entry, flat) is None for query in kept) or any(
            query(entry, flat) is not None for query in barred
        ):
            return None
        got = [score for query in must if (score := query(entry, flat)) is not None]
        more = [score for query in should if (score := query(entry, flat)) is not None]
        return None if len(got) < len(must) or len(more) < need else sum(got) + sum(more)

    return match


def _terms(index: Index, body: Any) -> Match:
    field, values = single(body, "term")
    kind = index.mapping.kind(field)
    if kind is None:
        return lambda entry, flat: None
    if kind == "text" or any(isinstance(value, dict | list) for value in listed(values)):
        raise RefusedError(f"[{field}]: terms are looked up in fields that are no text, and given as they are")
    wanted = {read(value, kind, field) for value in listed(values)}
    return lambda entry, flat: None if wanted.isdisjoint(flat.get(field, ())) else 1.0


def _range(index: Index, body: Any) -> Match:
    field, limits = single(body, "range")
    members(limits, "range", ("gte", "lte"))
    kind = index.mapping.kind(field)
    if kind is None:
        return lambda entry, flat: None
    low, high = (None if limits.get(end) is None else read(limits[end], kind, field) for end in ("gte", "lte"))

    def match(entry: Entry, flat: Flat) -> float | None:
        values = flat.get(field, ())
        return 1.0 if any((low is None or x >= low) and (high is None or x <= high) for x in values) else None

    return match


def _exists(_: Index, body: Any) -> Match:
    field = text(members(body, "exists", ("field",)), "field", "exists")
    below = field + "."
    return lambda entry, flat: 1.0 if any(name == field or name.startswith(below) for name in flat) else None


def _ids(_: Index, body: Any) -> Match:
    wanted = {str(value) for value in listed(members(body, "ids", ("values",)).get("values"))}
    return lambda entry, flat: 1.0 if entry.id in wanted else None


def _nested(index: Index, body: Any) -> Match:
    members(body, "nested", ("path", "query", "score_mode"))
    path, query = text(body, "path", "nested"), read_query(index, body.get("query"))
    if body.get("score_mode", "avg") != "avg":
        raise RefusedError("nested: score_mode must be avg")

    def match(entry: Entry, flat: Flat) -> float | None:
        parts = entry.parts.nested.get(path, ())
        got = [score for part in parts if (score := query(entry, part)) is not None]
        return sum(got) / len(got) if got else None

    return match


def _shuffled(index: Index, body: Any) -> Match:
    members(body, "function_score", ("query", "functions"))
    query, functions = read_query(index, body.get("query")), listed(body.get("functions"))
    if len(functions) != 1:
        raise RefusedError("function_score: one function, random_score")
    spec = members(functions[0], "function_score", ("random_score",)).get("random_score")
    seed = text(members(spec, "random_score", ("seed", "field")), "seed", "random_score").encode()

    def match(entry: Entry, flat: Flat) -> float | None:
        score = query(entry, flat)
        draw = blake2b(entry.id.encode(), key=seed[:64], digest_size=6).digest()  # the same after a restart
        return None if score is None else score * int.from_bytes(draw) / 2**48

    return match


def _words(index: Index, body: Any) -> Match:
    members(body, "simple_query_string", ("query", "fields", "fuzzy_max_expansions", *_WORDS))
    for name, value in _WORDS.items():
        if body.get(name) != value:
            raise RefusedError(f"simple_query_string: {name} must be {value!r}")
    fields = fields_for(index, [str(pattern) for pattern in listed(body.get("fields"))])
    scores = find(index, fields, text(body, "query", "simple_query_string"))
    return lambda entry, flat: scores.get(entry.id)


_READERS: dict[str, Callable[[Index, Any], Match]] = {
    "match_all": _all,
    "bool": _bool,
    "term": _terms,
    "terms": _terms,
    "range": _range,
    "exists": _exists,
    "ids": _ids,
    "nested": _nested,
    "function_score": _shuffled,
    "simple_query_string": _words,
}
