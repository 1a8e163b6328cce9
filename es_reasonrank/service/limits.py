"""What a request to the service's own routes may be, and what every response of theirs says to a browser.

The proxy is none of their business: what goes to Elasticsearch is bounded there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

DEPTH = 64
"""Levels that a body's JSON may be nested."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every response of the service's own; a route that sets one itself, as a page must, is left its own."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page whose scripts and styles are files of the service's own."""


class OwnRoutes:
    """ASGI middleware, behind what sends foreign paths to the proxy: bounds bodies, and adds the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most: int = scope["app"].state.parts.settings.service.max_body
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            if taken == 0 and _announced(scope) > most:
                _too_large(most)
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                _too_large(most)
            return message

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, bounded, sealed)


async def json_object(request: Request) -> dict[str, Json]:
    """The body, which must be a JSON object.

    Raises:
        HTTPException: 400, with a sentence that says what is wrong; 413 where it is too large.
    """
    try:
        raw = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the caller left before the whole body was there") from None
    value = parsed(raw)
    if not isinstance(value, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return value


def parsed(raw: bytes) -> Json:
    """A body's JSON, with halves of surrogate pairs, which no text may hold, replaced by U+FFFD.

    Raises:
        HTTPException: 400.
    """
    if not raw.strip():
        raise HTTPException(400, "the body is empty; send a JSON object")
    try:
        value: Json = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
        return _mended(value, DEPTH)
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not UTF-8 text: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise HTTPException(400, f"the body's JSON is nested deeper than {DEPTH} levels") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None


def _mended(value: Json, levels: int) -> Json:
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, (list, dict)):
        return value
    if levels == 0:
        raise RecursionError
    if isinstance(value, list):
        return [_mended(item, levels - 1) for item in value]
    return {_text(key): _mended(item, levels - 1) for key, item in value.items()}


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _announced(scope: Scope) -> int:
    """The length that the request says its body has."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _too_large(most: int) -> NoReturn:
    raise HTTPException(413, f"the body is larger than {most} bytes (service.max_body); send fewer or shorter texts")
