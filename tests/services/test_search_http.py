"""What the local search service refuses, whom it answers, and how fast it is."""

import json
import socket
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from services.argilla.search.calls import Service
from tests.services.finder import MAPPINGS, NOBODY, Finder, finding, response, words


@pytest.fixture
def finder():
    with finding() as finder:
        finder.put(a={"status": "pending"})
        yield finder


def refused(finder: Finder, method: str, path: str, body: object = None, **options: str) -> str:
    reply = finder.call(method, path, body, **options)
    assert reply.status_code == 400
    return str(reply.json()["error"]["reason"])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"wildcard": {"status": "p*"}}, "unknown query [wildcard]"),
        ({"match_all": {"boost": 2}}, "match_all: unknown ['boost']"),
        ({"match_all": {}, "term": {}}, "a query must be an object with one member"),
        ("pending", "a query must be an object with one member"),
        ({"range": {"inserted_at": {"gt": 1}}}, "range: unknown ['gt']"),
        ({"range": {"metadata.rank": {"gte": "much"}}}, "[metadata.rank] of type [long] cannot hold this value"),
        ({"terms": {"fields.query": ["a"]}}, "[fields.query]: terms are looked up in fields that are no text"),
        ({"nested": {"path": "responses", "query": NOBODY, "score_mode": "max"}}, "nested: score_mode must be avg"),
        ({"function_score": {"query": NOBODY, "functions": [{"weight": 2}]}}, "function_score: unknown ['weight']"),
        ({"simple_query_string": {"query": "a", "fields": []}}, "simple_query_string: default_operator must be 'AND'"),
        ({"knn": {"vectors.v1": {"vector": [1, 2, 3], "k": 1}}}, "[vectors.v1] must be a vector of 2 numbers"),
        ({"knn": {"vectors.v2": {"vector": [1, 2], "k": 1}}}, "[vectors.v2] is no vector"),
        ({"bool": {"must": [NOBODY], "boost": 1}}, "bool: unknown ['boost']"),
    ],
)
def test_a_query_that_is_not_known_is_refused(finder, query, reason):
    assert refused(finder, "POST", "/rg.1/_search", {"query": query}).startswith(reason)


@pytest.mark.parametrize(
    ("method", "path", "body", "options", "reason"),
    [
        ("GET", "/_cat/indices", None, {}, "no handler for GET /_cat/*"),
        ("PATCH", "/rg.1", None, {}, "no handler for PATCH /*"),
        ("POST", "/rg.1/_search", None, {"scroll": "1m"}, "POST /*/_search: unknown ['scroll']"),
        ("POST", "/rg.1/_search", None, {"_source": "true"}, "_source: documents are not handed out"),
        ("POST", "/rg.1/_search", None, {"size": "ten"}, "from and size must be whole numbers"),
        ("POST", "/rg.1/_search", {"size": -1}, {}, "size must be a whole number, 0 or more"),
        ("POST", "/rg.1/_search", {"suggest": {}}, {}, "a search: unknown ['suggest']"),
        ("POST", "/rg.1/_search", [], {}, "a search must be an object"),
        ("POST", "/rg.1/_search", {"sort": [{"name": "asc"}]}, {}, "No mapping found for [name] in order to sort on"),
        ("POST", "/rg.1/_search", {"aggs": {"a": {"avg": {"field": "x"}}}}, {}, "unknown aggregation [avg]"),
        ("POST", "/rg.1/_search", b'{"query": ', {}, "the body is not JSON"),
        ("POST", "/rg.1/_search", b"[" * 100_000, {}, "the body is not JSON"),
        ("POST", "/_bulk", b'{"create": {"_index": "rg.1", "_id": "b"}}\n', {}, "unknown bulk action [create]"),
        ("POST", "/rg.1/_update/a", {"script": "ctx._source = null"}, {}, "unknown script"),
        ("POST", "/rg.1/_update/a", {"script": {"source": "x", "params": {}}}, {}, "unknown script"),
        ("PUT", "/rg.1", {"mappings": MAPPINGS}, {}, "index [rg.1] already exists"),
        ("PUT", "/rg.2", {"mappings": {"dynamic": True}}, {}, "mappings: dynamic must be strict"),
        ("PUT", "/rg.1/_mapping", {"properties": {"x": {"type": "ip"}}}, {}, "[x]: unknown type 'ip'"),
        ("PUT", "/rg.1/_mapping", {"properties": {"id": {"type": "long"}}}, {}, "mapper [id] cannot be changed"),
    ],
)
def test_a_call_that_is_not_known_is_refused(finder, method, path, body, options, reason):
    assert refused(finder, method, path, body, **options) == reason


@pytest.mark.parametrize("floors", [250, 400, 50_000])
def test_a_query_of_too_many_floors_is_refused(finder, floors):
    raw = b'{"query": ' + b'{"bool": {"must": ' * floors + b'{"match_all": {}}' + b"}}" * floors + b"}"
    assert refused(finder, "POST", "/rg.1/_search", raw) in ("the body is not JSON", "the body is nested too deep")
    assert finder.found(NOBODY) == ["a"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"author": "x"}, "mapping set to strict, dynamic introduction of [author] is not allowed"),
        (
            {"responses": [{"mood": 1}]},
            "mapping set to strict, dynamic introduction of [responses.mood] is not allowed",
        ),
        ({"metadata": {"rank": "second"}}, "[metadata.rank] of type [long] cannot hold this value"),
        ({"metadata": "mare"}, "[metadata] must hold an object"),
        ({"vectors": {"v1": [1]}}, "[vectors.v1] must be a vector of 2 numbers"),
        ({"vectors": {"v1": [1, float("nan")]}}, "[vectors.v1] must hold finite numbers"),
        ({"inserted_at": "yesterday"}, "[inserted_at] of type [date_nanos] cannot hold this value"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_hinders_no_other(finder, record, reason):
    told = finder.put(bad=record, good={"status": "pending"})
    assert told["errors"]
    assert told["items"][0]["index"]["error"]["reason"] == reason
    assert finder.found(NOBODY) == ["a", "good"]


@pytest.mark.parametrize("path", ["/rg.2/_search", "/rg.2/_update/a", "/rg.1/_update/b"])
def test_what_is_not_there_is_not_found(finder, path):
    assert finder.call("POST", path, {"doc": {}} if "_update" in path else {}).status_code == 404


@pytest.mark.parametrize("auth", [None, ("argilla", "guess"), ("somebody", "s3cret")])
def test_nobody_reads_without_the_password(finder, auth):
    reply = httpx2.get(f"{finder.client.base_url}/rg.1", auth=auth, trust_env=False)
    assert reply.status_code == 401


KEY = "Basic " + b64encode(b"argilla:s3cret").decode()


@pytest.mark.parametrize("header", ["Content-Length: -1", "Content-Length: 999999999", "Transfer-Encoding: chunked"])
def test_a_body_of_no_stated_length_is_refused_and_the_next_caller_is_served(finder, header):
    url = finder.client.base_url
    with socket.create_connection((url.host, url.port)) as caller:
        caller.sendall(f"POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\n{header}\r\n\r\n".encode())
        assert caller.recv(12) == b"HTTP/1.1 400"
    assert finder.found(NOBODY) == ["a"]


def test_no_body_is_awaited_from_who_has_no_password(finder):
    url = finder.client.base_url
    with socket.create_connection((url.host, url.port), timeout=5) as caller:
        caller.sendall(b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        assert caller.recv(12) == b"HTTP/1.1 401"


def test_many_callers_at_once_lose_nothing(finder):
    def write(caller: int) -> None:
        finder.put(**{f"{caller}-{n}": {"fields": {"query": f"mare {caller}"}} for n in range(20)})
        assert len(finder.found({"bool": {"must": [words(f"{caller}")]}}, size=100)) == 20

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert finder.search(NOBODY)["hits"]["total"]["value"] == 161


def test_a_record_with_a_vector_costs_well_under_a_millisecond():
    service = Service()
    properties = MAPPINGS["properties"] | {"vectors.v1": MAPPINGS["properties"]["vectors.v1"] | {"dimension": 128}}
    service.answer("PUT", "/rg.1", json.dumps({"mappings": MAPPINGS | {"properties": properties}}).encode())
    text = "La raccolta delle olive comincia quando un terzo dei frutti ha cambiato colore. " * 25
    record = {
        "fields": {"query": "quando si raccoglie", "passages": text},
        "metadata": {"theme": "olio", "rank": 3, "margin": 0.25},
        "responses": [response("r1", "anna", "submitted", grade=3)],
        "vectors": {"v1": [((7 * n) % 11 - 5) / 11 for n in range(128)]},
    }
    lines = [line for n in range(1000) for line in ({"index": {"_index": "rg.1", "_id": str(n)}}, record)]
    raw = "\n".join(map(json.dumps, lines)).encode()
    begun = time.process_time()
    assert not service.answer("POST", "/_bulk", raw)["errors"]
    assert time.process_time() - begun < 1.0
