"""`POST /v1/feedback` over HTTP, into a real judgments index and the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.mappings import Kind, index_body
from es_reasonrank.evaluation.rollout_log import Broken, Clicked, read
from es_reasonrank.service.keys import new_key
from tests.service.conftest import Serve

pytestmark = pytest.mark.one_version

CLICK = {"event": "click", "search_id": "s1", "index": "docs", "document": "a", "position": 2}
RATING = {"event": "rating", "query": "why", "index": "docs", "document": "a", "grade": 2}


@pytest.fixture
async def judgments(es: AsyncElasticsearch) -> AsyncIterator[str]:
    """Name of a judgments index that is not there yet."""
    name = f"judgments-{uuid4().hex}"
    yield name
    await es.indices.delete(index=name, ignore_unavailable=True)


async def kept(es: AsyncElasticsearch, judgments: str) -> list[dict[str, Any]]:
    await es.indices.refresh(index=judgments)
    found = await es.search(index=judgments, size=100)
    return [hit["_source"] for hit in found["hits"]["hits"]]


def logged(path: Path) -> list[Clicked]:
    return [line for line in read([path], Broken()) if isinstance(line, Clicked)]


async def test_events_are_kept_once(serve: Serve, es: AsyncElasticsearch, judgments: str, tmp_path: Path) -> None:
    log = tmp_path / "rollout.log"
    flags = {"service.judgments_index": judgments, "service.rollout.log": str(log)}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        one = await client.post("/v1/feedback", json=CLICK)
        again = await client.post("/v1/feedback", json=[CLICK, {**CLICK, "document": "b", "event": "conversion"}])
        await client.post("/v1/feedback", json=RATING)
        better = await client.post("/v1/feedback", json={**RATING, "grade": 3})
    assert one.status_code == again.status_code == better.status_code == 200, again.text
    assert one.json()["accepted"] == 1
    assert one.json()["ids"] == again.json()["ids"][:1]
    rows = await kept(es, judgments)
    assert len(rows) == 3
    assert {(row["document"], row["event"], row.get("grade")) for row in rows} == {
        ("a", "click", None),
        ("b", "conversion", None),
        ("a", "rating", 3),
    }
    clicks = logged(log)
    assert {(click.search, click.document, click.event, click.position) for click in clicks} == {
        ("s1", "a", "click", 2),
        ("s1", "b", "conversion", 2),
    }
    assert len({click.id for click in clicks}) == 2


async def test_the_index_gets_our_mapping(serve: Serve, es: AsyncElasticsearch, judgments: str) -> None:
    async with serve({"service.judgments_index": judgments}) as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/v1/feedback", json=CLICK)
    mapping = await es.indices.get_mapping(index=judgments)
    assert mapping[judgments]["mappings"]["properties"] == index_body(Kind.JUDGMENTS)["mappings"]["properties"]
    await es.indices.refresh(index=judgments)
    assert (await es.count(index=judgments, query={"term": {"search": "s1"}}))["count"] == 1


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 400, "the body is empty"),
        (b"{", 400, "the body is not JSON"),
        (b"[]", 422, "a request holds 1 to 1000 events"),
        (b'{"event": "click", "document": "a"}', 422, "event 1: a click needs search_id or query"),
        (b'[{"event": "click", "document": "a", "search_id": "s"}, {"event": 1}]', 422, "event 2: key"),
    ],
)
async def test_bad_input_is_one_sentence_and_keeps_nothing(
    serve: Serve, es: AsyncElasticsearch, judgments: str, content: bytes, status: int, sentence: str
) -> None:
    async with serve({"service.judgments_index": judgments}) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/v1/feedback", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert sentence in answer.json()["error"]
    assert not await es.indices.exists(index=judgments)


async def test_half_a_surrogate_pair(serve: Serve, es: AsyncElasticsearch, judgments: str) -> None:
    async with serve({"service.judgments_index": judgments}) as url, httpx.AsyncClient(base_url=url) as client:
        body = b'{"event": "click", "query": "\\ud83d", "document": "a"}'
        answer = await client.post("/v1/feedback", content=body)
    assert answer.status_code == 200
    assert [row["query"] for row in await kept(es, judgments)] == ["\ufffd"]


async def test_a_key_with_scope_write_is_needed(serve: Serve, judgments: str) -> None:
    writes, ranks = new_key(), new_key()
    keys = [
        {"name": "app", "hash": writes.hash, "scopes": ["write"]},
        {"name": "other", "hash": ranks.hash, "scopes": ["rerank"]},
    ]
    flags = {"service.judgments_index": judgments, "service.api_keys": keys}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        statuses = []
        for key in ("", "nonsense", ranks.key, writes.key):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = await client.post("/v1/feedback", json=CLICK, headers=headers)
            statuses.append(answer.status_code)
            if answer.status_code != 200:
                assert answer.json().keys() == {"error"}
    assert statuses == [401, 401, 403, 200]


async def test_an_index_that_takes_nothing(
    serve: Serve, es: AsyncElasticsearch, judgments: str, tmp_path: Path
) -> None:
    """The click is in the log all the same, and may be sent again."""
    log = tmp_path / "rollout.log"
    await es.indices.create(index=judgments, settings={"index.blocks.write": True})
    flags = {"service.judgments_index": judgments, "service.rollout.log": str(log)}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        refused = await client.post("/v1/feedback", json=CLICK)
        await es.indices.put_settings(index=judgments, settings={"index.blocks.write": False})
        taken = await client.post("/v1/feedback", json=CLICK)
    assert refused.status_code == 503
    assert "1 of 1 events did not get into index" in refused.json()["error"]
    assert taken.status_code == 200
    assert len(await kept(es, judgments)) == 1
    assert len({click.id for click in logged(log)}) == 1


async def test_other_methods_and_paths_are_elasticsearchs(serve: Serve) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/v1/feedback")
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
