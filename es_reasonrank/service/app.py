"""The application: routes of the service's own in front, Elasticsearch behind everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from es_reasonrank import __version__
from es_reasonrank.elastic.client import connected, url_of
from es_reasonrank.rerank.cache import MemoryCache
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.service.proxy.asgi import proxy
from es_reasonrank.service.proxy.upstream import Upstream
from es_reasonrank.service.rankers import LocalRankers, profiles_of
from es_reasonrank.service.ranking import RankingService
from es_reasonrank.service.state import State
from es_reasonrank.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application.

    Raises:
        SettingsError: a profile is unknown or wrong.
    """
    default = load_profile(settings.profile).served_by(settings.engine)
    others = profiles_of(default, settings.service.profiles, settings.engine)
    cache = MemoryCache(settings.service.cache_size, settings.service.cache_ttl)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        rankers = LocalRankers(default, others, cache)
        async with (
            connected(settings.elastic) as elastic,
            Upstream(url_of(settings.elastic), settings.elastic) as upstream,
        ):
            app.state.parts = State(settings, RankingService(rankers, settings.service), upstream, elastic)
            try:
                yield
            finally:
                await rankers.aclose()

    app = FastAPI(title="es-reasonrank", version=__version__, lifespan=lifespan, redirect_slashes=False)
    app.router.default = proxy
    return app
