"""A real Elasticsearch answers through the proxy what it answers directly, to the byte."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import cbor2
import httpx
import pytest

from tests.service.conftest import Serve

DOCUMENTS = 5_000
LEFT_OUT = ("date", "server", "transfer-encoding")
"""Headers of the one connection or of the other."""


@pytest.fixture(scope="module")
async def proxied(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service."""
    async with serve() as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
async def direct(elastic_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of Elasticsearch itself."""
    async with httpx.AsyncClient(base_url=elastic_url, timeout=30) as client:
        yield client


async def raw(client: httpx.AsyncClient, method: str, target: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and the body as it lies on the wire, packed or not."""
    request = client.build_request(method, target, **more)
    response = await client.send(request, stream=True)
    try:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    finally:
        await response.aclose()
    headers = {name: value for name, value in response.headers.items() if name not in LEFT_OUT}
    return response.status_code, headers, body


SEARCHES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/{index}/_doc/array.array.tolist?pretty", {}),
    ("GET", "/{index}/_mapping", {}),
    ("GET", "/{index}/_mapping?format=yaml", {}),
    ("GET", "/{index}/_settings?flat_settings&human", {}),
    ("GET", "/{index}/_mapping", {"headers": {"Accept": "application/cbor"}}),
    ("GET", "/{index}/_mapping", {"headers": {"Accept": "application/smile"}}),
    ("GET", "/_cat/indices/{index}?h=index,docs.count&v", {}),
    ("GET", "/_cat/indices/{index}?h=index,docs.count&format=json", {}),
    ("GET", "/{index}/_doc/none", {}),
    ("GET", "/none/_search", {}),
    ("GET", "/none/_doc/1?pretty", {}),
    ("GET", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search", {}),
    ("GET", "/%3Clogs-%7Bnow%2Fd%7D%3E/_search?ignore_unavailable=true&filter_path=hits", {}),
    ("HEAD", "/{index}", {}),
    ("HEAD", "/none", {}),
    ("HEAD", "/{index}/_doc/none", {}),
    ("PUT", "/{index}", {}),
    ("PUT", "/Upper", {}),
    ("POST", "/{index}/_search", {"content": b"{not json", "headers": {"Content-Type": "application/json"}}),
    ("POST", "/{index}/_search", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
    ("POST", "/{index}/_search", {"content": b"\x00\xff\xfe", "headers": {"Content-Type": "application/cbor"}}),
    ("POST", "/{index}/_search", {"json": {"query": {"nonsense": {}}}}),
    ("POST", "/{index}/_search?filter_path=hits.hits._id&filter_path=hits.total", {"json": {"size": 3}}),
    ("POST", "/{index}/_count", {"json": {"query": {"match": {"body": "list"}}}}),
    ("POST", "/{index}/_count", {"headers": {"Content-Type": "application/json; charset=UTF-8"}, "content": b"{}"}),
    ("POST", "/_analyze", {"json": {"analyzer": "standard", "text": "Grüße, 世界"}}),
    ("DELETE", "/none", {}),
    ("PATCH", "/{index}", {}),
    ("GET", "/_nonsense", {}),
    ("OPTIONS", "/{index}", {}),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("method", "target", "more"), SEARCHES)
async def test_answers_are_the_servers(
    proxied: httpx.AsyncClient,
    direct: httpx.AsyncClient,
    library: str,
    method: str,
    target: str,
    more: dict[str, Any],
    packed: bool,
) -> None:
    accepted = {"Accept-Encoding": "gzip" if packed else "identity", "X-Opaque-Id": "test"}
    more = {**more, "headers": {**more.get("headers", {}), **accepted}}
    target = target.format(index=library)
    assert await raw(proxied, method, target, **more) == await raw(direct, method, target, **more)


async def test_packed_bodies_pass_packed(proxied: httpx.AsyncClient, direct: httpx.AsyncClient, library: str) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "Accept-Encoding": "gzip"}
    content = gzip.compress(b'{"query": {"match": {"body": "list"}}, "size": 50}')
    target = f"/{library}/_search?filter_path=hits"
    got = await raw(proxied, "POST", target, content=content, headers=headers)
    assert got[1]["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(got[2]))["hits"]["hits"]) > 10
    assert got == await raw(direct, "POST", target, content=content, headers=headers)


async def test_many_documents_go_in_and_are_read_again(proxied: httpx.AsyncClient, index_name: str) -> None:
    rows = [line for n in range(DOCUMENTS) for line in ({"index": {"_id": str(n)}}, {"n": n, "text": f"passage {n} ☃"})]
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    headers = {"Content-Type": "application/x-ndjson"}
    answer = await proxied.post(f"/{index_name}/_bulk?refresh=true", content=pieces(), headers=headers)
    assert answer.json()["errors"] is False
    assert len(answer.json()["items"]) == DOCUMENTS
    assert await _scrolled(proxied, index_name) == list(range(DOCUMENTS))
    assert await _paged(proxied, index_name) == list(range(DOCUMENTS))


async def _scrolled(client: httpx.AsyncClient, index: str) -> list[int]:
    found: list[int] = []
    page = (await client.post(f"/{index}/_search?scroll=1m", json={"size": 1000, "sort": ["n"]})).json()
    while page["hits"]["hits"]:
        found += [hit["_source"]["n"] for hit in page["hits"]["hits"]]
        page = (await client.post("/_search/scroll", json={"scroll": "1m", "scroll_id": page["_scroll_id"]})).json()
    gone = await client.request("DELETE", "/_search/scroll", json={"scroll_id": page["_scroll_id"]})
    assert gone.json()["succeeded"] is True
    return found


async def _paged(client: httpx.AsyncClient, index: str) -> list[int]:
    """By a point in time and search_after."""
    found: list[int] = []
    pit = (await client.post(f"/{index}/_pit?keep_alive=1m")).json()["id"]
    body: dict[str, Any] = {"size": 2000, "sort": ["n"], "pit": {"id": pit, "keep_alive": "1m"}}
    while hits := (await client.post("/_search", json=body)).json()["hits"]["hits"]:
        found += [hit["_source"]["n"] for hit in hits]
        body["search_after"] = hits[-1]["sort"]
    assert (await client.request("DELETE", "/_pit", json={"id": pit})).json()["succeeded"] is True
    return found


async def test_formats_other_than_json_go_both_ways(proxied: httpx.AsyncClient, library: str) -> None:
    headers = {"Content-Type": "application/cbor", "Accept": "application/cbor"}
    body = cbor2.dumps({"query": {"match_all": {}}, "size": 2})
    answer = await proxied.post(f"/{library}/_search", content=body, headers=headers)
    assert answer.status_code == 200
    assert len(cbor2.loads(answer.content)["hits"]["hits"]) == 2


async def test_a_packed_search_is_reranked(proxied: httpx.AsyncClient, library: str) -> None:
    body = {"query": {"match": {"body": "list"}}, "ext": {"rerank": {"query": "list", "profile": "identity"}}}
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    plain = await proxied.post(f"/{library}/_search", json={"query": body["query"]})
    assert "X-Rerank-Status" not in plain.headers
    packed = gzip.compress(json.dumps(body).encode())
    got = await proxied.post(f"/{library}/_search", content=packed, headers=headers)
    assert got.headers["X-Rerank-Status"] == "ok"
    assert [hit["_id"] for hit in got.json()["hits"]["hits"]] == [hit["_id"] for hit in plain.json()["hits"]["hits"]]


@pytest.mark.parametrize("form", ["whole", "in pieces", "packed"])
async def test_a_search_that_is_too_large_to_be_read_passes(
    serve: Serve, direct: httpx.AsyncClient, library: str, form: str
) -> None:
    """It is told why it cannot have been reranked."""
    body = json.dumps({"query": {"terms": {"_id": ["array.array.tolist", *(["x" * 100] * 30)]}}}).encode()
    headers = {"Content-Type": "application/json"}
    content: bytes | AsyncIterator[bytes] = body
    if form == "in pieces":
        content = _halves(body)
    elif form == "packed":
        content = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
        assert len(content) < 1_000
    target = f"/{library}/_search?filter_path=hits"
    async with serve({"service.max_body": 1_000}) as url, httpx.AsyncClient(base_url=url) as client:
        got = await client.post(target, content=content, headers=headers)
        small = await client.post(target, json={})
    assert got.headers["X-Rerank-Status"] == "skipped; reason=body_too_large"
    assert (
        got.content == (await direct.post(target, content=body, headers={"Content-Type": "application/json"})).content
    )
    assert len(got.json()["hits"]["hits"]) == 1
    assert "X-Rerank-Status" not in small.headers


async def _halves(body: bytes) -> AsyncIterator[bytes]:
    yield body[:500]
    yield body[500:]


async def test_dates_in_names_reach_the_index_of_today(proxied: httpx.AsyncClient) -> None:
    name = "%3Cpassing-%7Bnow%2Fd%7D%3E"
    answer = await proxied.put(f"/{name}/_doc/1?refresh=true", json={"a": 1})
    try:
        assert re.fullmatch(r"passing-\d{4}\.\d\d\.\d\d", answer.json()["_index"])
        assert (await proxied.get(f"/{name}/_count")).json()["count"] == 1
    finally:
        await proxied.delete(f"/{answer.json()['_index']}")


async def test_an_index_called_like_a_route_of_ours(proxied: httpx.AsyncClient) -> None:
    made = await proxied.put("/rerank")
    assert made.json()["acknowledged"] is True
    put = await proxied.put("/rerank/_doc/1?refresh=true", json={"a": 1})
    assert put.status_code == 201
    assert (await proxied.get("/rerank/_search")).json()["hits"]["total"]["value"] == 1
    assert (await proxied.head("/rerank")).status_code == 200
    assert (await proxied.delete("/rerank")).json()["acknowledged"] is True
