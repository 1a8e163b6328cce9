"""The service over real HTTP, in front of a real Elasticsearch, with small indices that every test may search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.demo.corpus import passages
from es_reasonrank.elastic.mappings import Kind, recreate_index
from es_reasonrank.service.listening import address_of, listening
from es_reasonrank.service.rankers import profiles_of
from es_reasonrank.service.server import Server, Serving
from es_reasonrank.settings import load

LIBRARY = "library"
"""An index of passages of Python's documentation: title, body and metadata."""

Serve = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def running(flags: dict[str, Any], *, models: str | None = None) -> AsyncIterator[tuple[Server, str]]:
    """A service in this process and its address, as `es-reasonrank serve` runs it; its models are being loaded.

    Args:
        flags: dotted keys of the settings, or their groups.
        models: socket of a process that holds the models.
    """
    settings = load(flags, environ={}).settings
    here = settings.service.model_copy(update={"host": "127.0.0.1", "port": 0})
    server = Server(Serving(settings, profiles_of(settings), models))
    with listening(here) as listener:
        address = address_of(here, listener)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not task.done(), "the service did not start"
            await asyncio.sleep(0.01)
        try:
            yield server, address
        finally:
            server.leave()
            await task


@asynccontextmanager
async def serving(flags: dict[str, Any]) -> AsyncIterator[str]:
    """The address of a service whose models are loaded, where they can be. `flags` are dotted keys of the settings."""
    async with running(flags) as (server, address):
        await asyncio.gather(server.parts.ranking.rankers.start(), return_exceptions=True)
        yield address


@pytest.fixture(scope="session")
async def library(es: AsyncElasticsearch) -> str:
    """The name of an index with 400 passages in it."""
    await recreate_index(es, LIBRARY, Kind.PASSAGES)
    rows = list(passages())[:400]
    operations: list[dict[str, Any]] = []
    for row in rows:
        operations += [
            {"index": {"_id": row["_id"]}},
            {"title": row["title"], "body": row["body"], "metadata": row["metadata"]},
        ]
    await es.bulk(index=LIBRARY, operations=operations, refresh=True)
    return LIBRARY


@pytest.fixture(scope="session")
def serve(elastic_url: str) -> Serve:
    """Starts a service in front of the test's Elasticsearch: `async with serve({"profile": "encoder"}) as url`."""

    def start(flags: dict[str, Any] | None = None) -> AbstractAsyncContextManager[str]:
        return serving({"profile": "identity", "elastic.url": elastic_url, **(flags or {})})

    return start
