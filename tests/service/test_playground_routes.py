"""What the playground's page calls: searches as streams, judgments in the real index, and every error as a sentence."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.service.keys import new_key
from tests.service.conftest import Serve, serving
from tests.service.servers.models import ModelServer, model_server
from tests.service.servers.recording import recording

pytestmark = pytest.mark.one_version

QUERY = "parse command line arguments"
CALLERS = (("X", ""), ("Authorization", "ApiKey x"), ("X-Forwarded-For", "1.2.3.4"), ("Host", "a.example"))
_EMPTY = b'{"indices": [], "aliases": [], "data_streams": []}'
NO_INDICES = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"X-Elastic-Product: Elasticsearch\r\ncontent-length: %d\r\n\r\n%s" % (len(_EMPTY), _EMPTY)
)
"""What a server without indices answers when it is asked for them."""
STATIC = resources.files("es_reasonrank.service.playground") / "static"
SCRIPTS = [file.name for file in STATIC.iterdir() if file.name.endswith(".js")]


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def judgments(index_name: str) -> str:
    """The name of a judgments index that is not there yet."""
    return index_name


@pytest.fixture
async def client(
    serve: Serve, library: str, model: ModelServer, judgments: str, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    model.mode("ok")
    flags = {"service.profiles": (model.profile(tmp_path),), "service.judgments_index": judgments}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def events(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    """All events of a search."""
    body = {"index": "library", "query": QUERY, "profile": "backwards", "depth": 10, **asked}
    answer = await client.post("/playground/api/search", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_search_is_told_of_as_it_goes_on(client: httpx.AsyncClient, es: AsyncElasticsearch) -> None:
    found, window, ranked = await events(client)
    assert [found["event"], window["event"], ranked["event"]] == ["found", "window", "ranked"]
    match = {"query": QUERY, "fields": ["title.english", "body.english"], "tie_breaker": 0.5}
    direct = await es.search(index="library", query={"multi_match": match}, size=20)
    assert [hit["id"] for hit in found["hits"]] == [hit["_id"] for hit in direct["hits"]["hits"]]
    assert [hit["score"] for hit in found["hits"]] == [hit["_score"] for hit in direct["hits"]["hits"]]
    assert window["shown"] == list(range(1, 11))
    assert ranked["order"] == [*range(10, 0, -1), *range(11, 21)]
    assert ranked["summary"] == "10 of the top 10 changed; result 10 moved to 1."
    assert (ranked["status"], ranked["reason"], ranked["remembered"]) == ("ok", "", False)


async def test_a_search_that_was_made_before_is_told_of_in_full(client: httpx.AsyncClient) -> None:
    first = await events(client)
    again = await events(client)
    assert [event["event"] for event in again] == ["found", "window", "ranked"]
    assert again[2]["order"] == first[2]["order"]
    assert again[2]["remembered"]


async def test_a_search_body_is_searched_as_it_is(client: httpx.AsyncClient, es: AsyncElasticsearch) -> None:
    query = {"bool": {"must": {"match": {"body": "file"}}, "filter": {"match": {"title": "io"}}}}
    found, *_ = await events(client, query="", body=json.dumps({"query": query, "size": 1}))
    direct = await es.search(index="library", query=query, size=20)
    assert found["query"] == "file"
    assert [hit["id"] for hit in found["hits"]] == [hit["_id"] for hit in direct["hits"]["hits"]]


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"index": "no-such-index"}, 404, "index 'no-such-index' does not exist"),
        ({"query": " "}, 400, "the query is empty"),
        ({"body": "{"}, 400, "the search body is not valid JSON"),
        ({"body": '{"query": {"mtach": {"body": "x"}}}'}, 400, "Elasticsearch does not accept the request"),
        ({"profile": "backward"}, 400, "did you mean 'backwards'?"),
        ({"fields": ["boddy"]}, 400, "has no field 'boddy' (did you mean 'body'?)"),
        ({"depth": 100_000}, 400, "depth 100000 is more than the 1000 hits"),
        ({"depth": 0}, 422, "depth"),
        ({"deadline": "soon"}, 422, "deadline"),
        ({"no": "such key"}, 422, "no"),
    ],
)
async def test_what_is_wrong_is_said_in_one_sentence(
    client: httpx.AsyncClient, asked: dict[str, Any], status: int, message: str
) -> None:
    body = {"index": "library", "query": QUERY, "profile": "backwards", **asked}
    answer = await client.post("/playground/api/search", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


async def test_a_model_that_fails_leaves_the_base_order(client: httpx.AsyncClient, model: ModelServer) -> None:
    model.mode("broken")
    *_, ranked = await events(client)
    assert ranked["order"] == list(range(1, 21))
    assert (ranked["status"], ranked["reason"]) == ("failed", "model_failed")
    assert "Traceback" not in ranked["detail"]


async def test_a_server_that_is_down_is_said_so(serve: Serve) -> None:
    async with serve({"elastic.url": "http://127.0.0.1:9"}) as url, httpx.AsyncClient(base_url=url) as client:
        for answer in (
            await client.get("/playground/api/setup"),
            await client.post("/playground/api/search", json={"index": "library", "query": QUERY}),
        ):
            assert answer.status_code == 502
            assert answer.json()["error"].startswith("Elasticsearch cannot be reached")


async def test_what_is_copied_gives_the_same_order(client: httpx.AsyncClient) -> None:
    found, _, ranked = await events(client)
    expected = [found["hits"][rank - 1]["id"] for rank in ranked["order"]]
    response = json.loads(await output("bash", "-c", f"{found['copies']['curl']} --silent"))
    assert [hit["_id"] for hit in response["hits"]["hits"]] == expected
    printed = await output(sys.executable, "-c", found["copies"]["python"])
    assert [line.split()[1] for line in printed.splitlines()] == expected


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=os.environ)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


def rating(grade: int, document: str, query: str = QUERY) -> dict[str, Any]:
    return {"query": query, "document": {"index": "library", "id": document}, "grade": grade}


async def test_a_new_rating_takes_the_place_of_the_old(
    client: httpx.AsyncClient, es: AsyncElasticsearch, judgments: str
) -> None:
    for grade in (3, 1):
        answer = await client.post("/playground/api/judgments", json=rating(grade, "argparse", f" {QUERY} "))
        assert answer.status_code == 204
    found = await es.search(index=judgments)
    [hit] = found["hits"]["hits"]
    kept = {key: hit["_source"][key] for key in ("query", "document", "index", "grade", "source")}
    assert kept == {"query": QUERY, "document": "argparse", "index": "library", "grade": 1, "source": "human"}
    mapping = await es.indices.get_mapping(index=judgments)
    assert mapping[judgments]["mappings"]["properties"]["grade"]["type"] == "float"


async def test_both_orders_are_measured_against_ratings(client: httpx.AsyncClient) -> None:
    base = [{"index": "library", "id": name} for name in ("a", "b", "c")]
    asked = {"query": QUERY, "base": base, "reranked": base[::-1]}
    answer = await client.post("/playground/api/measures", json=asked)
    assert answer.json() == {"grades": [], "base": None, "reranked": None}
    await client.post("/playground/api/judgments", json=rating(2, "c"))
    await client.post("/playground/api/judgments", json=rating(3, "c", "another query"))
    measures = (await client.post("/playground/api/measures", json=asked)).json()
    assert measures["grades"] == [{"index": "library", "id": "c", "grade": 2, "source": "human"}]
    assert measures["base"] == {"ndcg": pytest.approx(0.5), "judged": 1}
    assert measures["reranked"] == {"ndcg": pytest.approx(1.0), "judged": 1}


async def test_clicks_are_no_grades_and_humans_count_before_models(
    client: httpx.AsyncClient, es: AsyncElasticsearch, judgments: str
) -> None:
    await client.post("/playground/api/judgments", json=rating(1, "a"))
    for source, document, grade in (("model", "a", 3), ("model", "b", 2), ("click", "c", 1)):
        row = {"query_id": "7", "query": QUERY, "index": "library", "source": source, "document": document}
        await es.index(index=judgments, document={**row, "grade": grade}, refresh=True)
    named = [{"index": "library", "id": name} for name in "abc"]
    asked = {"query": QUERY, "base": named, "reranked": named}
    grades = (await client.post("/playground/api/measures", json=asked)).json()["grades"]
    assert {grade["id"]: (grade["grade"], grade["source"]) for grade in grades} == {
        "a": (1, "human"),
        "b": (2, "model"),
    }


async def test_judged_queries_are_listed(client: httpx.AsyncClient) -> None:
    assert (await client.get("/playground/api/queries")).json() == {"queries": []}
    for document, query in (("a", "first"), ("b", "first"), ("a", "second")):
        await client.post("/playground/api/judgments", json=rating(1, document, query))
    listed = (await client.get("/playground/api/queries")).json()["queries"]
    assert listed == [
        {"query": "first", "index": "library", "judged": 2},
        {"query": "second", "index": "library", "judged": 1},
    ]


async def test_no_other_page_writes(client: httpx.AsyncClient, es: AsyncElasticsearch, judgments: str) -> None:
    body = json.dumps(rating(3, "argparse"))
    as_form = await client.post("/playground/api/judgments", content=body, headers={"Content-Type": "text/plain"})
    foreign = {"Content-Type": "application/json", "Origin": "https://example.org"}
    from_elsewhere = await client.post("/playground/api/judgments", content=body, headers=foreign)
    assert (as_form.status_code, from_elsewhere.status_code) == (422, 403)
    assert not await es.indices.exists(index=judgments)


async def test_writing_needs_the_scope(serve: Serve, library: str, judgments: str, es: AsyncElasticsearch) -> None:
    reads, writes = new_key(), new_key()
    keys = [
        {"name": "reader", "hash": reads.hash, "scopes": ["rerank"]},
        {"name": "writer", "hash": writes.hash, "scopes": ["write"]},
    ]
    flags = {"service.api_keys": keys, "service.judgments_index": judgments}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        statuses = []
        for headers in ({}, {"X-Api-Key": reads.key}, {"X-Api-Key": writes.key}):
            answer = await client.post("/playground/api/judgments", json=rating(2, "argparse"), headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [401, 403, 204]
        assert (await client.get("/playground/api/queries")).status_code == 401
    assert (await es.count(index=judgments))["count"] == 1


async def test_the_page_can_be_turned_off(serve: Serve) -> None:
    async with serve({"service.playground": False}) as url, httpx.AsyncClient(base_url=url) as client:
        for path in ("", "/static/main.js", "/api/setup"):
            assert (await client.get(f"/playground{path}")).status_code == 404
        assert (await client.post("/playground/api/search", json={"index": "a", "query": "b"})).status_code == 404


async def test_the_page_is_whole_and_strict(client: httpx.AsyncClient) -> None:
    page = await client.get("/playground")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", page.text)
    wanted = set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text))
    assert len(wanted) > 4
    for path in wanted | {f"/playground/static/{name}" for name in SCRIPTS}:
        file = await client.get(path)
        assert file.status_code == 200, path
        assert file.headers["x-content-type-options"] == "nosniff"
    for path in ("nothing.js", "..%2froutes.py", "%2e%2e%2froutes.py"):
        assert (await client.get(f"/playground/static/{path}")).status_code in (400, 404)


async def test_a_search_has_its_callers_rights() -> None:
    """The server behind it only writes down who asks."""
    async with recording(NO_INDICES) as server:
        flags = {"elastic.url": server.url, "elastic.username": "service", "elastic.password": "own-secret"}
        async with serving({"profile": "identity", **flags}) as url, httpx.AsyncClient(base_url=url) as client:
            asked = []
            for name, value in CALLERS:
                server.requests.clear()
                answer = await client.get("/playground/api/setup", headers={name: value})
                sent = [request.of(b"authorization") for request in server.requests if b"resolve" in request.line]
                asked.append((answer.status_code, sent))
    own_login = b"Basic " + base64.b64encode(b"service:own-secret")
    assert asked == [(200, [[own_login]]), (200, [[b"ApiKey x"]]), (401, []), (401, [])]
