"""Generated searches, sent to Elasticsearch and to the service: what must be the same is the same, byte for byte."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.service.search.articles import INDEX, searches

COUNT = 120
PATH = f"/{INDEX}/_search"
_VARYING = re.compile(rb'"took"( ?: ?)\d+')
_OURS = re.compile(rb'("(?:_score|max_score)" ?: ?)[-\d.eE+]+')


def bare(body: bytes) -> bytes:
    """A response without its time."""
    return _VARYING.sub(rb'"took"\g<1>0', body)


def without_scores(body: bytes) -> bytes:
    """A response without what a reranking may change in it, when the order stays."""
    return _OURS.sub(rb"\g<1>0", bare(body))


async def test_searches_that_do_not_ask_are_the_servers_own(
    direct: httpx.AsyncClient, proxied: httpx.AsyncClient
) -> None:
    for parameters, body in searches(COUNT, seed=1):
        ours = await proxied.post(PATH, params=parameters, json=body)
        servers = await direct.post(PATH, params=parameters, json=body)
        assert ours.status_code == servers.status_code
        assert bare(ours.content) == bare(servers.content), (parameters, body)
        assert "X-Rerank-Status" not in ours.headers


async def test_an_order_that_stays_leaves_every_byte_but_the_scores(
    direct: httpx.AsyncClient, proxied: httpx.AsyncClient
) -> None:
    said: dict[str, int] = {}
    for parameters, body in searches(COUNT, seed=2):
        servers = await direct.post(PATH, params=parameters, json=body)
        asking = {**body, "ext": {"rerank": {"fields": ["title", "body"]}}}
        ours = await proxied.post(PATH, params=parameters, json=asking)
        assert ours.status_code == servers.status_code, (parameters, body, ours.text)
        assert without_scores(ours.content) == without_scores(servers.content), (parameters, body)
        if ours.status_code == 200:
            status = ours.headers["X-Rerank-Status"]
            said[status] = said.get(status, 0) + 1
    assert said["ok"] > COUNT / 3, said
    assert {status.partition(";")[0] for status in said} <= {"ok", "skipped"}, said


async def test_msearch_is_the_same(direct: httpx.AsyncClient, proxied: httpx.AsyncClient) -> None:
    several = [body for _, body in searches(COUNT, seed=3)]
    answered = 0
    for start in range(0, COUNT, 10):
        some = several[start : start + 10]
        plain = lines(some)
        asking = lines([{**body, "ext": {"rerank": {"fields": ["title", "body"]}}} for body in some])
        servers = await direct.post("/_msearch", content=plain, headers=NDJSON)
        untouched = await proxied.post("/_msearch", content=plain, headers=NDJSON)
        ours = await proxied.post("/_msearch", content=asking, headers=NDJSON)
        assert bare(untouched.content) == bare(servers.content)
        assert without_scores(ours.content) == without_scores(servers.content)
        if servers.status_code == 200:  # one search that the server finds wrong fails the whole request
            assert ours.headers["X-Rerank-Status"].count(",") == len(some) - 1
            answered += 1
    assert answered > COUNT / 10 / 3


NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(bodies: list[dict[str, Any]]) -> str:
    """The body of an _msearch."""
    header = json.dumps({"index": INDEX})
    return "".join(f"{header}\n{json.dumps(body)}\n" for body in bodies)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"query":{"match":{"body":"river"}},"query":{"match_all":{}}}',
        b'{"query":{"nonsense":{}}}',
        b'{"size":-1}',
        b'{"size":"many"}',
        b'{"from":20000}',
        b'{"size":20000}',
        b'{"query":{"match":{"body":"river"}},"sort":["body"]}',
        b'{"unknown":1}',
        b'{"retriever":{"text_similarity_reranker":{"inference_id":"somebody-elses"}}}',
        b'{"ext":{"other":{}}}',
    ],
)
async def test_what_the_server_refuses_it_refuses_in_its_own_words(
    body: bytes, direct: httpx.AsyncClient, proxied: httpx.AsyncClient
) -> None:
    headers = {"Content-Type": "application/json"}
    ours = await proxied.post(PATH, content=body, headers=headers)
    servers = await direct.post(PATH, content=body, headers=headers)
    assert ours.status_code == servers.status_code
    assert bare(ours.content) == bare(servers.content)


@pytest.mark.parametrize(
    "body",
    [{"query": {"nonsense": {}}}, {"size": 20000}, {"sort": ["body"]}, {"from": 9995}, {"size": "many"}, {"size": -2}],
)
async def test_asking_changes_nothing_about_errors(
    body: dict[str, Any], direct: httpx.AsyncClient, proxied: httpx.AsyncClient
) -> None:
    asking = {**body, "ext": {"rerank": {"query": "river"}}}
    ours = await proxied.post(PATH, json=asking)
    servers = await direct.post(PATH, json=body)
    assert (ours.status_code, bare(ours.content)) == (servers.status_code, bare(servers.content))
