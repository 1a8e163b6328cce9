"""The service over real HTTP, in front of a real Elasticsearch, with small indices that every test may search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from elasticsearch import AsyncElasticsearch

from es_reasonrank.demo.corpus import passages
from es_reasonrank.elastic.mappings import Kind, recreate_index
from es_reasonrank.service.app import create_app
from es_reasonrank.settings import load

LIBRARY = "library"
"""An index of passages of Python's documentation: title, body and metadata."""

Serve = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serving(flags: dict[str, Any]) -> AsyncIterator[str]:
    """A running service, and its address. `flags` are dotted keys of the settings."""
    app = create_app(load({"service.port": 0, **flags}, environ={}).settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    server.install_signal_handlers = lambda: None
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the service did not start"
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
async def library(es: AsyncElasticsearch) -> str:
    """The name of an index with 400 passages in it."""
    await recreate_index(es, LIBRARY, Kind.PASSAGES)
    rows = list(passages())[:400]
    operations: list[dict[str, Any]] = []
    for row in rows:
        operations += [{"index": {"_id": row["_id"]}}, {"title": row["title"], "body": row["body"], "metadata": row["metadata"]}]
    await es.bulk(index=LIBRARY, operations=operations, refresh=True)
    return LIBRARY


@pytest.fixture(scope="session")
def serve(elastic_url: str) -> Serve:
    """Starts a service in front of the test's Elasticsearch: `async with serve({"profile": "encoder"}) as url`."""

    def start(flags: dict[str, Any] | None = None) -> AbstractAsyncContextManager[str]:
        return serving({"profile": "identity", "elastic.url": elastic_url, **(flags or {})})

    return start
