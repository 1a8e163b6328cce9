"""/health, /ready, /info and /metrics. They ask for no key: probes and scrapers have none."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from es_reasonrank.service.health.protocol import Alive, Info, Readiness
from es_reasonrank.service.health.serving import PARTS, PartName
from es_reasonrank.service.metrics import rendered
from es_reasonrank.service.state import Parts

router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health() -> Alive:
    """Whether the service lives. Nothing else is asked."""
    return Alive()


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={503: {"model": Readiness, "description": "A part is not ready; it says why."}})
async def ready(
    parts: Parts,
    response: Response,
    part: Annotated[list[PartName], Query(description="Parts that must be ready; all of them by default.")] = [*PARTS],  # noqa: B006
) -> Readiness:
    """Whether searches can be served: Elasticsearch is asked, and the model ranks two texts.

    Without its model the service still answers searches, in their base order. A probe that takes it out of rotation
    asks `/ready?part=elasticsearch`.
    """
    found = await parts.health.readiness(part)
    if found.status != "ready":
        response.status_code = 503
    return found


@router.get("/info")
async def info(parts: Parts) -> Info:
    """What this service is: its version, its profiles, the server behind it and what callers meet of its settings."""
    return await parts.health.info()


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request, parts: Parts) -> Response:
    """The service's numbers in Prometheus' text format."""
    parts.metrics.looked_at(parts.ranking)
    body, media_type = rendered(parts.metrics, request.headers.get("accept", ""))
    return Response(body, media_type=None, headers={"Content-Type": media_type})
