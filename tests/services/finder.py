"""A search service over real HTTP, and what Argilla's server sends to it, as it sends it."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from services.argilla.search.server import USER, SearchServer
from tests.argilla import VENV

NOBODY = {"match_all": {}}
OPTIONS = {"_source": "false", "track_total_hits": "true"}
MAPPINGS = {
    "dynamic": "strict",
    "_source": {"excludes": []},
    "properties": {
        "id": {"type": "keyword"},
        "external_id": {"type": "keyword"},
        "status": {"type": "keyword"},
        "inserted_at": {"type": "date_nanos"},
        "fields.query": {"type": "text"},
        "fields.passages": {"type": "text"},
        "metadata": {"dynamic": False, "type": "object"},
        "metadata.theme": {"type": "keyword"},
        "metadata.rank": {"type": "long"},
        "metadata.margin": {"type": "float"},
        "vectors.v1": {
            "type": "knn_vector",
            "dimension": 2,
            "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil", "parameters": {"m": 2}},
        },
        "suggestions.quality": {
            "type": "object",
            "properties": {"value": {"type": "keyword"}, "score": {"type": "float"}, "agent": {"type": "keyword"}},
        },
        "responses": {
            "type": "nested",
            "dynamic": "strict",
            "include_in_root": True,
            "properties": {
                "id": {"type": "keyword"},
                "status": {"type": "keyword"},
                "user_id": {"type": "keyword"},
                "grade": {"type": "integer"},
                "comment": {"type": "object", "enabled": False},
            },
        },
    },
}


class Finder:
    """A client of one search service, with one index."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        self.ask("PUT", "/rg.1", {"settings": {"number_of_shards": 1}, "mappings": MAPPINGS})

    def call(self, method: str, path: str, body: Any = None, **options: str) -> httpx2.Response:
        """Make a call and return what came."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.request(method, path, content=raw, params=options)

    def ask(self, method: str, path: str, body: Any = None, **options: str) -> Any:
        """Make a call that must be answered."""
        reply = self.call(method, path, body, **options)
        assert reply.status_code == 200, reply.text
        return reply.json() if reply.content else None

    def put(self, **records: dict[str, Any]) -> Any:
        """Add records by id."""
        lines = [line for id_, record in records.items() for line in (_at("index", id_), record)]
        return self.bulk(lines)

    def bulk(self, lines: list[Any]) -> Any:
        """Send lines of actions and documents."""
        return self.ask("POST", "/_bulk", "\n".join(map(json.dumps, lines)).encode() + b"\n", refresh="true")

    def search(self, query: Any, **body: Any) -> Any:
        """Return the answer to a search."""
        return self.ask("POST", "/rg.1/_search", {"query": query} | body, **OPTIONS)

    def found(self, query: Any, **body: Any) -> list[str]:
        """Return the ids of the records that a search gives, in its order."""
        return [hit["_id"] for hit in self.search(query, **body)["hits"]["hits"]]

    def words(self, query: str, fields: str = "fields.*") -> list[str]:
        """Return the ids of the records in which somebody's words are found, best first."""
        return self.found({"bool": {"must": [words(query, fields)]}})

    def respond(self, id_: str, script: str, response: dict[str, Any]) -> None:
        """Change the responses of a record by a script."""
        body = {"script": {"source": script, "params": {"response": response}}}
        self.ask("POST", f"/rg.1/_update/{id_}", body, refresh="true")

    def count(self, kind: str, field: str, query: Any = NOBODY, **options: int) -> Any:
        """Return what an aggregation counts."""
        aggregation = {"a": {kind: {"field": field} | options}}
        return self.search(query, aggs=aggregation, size=0)["aggregations"]["a"]


@contextmanager
def finding() -> Iterator[Finder]:
    """Start a search service, with its index, and end it."""
    with SearchServer(0, "s3cret") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        with httpx2.Client(base_url=url, auth=(USER, "s3cret"), trust_env=False) as client:
            yield Finder(client)
        server.shutdown()
        thread.join()


def words(query: str, fields: str = "fields.*") -> dict[str, Any]:
    """Return the query for somebody's words."""
    fixed = {"analyze_wildcard": False, "auto_generate_synonyms_phrase_query": False, "fuzzy_transpositions": False}
    spec = {"query": query, "fields": [fields], "default_operator": "AND", "fuzzy_max_expansions": 10}
    return {"simple_query_string": spec | fixed}


def answered(status: str, user: str) -> dict[str, Any]:
    """Return the query for records that a person answered so."""
    both = [{"terms": {"responses.status": [status]}}, {"terms": {"responses.user_id": [user]}}]
    return {"nested": {"path": "responses", "query": {"bool": {"must": both}}, "score_mode": "avg"}}


def pending(user: str) -> dict[str, Any]:
    """Return the query for records that a person has not answered."""
    return {"bool": {"must_not": {"term": {"responses.user_id": user}}}}


def shuffled(user: str) -> dict[str, Any]:
    """Return the query for all records in a person's own order."""
    random = {"random_score": {"seed": user, "field": "_seq_no"}}
    return {"function_score": {"query": {"bool": {"must": [NOBODY]}}, "functions": [random]}}


def response(id_: str, user: str, status: str, **values: Any) -> dict[str, Any]:
    """Return a response."""
    return {"id": id_, "status": status, "user_id": user} | values


def installed_scripts() -> list[str]:
    """Return the scripts that the installed server sends: to put a response, and to drop one."""
    found = sorted(VENV.glob("lib/python*/site-packages/argilla_server/search_engine/commons.py"))
    if not found:
        pytest.skip(f"Argilla's server is missing in {VENV}: make argilla-server")
    return re.findall(r'"source": """(.*?)"""', found[0].read_text(encoding="utf-8"), re.DOTALL)


def _at(action: str, id_: str) -> dict[str, Any]:
    return {action: {"_index": "rg.1", "_id": id_}}
