"""Every route of Elasticsearch's own specification passes, with each of its methods."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from es_reasonrank.elastic.embedded import Server
from tests.service.conftest import Serve, serving
from tests.service.servers.recording import Recorder, recording
from tests.service.servers.routes import Route, routes

VERSION = "9.5.3"
OURS = {("POST", "/_inference/rerank/{inference_id}"), ("POST", "/_inference/{task_type}/{inference_id}")}
"""Routes of the service's own that Elasticsearch has, too."""
SLOW = {"nodes.hot_threads"}
NAMES = {"index": "library", "id": "array.array.tolist", "metric": "_all", "index_metric": "_all", "name": "library"}
"""What parts of a path are called in the fixture; others are called something that is not there."""


@pytest.fixture(scope="module")
def specified() -> Sequence[Route]:
    """All routes."""
    return routes(VERSION)


@pytest.fixture(scope="module")
async def recorder() -> AsyncIterator[Recorder]:
    async with recording() as running:
        yield running


async def test_every_route_arrives_byte_for_byte(specified: Sequence[Route], recorder: Recorder) -> None:
    """With names that a careless proxy would decode, encode again or cut."""
    body, passed = b'{"a":  "\xc3\xa9"}\n', Counter[str]()
    service = serving({"profile": "identity", "elastic.url": recorder.url})
    async with service as url, httpx.AsyncClient(base_url=url) as client:
        for route in specified:
            if (route.method, route.path) in OURS:
                continue
            target = route.filled(lambda part: f"%3C{part}-%7Bnow%2Fd%7D%3E,b*%20c") + "?pretty&a=%2B&a=b+c"
            content = body if route.has_body and route.method != "HEAD" else None
            answer = await client.send(_request(client, route.method, target, content))
            assert answer.status_code == 200, route
            assert recorder.last.line == f"{route.method} {target} HTTP/1.1".encode()
            assert recorder.last.body == (content or b"")
            passed[route.method] += 1
    assert len(recorder.requests) == passed.total()
    assert passed.total() > 700
    assert passed.keys() == {"GET", "HEAD", "POST", "PUT", "DELETE"}


async def test_every_route_that_only_reads_answers_as_the_server_does(
    specified: Sequence[Route], serve: Serve, server: Server, library: str
) -> None:
    """Most answer; those that this server does not have answer as it does then."""
    if server.version != VERSION:
        pytest.skip(f"the routes are those of {VERSION}")
    compared = Counter[int]()
    async with serve() as url, httpx.AsyncClient(timeout=60) as client:
        for route in specified:
            if route.method not in ("GET", "HEAD") or route.api in SLOW:
                continue
            target = route.filled(lambda part: NAMES.get(part, "none"))
            before = await _asked(client, server.url, route.method, target)
            got = await _asked(client, url, route.method, target)
            after = await _asked(client, server.url, route.method, target)
            assert got[:2] == before[:2], route
            # Times and counters differ from one call to the next; what the server repeats, the proxy must repeat.
            assert got[2] == before[2] if before[2] == after[2] else _kind(got[2]) == _kind(before[2]), route
            compared[got[0]] += 1
    assert compared[200] > 60
    assert compared.total() > 250


def _request(client: httpx.AsyncClient, method: str, target: str, content: bytes | None) -> httpx.Request:
    """A request whose target is not encoded again."""
    request = client.build_request(method, "/", content=content)
    request.url = client.base_url.copy_with(raw_path=target.encode())
    return request


async def _asked(client: httpx.AsyncClient, base: str, method: str, target: str) -> tuple[int, str, bytes]:
    answer = await client.request(method, base + target)
    return answer.status_code, answer.headers.get("content-type", ""), answer.content


def _kind(body: bytes) -> object:
    """What stays of an answer when its numbers change."""
    try:
        return sorted(json.loads(body))
    except ValueError:
        return re.sub(rb"[\d.]+\w*", b"", body).split()[:1]
