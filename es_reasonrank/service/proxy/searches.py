"""`_search` and `_msearch`: which requests are looked at, and what their callers get."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from es_reasonrank.errors import ReasonRankError
from es_reasonrank.service.journal import Journal
from es_reasonrank.service.metrics import Metrics
from es_reasonrank.service.proxy.errors import error_reply
from es_reasonrank.service.proxy.exchange import Exchange, Proxying, ServerSays
from es_reasonrank.service.proxy.request import Skip
from es_reasonrank.service.proxy.rolling import Rolling
from es_reasonrank.service.proxy.searching import Refused, Searching
from es_reasonrank.service.proxy.several import searches
from es_reasonrank.service.proxy.single import search
from es_reasonrank.service.proxy.stored import Stored
from es_reasonrank.service.proxy.texts import Texts
from es_reasonrank.service.proxy.upstream import Fetched, Headers, Incoming, Upstream
from es_reasonrank.service.ranking import RankingService
from es_reasonrank.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


_LOG = logging.getLogger(__name__)
_PATH = re.compile(r"/(?:(?P<target>[^/]+)/)?(?P<kind>_search|_msearch)")


def wanted(method: str, path: str) -> bool:
    """Whether a request may have to be reranked, so that its body must be read."""
    return method in ("GET", "POST") and _PATH.fullmatch(path) is not None


class Searches:
    """Answers searches.

    Args:
        upstream: the server.
        searching: plans and finishes one search.
        rolling: decides who sees what.
        metrics: is told how long each stage took.
    """

    def __init__(self, upstream: Upstream, searching: Searching, rolling: Rolling, metrics: Metrics) -> None:
        self._shared = Proxying(upstream, searching, rolling, metrics, self._later)
        self._behind: set[asyncio.Task[None]] = set()

    async def answer(self, incoming: Incoming) -> Fetched | None:
        """The response of a request that `wanted` named; None where it is to be passed on as it came.

        Raises:
            UpstreamError: the server gave no answer.
        """
        match = _PATH.fullmatch(incoming.path)
        assert match is not None
        exchange = Exchange(self._shared, incoming, match["target"] or "")
        try:
            return await (search(exchange) if match["kind"] == "_search" else searches(exchange))
        except Refused as error:
            reply = error_reply(error.status, error.kind, error.reason)
            return replace(reply, headers=[*reply.headers, *error.headers])
        except ServerSays as says:
            return says.reply

    def too_large(self, path: str) -> Headers:
        """The headers of a search whose body is not read, for it is too large."""
        return self._shared.skipped(path, Skip.TOO_LARGE)

    async def aclose(self) -> None:
        """End what runs behind the callers' backs."""
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


def searches_of(
    settings: Settings,
    ranking: RankingService,
    upstream: Upstream,
    elastic: AsyncElasticsearch,
    journal: Journal,
    metrics: Metrics,
) -> Searches:
    """What the proxy does with searches, as the settings have it.

    Args:
        elastic: the service's own client, which looks for results of `batch`.
    """
    service = settings.service
    stored = Stored(elastic, service.results_index, service.results_age)
    searching = Searching(service, ranking, Texts(upstream, settings.fields), stored)
    return Searches(upstream, searching, Rolling(service.rollout, journal), metrics)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Nobody waits for it; what goes wrong stands in the log."""
    try:
        await work
    except (ReasonRankError, Refused, ValueError) as error:
        _LOG.warning("a search in the shadow was not ranked: %s", error)
