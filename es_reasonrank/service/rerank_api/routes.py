"""The routes of the rerank API."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match

from es_reasonrank.service.auth import RerankCaller
from es_reasonrank.service.keys import Caller
from es_reasonrank.service.limits import Json, json_object
from es_reasonrank.service.rerank_api.cohere import COHERE, RerankAnswer, RerankError
from es_reasonrank.service.rerank_api.documented import documented
from es_reasonrank.service.rerank_api.elastic import ELASTIC, InferenceAnswer, InferenceError
from es_reasonrank.service.rerank_api.models import MODELS_EXAMPLE, Models, models
from es_reasonrank.service.rerank_api.protocol import Family, read
from es_reasonrank.service.rerank_api.score import SCORE, ScoreAnswer, ScoreError
from es_reasonrank.service.rerank_api.serving import headers_of, rerank_all
from es_reasonrank.service.rerank_api.tei import TEI, TeiError, TeiResult
from es_reasonrank.service.state import Parts, State, state_of

if TYPE_CHECKING:
    from starlette.types import Scope

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class FamilyRoute(APIRoute):
    """A route whose errors are in the shape of its clients' family."""

    family = COHERE

    def get_route_handler(self) -> _Handler:
        """The handler, with its errors told."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except HTTPException as error:
                family: Family = getattr(request.state, "family", self.family)
                body = family.error(error.status_code, str(error.detail))
                return _json(body, error.status_code, {**family.headers, **(error.headers or {})})

        return told


class ScoreRoute(FamilyRoute):
    """A route of vLLM's score API."""

    family = SCORE


class InferenceRoute(FamilyRoute):
    """A route for profiles only: inference endpoints of other names are Elasticsearch's."""

    family = ELASTIC

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for a profile of ours."""
        match, child_scope = super().matches(scope)
        if match is Match.FULL:
            profiles = state_of(Request(scope)).ranking.rankers.profiles
            if child_scope["path_params"]["profile"] not in profiles:
                return Match.NONE, {}
        return match, child_scope


router = APIRouter(tags=["rerank"])
_rerank = APIRouter(route_class=FamilyRoute)
_score = APIRouter(route_class=ScoreRoute)
_inference = APIRouter(route_class=InferenceRoute)


@_rerank.post("/v2/rerank", **documented(RerankAnswer | list[TeiResult], RerankError | TeiError, COHERE, TEI))
@_rerank.post("/v1/rerank", **documented(RerankAnswer | list[TeiResult], RerankError | TeiError, COHERE, TEI))
@_rerank.post("/rerank", **documented(RerankAnswer | list[TeiResult], RerankError | TeiError, COHERE, TEI))
async def rerank(request: Request, parts: Parts, caller: RerankCaller) -> Response:
    """Rank documents by their relevance to a query, in the shape of Cohere and Jina, or of
    text-embeddings-inference where the body has `texts`, or the query string says `shape=tei`."""
    body = await json_object(request)
    is_tei = "texts" in body or request.query_params.get("shape") == "tei"
    return await _answered(request, parts, caller, TEI if is_tei else COHERE, body)


@_score.post("/v1/score", **documented(ScoreAnswer, ScoreError, SCORE))
@_score.post("/score", **documented(ScoreAnswer, ScoreError, SCORE))
async def score(request: Request, parts: Parts, caller: RerankCaller) -> Response:
    """Score one query with several texts, or as many queries as texts, in the shape of vLLM."""
    return await _answered(request, parts, caller, SCORE, await json_object(request))


@_inference.post("/_inference/rerank/{profile}", **documented(InferenceAnswer, InferenceError, ELASTIC))
async def inference(profile: str, request: Request, parts: Parts, caller: RerankCaller) -> Response:
    """Rank texts in the shape of Elasticsearch's inference API. An id that is no profile is Elasticsearch's."""
    body = await json_object(request)
    return await _answered(request, parts, caller, ELASTIC, {**body, "model": profile})


@_score.get("/v1/models", response_model=Models, responses=MODELS_EXAMPLE)
async def list_models(parts: Parts, caller: RerankCaller) -> Models:
    """The rankers that a request may name as its model, the default first."""
    return models(parts.ranking.rankers.profiles)


router.include_router(_rerank)
router.include_router(_score)
router.include_router(_inference)


async def _answered(request: Request, parts: State, caller: Caller, family: Family, body: dict[str, Json]) -> Response:
    """The answer to a request of one family."""
    request.state.family = family
    asked = read(family.request, body, request.query_params)
    outcomes = await rerank_all(parts.ranking, family.jobs(asked), caller.name)
    return _json(family.answer(asked, outcomes), 200, {**family.headers, **dict(headers_of(outcomes))})


def _json(body: Json, status: int, headers: dict[str, str]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status, headers, "application/json")
