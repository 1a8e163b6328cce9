"""Whose rights a search of the page has: its caller's own login, else the service's, for callers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from es_reasonrank.errors import ElasticError
from es_reasonrank.service.auth import is_loopback
from es_reasonrank.service.state import State
from es_reasonrank.settings import ElasticSettings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host")


def client_of(request: Request, parts: State) -> AsyncElasticsearch:
    """The client to search with.

    Raises:
        ElasticError: the caller must give a login: the service's own is not for everybody.
    """
    if login := request.headers.get("authorization"):
        return parts.elastic.options(headers={"authorization": login})
    if has_login(parts.settings.elastic) and not is_local(request, parts.settings.service.host):
        raise ElasticError("a login to Elasticsearch is needed here; enter yours under Access", status=401)
    return parts.elastic


def has_login(settings: ElasticSettings) -> bool:
    """Whether the service's own client can do more than anybody who reaches the server."""
    in_url = bool(settings.url and urlsplit(settings.url).username)
    return in_url or settings.api_key is not None or settings.username is not None


def is_local(request: Request, host: str) -> bool:
    """Whether the service listens on this machine alone, and no proxy or foreign name leads to it."""
    caller = request.client.host if request.client else ""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and all(is_loopback(name) for name in (host, caller, request.url.hostname or ""))
