"""The playground's routes: the page and its files, and what it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse

from es_reasonrank.errors import ElasticError, InputError, MissingError, ReasonRankError, SearchError
from es_reasonrank.service.auth import WriteCaller
from es_reasonrank.service.limits import PAGE_POLICY
from es_reasonrank.service.playground import judgments, serving
from es_reasonrank.service.playground.access import client_of
from es_reasonrank.service.playground.protocol import (
    Event,
    Fields,
    JudgedQueries,
    JudgmentRequest,
    MeasuresRequest,
    MeasuresResponse,
    Name,
    SearchRequest,
    Setup,
)
from es_reasonrank.service.problems import Problem, one_sentence
from es_reasonrank.service.state import Parts

_STATIC = Path(str(resources.files(__package__) / "static"))
_FILES = frozenset(path.name for path in _STATIC.iterdir())
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": f"{PAGE_POLICY}; require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_EVENTS = {"description": "Lines of JSON: found, loading (if need be), window (each one), ranked or failed."}


def _enabled(parts: Parts) -> None:
    if not parts.settings.service.playground:
        raise HTTPException(404, "the playground is turned off (service.playground)")


def _status(error: ReasonRankError) -> int:
    """What HTTP calls it: the server's own word where it is about the search, else whose fault it is."""
    if isinstance(error, SearchError):
        return error.status if error.status == 404 else 400
    if isinstance(error, InputError):
        return 400
    if isinstance(error, ElasticError) and error.status in (401, 403, 429):
        return error.status
    return 503 if isinstance(error, MissingError) else 502


router = APIRouter(
    prefix="/playground",
    tags=["playground"],
    route_class=one_sentence(_status),
    dependencies=[Depends(_enabled)],
    responses={"4XX": {"model": Problem}, "5XX": {"model": Problem}},
)


@router.get("", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return _file("index.html")


@router.get("/static/{name}", include_in_schema=False)
async def static(name: str) -> FileResponse:
    """A file of the page's."""
    if name not in _FILES:
        raise HTTPException(404, f"the page has no file {name!r}")
    return _file(name)


@router.get("/api/setup")
async def setup(request: Request, parts: Parts) -> Setup:
    """Indices and rankers that can be chosen."""
    return await serving.setup(client_of(request, parts), parts)


@router.get("/api/fields")
async def fields(request: Request, parts: Parts, index: Name) -> Fields:
    """The text fields of an index."""
    return await serving.fields(client_of(request, parts), index)


@router.post("/api/search", response_class=StreamingResponse, responses={200: _EVENTS})
async def search(request: Request, parts: Parts, asked: SearchRequest) -> StreamingResponse:
    """Search and rerank; events come as lines of JSON, each window as it ends."""
    client = client_of(request, parts)
    found, profile = await serving.first_stage(client, parts, asked)
    origin = request.headers.get("origin") or str(request.base_url).rstrip("/")
    login = request.headers.get("authorization", "")
    told = serving.events(parts, found, profile, origin=origin, login=login)
    return StreamingResponse(_lines(told), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


@router.post("/api/judgments", status_code=204)
async def judge(_: WriteCaller, parts: Parts, rating: JudgmentRequest) -> None:
    """Rate a document; a new rating takes the place of the old."""
    await judgments.rate(parts.elastic, parts.settings.service.judgments_index, rating)


@router.post("/api/measures")
async def measures(_: WriteCaller, parts: Parts, asked: MeasuresRequest) -> MeasuresResponse:
    """What is known of a query's documents, and nDCG@10 of both orders."""
    return await judgments.measures(parts.elastic, parts.settings.service.judgments_index, asked)


@router.get("/api/queries")
async def queries(_: WriteCaller, parts: Parts) -> JudgedQueries:
    """Every query that has judgments."""
    index = parts.settings.service.judgments_index
    return JudgedQueries(queries=await judgments.judged_queries(parts.elastic, index))


async def _lines(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    async for event in events:
        yield event.model_dump_json() + "\n"


def _file(name: str) -> FileResponse:
    return FileResponse(_STATIC / name, media_type=_TYPES[Path(name).suffix], headers=_HEADERS)
