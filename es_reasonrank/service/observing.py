"""Around every request: it is counted, timed, traced where traces are asked for, and its rankings are logged."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from es_reasonrank.service import logs
from es_reasonrank.service.health.serving import Health
from es_reasonrank.service.metrics import Metrics, are_shared
from es_reasonrank.service.ranking import RankingService
from es_reasonrank.service.record import CURRENT, Family, Record, family_of, index_of
from es_reasonrank.service.state import State
from es_reasonrank.service.tracing import Tracing, tracing_of
from es_reasonrank.service_settings import ServiceSettings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_BROKE = 500
_CLIENT_LEFT = 499
"""nginx's number for a request that ended before its response began."""


@dataclass(frozen=True)
class Watch:
    """What looks at a running service."""

    health: Health
    metrics: Metrics
    tracing: Tracing | None


@asynccontextmanager
async def watching(
    ranking: RankingService, elastic: AsyncElasticsearch, settings: ServiceSettings
) -> AsyncIterator[Watch]:
    """What looks at the service while it runs, told of every answer."""
    watch = Watch(Health(ranking, elastic, settings), Metrics(), tracing_of(os.environ))
    ranking.observers += [watch.metrics.answered, watch.health.answered]
    looking = asyncio.create_task(watch.metrics.keep_looking(ranking)) if are_shared() else None
    try:
        yield watch
    finally:
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        await watch.health.aclose()
        if watch.tracing is not None:
            await asyncio.to_thread(watch.tracing.close)


class Observing:
    """ASGI middleware around all that answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or whatever else the server asks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: State = scope["app"].state.parts
        record = _record(scope)
        started = time.perf_counter()
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = CURRENT.set(record)
        try:
            with state.tracing.request(scope, record) if state.tracing else nullcontext():
                try:
                    await self.app(scope, receive, counted)
                except asyncio.CancelledError:
                    status = status or _CLIENT_LEFT
                    raise
                finally:
                    status = status or _BROKE
                    record.family = _family(scope, record.family)
                    record.status = status
        finally:
            CURRENT.reset(token)
            state.metrics.requested(record.family, status, time.perf_counter() - started)
            record.end()


def _record(scope: Scope) -> Record:
    path: str = scope["path"]
    found = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-opaque-id"), "")
    return Record(family_of(path), index_of(path), found, line=logs.reranked)


def _family(scope: Scope, family: Family) -> Family:
    """The family, now that it is known whether a route of ours was chosen: Elasticsearch may have an index `rerank`."""
    own = "endpoint" in scope
    if own and family in (Family.SEARCH, Family.MSEARCH, Family.PASS):
        return Family.SERVICE
    return family if own or family in (Family.SEARCH, Family.MSEARCH) else Family.PASS
