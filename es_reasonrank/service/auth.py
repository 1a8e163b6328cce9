"""Who may call the rerank API and write: API keys with scopes, of which only a slow hash is kept.

Without any key, the service is for local use: it must listen on a loopback address, and only callers on the same
machine are let in, no browser on behalf of another page among them. Elasticsearch's own routes are not guarded here:
there its own authentication holds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer

from es_reasonrank.service.keys import MAKE, Caller, Keyring, keyring
from es_reasonrank.service.state import Parts
from es_reasonrank.service_settings import Scope

HEADER = "X-Api-Key"
_FORWARDED = ("Forwarded", "X-Forwarded-For")
"""A reverse proxy on this machine lets others in."""


def requires(scope: Scope) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency of a route: its caller, who has that scope.

    Raises:
        HTTPException: 401 where there is no valid key, 403 where it does not reach.
    """

    async def check(request: Request, parts: Parts, _: Annotated[object, Depends(_BEARER)] = None) -> Caller:
        settings = parts.settings.service
        keys = keyring(settings.api_keys)
        caller = await _with_key(keys, request) if keys else _local(request, settings.host)
        if scope not in caller.scopes:
            raise HTTPException(403, f"key {caller.name!r} has no scope {scope!r}; {MAKE}, with --scope {scope}")
        return caller

    return check


_BEARER = HTTPBearer(auto_error=False, description="A key from `es-reasonrank keys new`; not needed in local use.")

RerankCaller = Annotated[Caller, Depends(requires("rerank"))]
"""What a route declares that reranks."""
WriteCaller = Annotated[Caller, Depends(requires("write"))]
"""What a route declares that writes judgments or clicks."""


async def _with_key(keys: Keyring, request: Request) -> Caller:
    shown = _shown(request)
    if not shown:
        raise _unauthorized(f"this needs an API key, as `Authorization: Bearer KEY` or `{HEADER}: KEY`")
    caller = await keys.caller(shown)
    if caller is None:
        raise _unauthorized("the API key is not known here")
    return caller


def _shown(request: Request) -> str:
    """The key that a request shows. Elasticsearch's clients say ApiKey instead of Bearer."""
    if key := request.headers.get(HEADER, ""):
        return key
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() in ("bearer", "apikey") else ""


def _local(request: Request, host: str) -> Caller:
    """The caller of a service without keys."""
    if not is_loopback(host):
        raise _unauthorized(f"the service listens on {host} and has no API keys; {MAKE}")
    forwarded = any(name in request.headers for name in _FORWARDED)
    if forwarded or request.client is None or not is_loopback(request.client.host):
        raise _unauthorized(f"without API keys only callers on the same machine are let in; {MAKE}")
    # A page of another site, open in a browser on this machine, may not call us: neither openly nor under a host name
    # of its own that it lets point here.
    if not _from_here(request.headers.get("Host", ""), request.headers.get("Origin")):
        raise HTTPException(403, f"without API keys no page of another site may call this service; {MAKE}")
    return Caller("", frozenset({"rerank", "write"}))


def _from_here(host: str, origin: str | None) -> bool:
    """Whether a request is for this machine by name, and not sent by a page of another one."""
    try:
        named = urlsplit(f"//{host}").hostname or ""
        return is_loopback(named) and (origin is None or urlsplit(origin).netloc == host)
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether an address or a host name means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, headers={"WWW-Authenticate": "Bearer"})
