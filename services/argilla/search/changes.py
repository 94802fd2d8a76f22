"""How documents change: whole in bulk, and in part by a piece of them or by one of the scripts that Argilla sends."""

import hashlib
import json
import re
from typing import Any

from services.argilla.search.index import Index
from services.argilla.search.refusal import RefusedError, listed, members, single, text

# SHA-256 of a script without its blanks; one that has changed with Argilla's version must be read before it is listed
_PUT_RESPONSE = "4d8613472198d3f16a9bf3f487b0e1b19624ade9ab19e6e488e2ec004c9a7b53"
_DROP_RESPONSE = "7c7c911c8e9d785d0c8d830b03bbe0f74e6011e8e2187c2c9f6e6b8716043abb"
_DROP_SUGGESTION = re.compile(r'ctx\._source\["suggestions"\]\.remove\("([^"]+)"\)')


def bulk(indices: dict[str, Index], raw: bytes) -> dict[str, Any]:
    """Carry out lines of actions, each on its own: one that is refused says so and hinders no other."""
    lines = [read_json(line) for line in raw.split(b"\n") if line.strip()][::-1]
    items: list[dict[str, Any]] = []
    while lines:
        action, place = single(lines.pop(), "a bulk action")
        document = lines.pop() if action == "index" and lines else None
        items.append({action: _act(indices, action, place, document)})
    failed = any("error" in outcome for item in items for outcome in item.values())
    return {"took": 0, "errors": failed, "items": items}


def _act(indices: dict[str, Index], action: str, place: Any, document: Any) -> dict[str, Any]:
    members(place, "a bulk action", ("_index", "_id"))
    outcome: dict[str, Any] = {name: text(place, name, "a bulk action") for name in ("_index", "_id")}
    try:
        index = named(indices, outcome["_index"])
        if action == "index":
            index.put(outcome["_id"], document)
            return outcome | {"status": 200}
        if action == "delete":
            return outcome | {"status": 200 if index.delete(outcome["_id"]) else 404}
    except RefusedError as refusal:
        return outcome | {"status": refusal.status, "error": {"type": refusal.kind, "reason": str(refusal)}}
    raise RefusedError(f"unknown bulk action [{action}]")


def update(index: Index, id_: str, body: Any) -> None:
    """Change part of a document."""
    members(body, "an update", ("doc", "script"))
    entry = index.get(id_)
    if entry is None:
        raise RefusedError(f"[{id_}]: document missing", "document_missing_exception", 404)
    if "doc" in body:
        index.put(id_, _merged(entry.source, members(body["doc"], "doc", body["doc"])))
    else:
        index.put(id_, _scripted(entry.source, body.get("script")))


def named(indices: dict[str, Index], name: str) -> Index:
    """Return an index that must be there."""
    if name not in indices:
        raise RefusedError(f"no such index [{name}]", "index_not_found_exception", 404)
    return indices[name]


def read_json(raw: bytes) -> Any:
    """Return what JSON says."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise RefusedError("the body is not JSON") from None


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: _merged(old[name], value) if isinstance(value, dict) and isinstance(old.get(name), dict) else value
        for name, value in new.items()
    }
    return old | both


def _scripted(source: dict[str, Any], script: Any) -> dict[str, Any]:
    if isinstance(script, str):
        found = _DROP_SUGGESTION.fullmatch(script)
        if found is None:
            raise RefusedError("unknown script")
        kept = {name: value for name, value in (source.get("suggestions") or {}).items() if name != found[1]}
        return source | {"suggestions": kept}
    body = members(script, "a script", ("source", "params"))
    digest = hashlib.sha256("".join(text(body, "source", "a script").split()).encode()).hexdigest()
    if digest not in (_PUT_RESPONSE, _DROP_RESPONSE):
        raise RefusedError("unknown script")
    response = members(body.get("params"), "params", ("response",)).get("response")
    if not isinstance(response, dict) or "id" not in response:
        raise RefusedError("params: response must have an id")
    others = [old for old in listed(source.get("responses")) if old["id"] != response["id"]]
    return source | {"responses": others + ([response] if digest == _PUT_RESPONSE else [])}
