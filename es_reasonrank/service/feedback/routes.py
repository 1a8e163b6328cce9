"""`POST /v1/feedback`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.requests import ClientDisconnect

from es_reasonrank.errors import InputError, ReasonRankError
from es_reasonrank.service.auth import WriteCaller
from es_reasonrank.service.feedback.protocol import MOST, Accepted, Feedback, events_of
from es_reasonrank.service.feedback.serving import take
from es_reasonrank.service.limits import parsed
from es_reasonrank.service.problems import Problem, one_sentence
from es_reasonrank.service.state import Parts


def _status(error: ReasonRankError) -> int:
    """What HTTP calls it: the caller's fault, or Elasticsearch's, which may be better soon."""
    return 422 if isinstance(error, InputError) else 503


router = APIRouter(tags=["feedback"], route_class=one_sentence(_status))

_SCHEMA = Feedback.model_json_schema()
_BODY = {
    "schema": {"anyOf": [_SCHEMA, {"type": "array", "minItems": 1, "maxItems": MOST, "items": _SCHEMA}]},
    "examples": {
        "click": {
            "value": {
                "event": "click",
                "search_id": "5f2b3c1d9e8a4f60b7c6d5e4f3a2b1c0",
                "index": "articles",
                "document": "42",
                "position": 3,
            }
        },
        "rating": {
            "value": {
                "event": "rating",
                "query": "why is the sky blue",
                "index": "articles",
                "document": "42",
                "grade": 3,
            }
        },
    },
}
_STATUSES = {
    400: "The body is not JSON.",
    401: "There is no API key, or it is not known.",
    403: "The API key has no scope write.",
    413: "The body is too large.",
    422: "Something in the body is missing or wrong; nothing of it was kept.",
    503: "Elasticsearch did not take the events; send them again.",
}


@router.post(
    "/v1/feedback",
    responses={status: {"model": Problem, "description": text} for status, text in _STATUSES.items()},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _BODY}}},
)
async def feedback(request: Request, parts: Parts, caller: WriteCaller) -> Accepted:
    """Keep what users did with results: one event, or a list of them."""
    try:
        raw = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the caller left before the whole body was there") from None
    events = events_of(parsed(raw))
    return await take(parts.elastic, parts.settings.service.judgments_index, parts.journal, caller.name, events)
