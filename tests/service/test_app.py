"""The service stands in front of Elasticsearch."""

from __future__ import annotations

import httpx

from tests.service.conftest import Serve


async def test_a_search_passes(serve: Serve, library: str) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(f"/{library}/_search", params={"q": "body:list"})
    assert answer.status_code == 200
    assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
    assert answer.json()["hits"]["hits"]
