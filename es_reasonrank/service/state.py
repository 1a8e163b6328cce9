"""What the routes share: made once by the application, given to every router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from es_reasonrank.service.health.serving import Health
from es_reasonrank.service.journal import Journal
from es_reasonrank.service.metrics import Metrics
from es_reasonrank.service.proxy.searches import Searches
from es_reasonrank.service.proxy.upstream import Upstream
from es_reasonrank.service.ranking import RankingService
from es_reasonrank.service.tracing import Tracing
from es_reasonrank.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


@dataclass(frozen=True)
class State:
    """The parts of a running service."""

    settings: Settings
    ranking: RankingService
    upstream: Upstream
    elastic: AsyncElasticsearch
    """The service's own client, with its own login: for results, judgments and health, never for a caller's search."""
    health: Health
    metrics: Metrics
    searches: Searches
    """What the proxy does with searches."""
    journal: Journal
    """The roll-out's log."""
    tracing: Tracing | None = None
    """Where traces are asked for."""


def state_of(request: Request) -> State:
    """The parts of the service that a request came to."""
    parts: State = request.app.state.parts
    return parts


Parts = Annotated[State, Depends(state_of)]
"""What a route declares to get the service's parts."""
