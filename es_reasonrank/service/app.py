"""The application: routes of the service's own in front, Elasticsearch behind everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from es_reasonrank import __version__
from es_reasonrank.elastic.cache import cache_of
from es_reasonrank.elastic.client import connected, url_of
from es_reasonrank.rerank.cache import MemoryCache
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.dispatch import Dispatch
from es_reasonrank.service.feedback.routes import router as feedback
from es_reasonrank.service.health.routes import router as health
from es_reasonrank.service.journal import Journal
from es_reasonrank.service.keys import keyring
from es_reasonrank.service.leaving import Leaving
from es_reasonrank.service.limits import OwnRoutes
from es_reasonrank.service.observing import Observing, watching
from es_reasonrank.service.playground.routes import router as playground
from es_reasonrank.service.proxy.asgi import proxy
from es_reasonrank.service.proxy.asked import check_rules
from es_reasonrank.service.proxy.searches import searches_of
from es_reasonrank.service.proxy.upstream import Upstream
from es_reasonrank.service.rankers import LocalRankers, Rankers, loading, profiles_of
from es_reasonrank.service.ranking import RankingService
from es_reasonrank.service.remote import RemoteRankers
from es_reasonrank.service.rerank_api.routes import router as rerank_api
from es_reasonrank.service.state import State
from es_reasonrank.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


def create_app(settings: Settings, profiles: Sequence[Profile] = (), models: str | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        profiles: what is served, the default first; by default what the settings name.
        models: the socket of the process that holds the models; without it, they are held here.

    Raises:
        SettingsError: a profile is unknown or wrong, a rule, or an API key's hash.
    """
    keyring(settings.service.api_keys)
    profiles = profiles or profiles_of(settings)
    check_rules(settings.service.rules, [profile.name for profile in profiles])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            connected(settings.elastic) as elastic,
            Upstream(url_of(settings.elastic), settings.elastic) as upstream,
            loading(_rankers(settings, profiles, models, elastic)) as rankers,
        ):
            ranking = RankingService(rankers, settings.service)
            async with watching(ranking, elastic, settings.service) as watch:
                with Journal(settings.service.rollout.log) as journal:
                    searches = searches_of(settings, ranking, upstream, elastic, journal, watch.metrics)
                    app.state.parts = State(
                        settings=settings,
                        ranking=ranking,
                        upstream=upstream,
                        elastic=elastic,
                        health=watch.health,
                        metrics=watch.metrics,
                        searches=searches,
                        journal=journal,
                        tracing=watch.tracing,
                    )
                    yield
                    await searches.aclose()

    app = FastAPI(
        title="es-reasonrank",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        # Pages of FastAPI's, with scripts from elsewhere, under names that an index may have.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(health)
    app.include_router(feedback)
    app.include_router(rerank_api)
    app.include_router(playground)
    app.add_middleware(OwnRoutes)
    app.add_middleware(Dispatch, routes=app.router.routes, elsewhere=proxy)
    app.add_middleware(Observing)
    app.add_middleware(Leaving)
    return app


def _rankers(
    settings: Settings, profiles: Sequence[Profile], models: str | None, elastic: AsyncElasticsearch
) -> Rankers:
    """Where rankings come from."""
    if models is not None:
        return RemoteRankers(models, profiles)
    memory = MemoryCache(settings.service.cache_size, settings.service.cache_ttl)
    default, *others = profiles
    return LocalRankers(default, others, cache_of(elastic, settings.cache) or memory, settings.service.breaker_pause)
