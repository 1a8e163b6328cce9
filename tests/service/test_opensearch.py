"""OpenSearch behind the proxy, spoken to by its own client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from elasticsearch import AsyncElasticsearch, UnsupportedProductError

from tests.service.conftest import serving
from tests.service.servers.installed import python_client, python_packages
from tests.service.servers.nodes import opensearch

RERANK = {"query": "sheep", "fields": ["text"], "profile": "identity"}


@pytest.fixture(scope="module")
def opensearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with opensearch(tmp_path_factory.mktemp("opensearch")) as url:
        yield url


@pytest.fixture(scope="module")
async def proxied(opensearch_url: str) -> AsyncIterator[str]:
    """A service in front of it."""
    async with serving({"profile": "identity", "elastic.url": opensearch_url}) as url:
        yield url


@pytest.fixture(scope="module")
async def done(proxied: str) -> Any:
    """What opensearch-py got through the proxy; it leaves an index of forty passages."""
    packages = python_packages("opensearch-py[async]==3.2.0")
    return await python_client("opensearch_py.py", proxied, "sheep", packages=packages)


async def test_its_client_works(done: Any) -> None:
    plain = done["plain"]
    assert plain["distribution"] == "opensearch"
    assert plain["bulk"] == plain["scrolled"] == 40
    assert plain["found"] == plain["paged"] == plain["reranked"] == done["async"]["found"]
    assert len(plain["found"]) == 3
    assert plain["many"] == [200, 404]
    assert plain["error"] == ["NotFoundError", 404, "index_not_found_exception"]
    assert plain["exists"] == [True, False]


async def test_a_search_is_reranked(done: Any, proxied: str) -> None:
    search = {"query": {"match": {"text": "sheep"}}, "size": 5}
    async with httpx.AsyncClient(base_url=proxied) as client:
        base = await client.post("/sheep/_search", json=search)
        reranked = await client.post("/sheep/_search", json={**search, "ext": {"rerank": RERANK}})
    assert "X-Rerank-Status" not in base.headers
    assert reranked.headers["X-Rerank-Status"] == "ok"
    assert _ids(reranked) == _ids(base)


def _ids(answer: httpx.Response) -> list[str]:
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


async def test_its_answers_come_as_they_are(done: Any, proxied: str, opensearch_url: str) -> None:
    async with httpx.AsyncClient() as client:
        for target in (
            "/",
            "/sheep/_mapping?pretty",
            "/sheep/_doc/1",
            "/none/_search",
            "/_cat/indices/sheep?h=index&v",
        ):
            through, straight = [await client.get(base + target) for base in (proxied, opensearch_url)]
            assert (through.status_code, through.content) == (straight.status_code, straight.content)


async def test_it_is_not_passed_off_as_elasticsearch(done: Any, proxied: str) -> None:
    async with AsyncElasticsearch(proxied) as client:
        with pytest.raises(UnsupportedProductError):
            await client.search(index="sheep")
