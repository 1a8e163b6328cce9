"""The proxy as an ASGI application: whatever is no route of the service's own goes to Elasticsearch and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from es_reasonrank.service.state import State, state_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    request = Request(scope, receive)
    response = await _passed(state_of(request), request)
    await response(scope, receive, send)


async def _passed(state: State, request: Request) -> Response:
    target = request.scope["raw_path"].decode("latin-1")
    if request.scope["query_string"]:
        target += "?" + request.scope["query_string"].decode("latin-1")
    fetched = await state.upstream.fetch(request.method, target, request.headers.items(), await request.body())
    response = Response(fetched.body, fetched.status)
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fetched.headers]
    return response
