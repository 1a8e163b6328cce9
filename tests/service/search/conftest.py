"""The index of articles, and a service in front of it that every test of searching shares."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from elasticsearch import AsyncElasticsearch

from tests.service.conftest import Serve
from tests.service.search.articles import INDEX, MAPPINGS, documents


@pytest.fixture(scope="session")
async def articles(es: AsyncElasticsearch) -> str:
    """The name of the index."""
    await es.indices.delete(index=INDEX, ignore_unavailable=True)
    await es.indices.create(index=INDEX, mappings=MAPPINGS, settings={"number_of_shards": 2})
    operations: list[dict[str, Any]] = []
    for number, document in enumerate(documents()):
        operations += [{"index": {"_id": f"a{number}"}}, document]
    answer = await es.bulk(index=INDEX, operations=operations, refresh=True)
    assert not answer["errors"]
    return INDEX


@pytest.fixture(scope="session")
async def direct(elastic_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to Elasticsearch itself."""
    async with httpx.AsyncClient(base_url=elastic_url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
async def proxied(serve: Serve, articles: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a service whose ranker keeps the order."""
    flags = {"service.profiles": ["encoder"], "service.deadline": 60}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client
