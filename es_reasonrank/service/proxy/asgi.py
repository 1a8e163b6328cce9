"""The proxy as an ASGI application: whatever is no route of the service's own goes to Elasticsearch and back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from es_reasonrank.service.proxy.caller import Caller, CallerLeftError
from es_reasonrank.service.proxy.errors import error_reply
from es_reasonrank.service.proxy.packing import TooLargeError, unpacked
from es_reasonrank.service.proxy.searches import wanted
from es_reasonrank.service.proxy.upstream import Fetched, Headers, Incoming, UpstreamError, headers_of
from es_reasonrank.service.state import State

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_LOG = logging.getLogger(__name__)
_BODYLESS = frozenset({204, 304})
_OF_BODIES = frozenset({"content-length", "transfer-encoding", "expect"})
_SMALL = 1 << 16
"""Bytes of a body that is sent on in one piece."""


async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    state: State = scope["app"].state.parts
    request = Incoming(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        body=b"",
    )
    try:
        await _answer(state, request, Caller(receive), send)
    except CallerLeftError:
        return
    except UpstreamError as error:
        _LOG.warning("%s %s: %s (%s)", request.method, request.path, error, error.__cause__)
        await _reply(send, error_reply(error.status or 502, error.kind, str(error)))


async def _answer(state: State, request: Incoming, caller: Caller, send: Send) -> None:
    if not request.path.startswith("/"):
        reason = "the request's target must be a path that begins with a slash"
        return await _reply(send, error_reply(400, "illegal_argument_exception", reason))
    if not wanted(request.method, request.path):
        return await _pass(state, request, await _body(request, caller), send)
    return await _search(state, request, caller, send)


async def _search(state: State, request: Incoming, caller: Caller, send: Send) -> None:
    """A search that may have to be reranked, and is passed on as it came where it need not be."""
    most = state.settings.service.max_body
    body = await caller.read(most)
    if body is None:
        return await _pass(state, request, caller.stream(), send, state.searches.too_large(request.path))
    try:
        incoming = _readable(request, body, most)
    except TooLargeError:
        return await _pass(state, request, body, send, state.searches.too_large(request.path))
    reply = await state.searches.answer(incoming) if incoming is not None else None
    if reply is None:
        return await _pass(state, request, body, send)
    return await _reply(send, reply)


def _readable(request: Incoming, body: bytes, most: int) -> Incoming | None:
    """The request with its body unpacked; None where that cannot be done, which the server will say.

    Raises:
        TooLargeError: the body has more than `most` bytes.
    """
    packing = ", ".join(value for name, value in request.headers if name == "content-encoding")
    headers = [pair for pair in request.headers if pair[0] != "content-encoding"]
    try:
        content = unpacked(body, packing, most=most)
    except ValueError:
        return None
    return Incoming(request.method, request.path, request.query, headers, content)


async def _pass(
    state: State, request: Incoming, body: bytes | AsyncIterator[bytes] | None, send: Send, extra: Headers | None = None
) -> None:
    """The request goes on, and the response comes back, as they are."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    async with state.upstream.open(request.method, target, request.headers, body) as response:
        headers = headers_of(response)
        if response.status in _BODYLESS:  # a length may be announced there, of a body that does not come
            headers = [pair for pair in headers if pair[0] != "content-length"]
        await _start(send, response.status, [*headers, *(extra or ())])
        more = True
        try:
            async for piece in response.pieces():
                more = not response.complete
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        except OSError as error:
            # The status is already told. Ending without the last piece makes the caller see that something is missing.
            _LOG.warning("%s %s: cut off after the start: %s", request.method, request.path, error)
            return
        if more:
            await send({"type": "http.response.body", "body": b""})


async def _body(request: Incoming, caller: Caller) -> bytes | AsyncIterator[bytes] | None:
    """The body: a small one whole, any other as it comes in, and none where the headers announce none."""
    announced = {name: value for name, value in request.headers if name in _OF_BODIES}
    length = announced.get("content-length", "0")
    if "expect" in announced or "transfer-encoding" in announced or int(length) > _SMALL:
        return caller.stream()
    body = await caller.read(_SMALL)
    return body if length != "0" else None


async def _reply(send: Send, reply: Fetched) -> None:
    await _start(send, reply.status, [*reply.headers, ("content-length", str(len(reply.body)))])
    await send({"type": "http.response.body", "body": reply.body})


async def _start(send: Send, status: int, headers: Iterable[tuple[str, str]]) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
