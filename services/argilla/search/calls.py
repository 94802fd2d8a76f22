"""The calls of the OpenSearch API that Argilla's server makes: which there are, and what answers each."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from services.argilla.search.changes import bulk, named, read_json, update
from services.argilla.search.index import Index
from services.argilla.search.mapping import Mapping
from services.argilla.search.refusal import RefusedError, members
from services.argilla.search.searching import search

_DONE = {"acknowledged": True}
_NAME = {"name": "nestling", "cluster_name": "local", "tagline": "local search for one machine, not OpenSearch"}
_VERSION = {"version": {"distribution": "nestling", "number": "2.0.0"}}


@dataclass(frozen=True)
class Call:
    """A call that came; `names` are the parts of its path that are names, of an index or a document."""

    names: list[str]
    options: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return read_json(self.raw) if self.raw else {}


class Service:
    """All indices; calls are answered one at a time."""

    def __init__(self) -> None:
        self._indices: dict[str, Index] = {}
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, raw: bytes) -> dict[str, Any]:
        """Answer a call.

        Args:
            method: of HTTP.
            target: path and options.
            raw: the body.

        Raises:
            RefusedError: it is unknown, malformed, or asks for what is not there.
        """
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.split("/") if part]
        form = "/".join(part if part.startswith("_") else "*" for part in parts)
        if (method, form) not in _CALLS:
            raise RefusedError(f"no handler for {method} /{form}", "illegal_argument_exception")
        handler, known = _CALLS[method, form]
        options = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        members(options, f"{method} /{form}", known)
        call = Call([part for part in parts if not part.startswith("_")], options, raw)
        try:
            with self._lock:
                return handler(self._indices, call)
        except RecursionError:
            raise RefusedError("the body is nested too deep") from None


def _about(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    return _NAME | _VERSION


def _create(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    name = call.names[0]
    if name in indices:
        raise RefusedError(f"index [{name}] already exists", "resource_already_exists_exception")
    body = members(call.body, "an index", ("settings", "mappings"))  # shards and windows: settings of no meaning here
    indices[name] = Index(Mapping(body.get("mappings")))
    return _DONE | {"index": name}


def _delete(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    if call.options.get("ignore_unavailable") != "true":
        named(indices, call.names[0])
    indices.pop(call.names[0], None)
    return _DONE


def _exists(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    named(indices, call.names[0])
    return {}


def _map(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    body = members(call.body, "a mapping", ("properties",))
    named(indices, call.names[0]).mapping.add(body.get("properties"))
    return _DONE


def _search(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    if call.options.get("_source", "false") != "false":
        raise RefusedError("_source: documents are not handed out")
    try:
        page = {name: int(call.options[name]) for name in ("from", "size") if name in call.options}
    except ValueError:
        raise RefusedError("from and size must be whole numbers") from None
    index, body = named(indices, call.names[0]), call.body
    return search(index, body | page if isinstance(body, dict) else body)


def _update(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    update(named(indices, call.names[0]), call.names[1], call.body)
    return {"_index": call.names[0], "_id": call.names[1], "result": "updated"}


def _bulk(indices: dict[str, Index], call: Call) -> dict[str, Any]:
    return bulk(indices, call.raw)


Handler = Callable[[dict[str, Index], Call], dict[str, Any]]
# method and form of the path, to what answers and which options it knows (what is written is seen at once: refresh)
_CALLS: dict[tuple[str, str], tuple[Handler, tuple[str, ...]]] = {
    ("GET", ""): (_about, ()),
    ("HEAD", ""): (_about, ()),
    ("PUT", "*"): (_create, ()),
    ("HEAD", "*"): (_exists, ()),
    ("DELETE", "*"): (_delete, ("ignore_unavailable",)),
    ("PUT", "*/_mapping"): (_map, ()),
    ("POST", "*/_search"): (_search, ("from", "size", "_source", "track_total_hits")),
    ("POST", "*/_update/*"): (_update, ("refresh",)),
    ("POST", "_bulk"): (_bulk, ("refresh",)),
}
