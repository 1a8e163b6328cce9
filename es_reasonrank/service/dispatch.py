"""Which requests are the service's own: those whose path and method both are. Everything else is Elasticsearch's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Match

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Dispatch:
    """ASGI middleware in front of the routes.

    Routes alone would answer 405 where only the path is one of theirs; but `PUT /rerank` makes an index of that name.

    Args:
        app: what has the routes.
        routes: the list of them; it may grow until the first request.
        elsewhere: what answers all the rest.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], elsewhere: ASGIApp) -> None:
        self._app = app
        self._routes = routes
        self._elsewhere = elsewhere
        self._heads: frozenset[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] != "http" or self._owns(scope)
        await (self._app if own else self._elsewhere)(scope, receive, send)

    def _owns(self, scope: Scope) -> bool:
        if self._heads is None:
            self._heads = frozenset(_head(getattr(route, "path", "")) for route in self._routes)
        # One look tells most requests apart. A route without a path of its own may be meant by any of them.
        if self._heads.isdisjoint((_head(scope["path"]), "")):
            return False
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


def _head(path: str) -> str:
    """The first part of a path: the v1 of /v1/rerank."""
    return path.lstrip("/").partition("/")[0]
