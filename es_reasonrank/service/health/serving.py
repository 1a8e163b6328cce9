"""Asks Elasticsearch and the model whether they work, and tells what the service is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from es_reasonrank import __version__
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import ElasticError, EngineError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service.health.checks import Check, Finding
from es_reasonrank.service.health.protocol import Info, Limits, Part, Readiness, ServedProfile, Server
from es_reasonrank.service.ranking import Answer, Ask, RankingService, Reason
from es_reasonrank.service_settings import ServiceSettings
from es_reasonrank.types import Status

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

PartName = Literal["elasticsearch", "model"]
PARTS: tuple[PartName, ...] = ("elasticsearch", "model")

_SERVER_FRESH = 5.0
_MODEL_FRESH = 15.0
"""Seconds; a ranking costs more than a look at a server."""
_SERVER_TIMEOUT = 5.0

_NOT_READY = frozenset(
    {Reason.MODEL_LOADING, Reason.MODEL_FAILED, Reason.CIRCUIT_OPEN, Reason.DEADLINE, Reason.STOPPING}
)
"""Reasons that tell of the model. One that answers badly still answers, and a full queue is no fault of its."""


class Health:
    """Knows how the parts of one service are. Give `answered` to the ranking service as an observer.

    Args:
        ranking: the service's rankings.
        elastic: the service's own client.
        settings: of the service.
    """

    def __init__(self, ranking: RankingService, elastic: AsyncElasticsearch, settings: ServiceSettings) -> None:
        self._ranking = ranking
        self._elastic = elastic
        self._settings = settings
        self._server: Server | None = None
        self._checks: dict[PartName, Check] = {
            "elasticsearch": Check(self._ask_server, fresh=_SERVER_FRESH),
            "model": Check(self._ask_model, fresh=_MODEL_FRESH),
        }

    def answered(self, ask: Ask, answer: Answer) -> None:
        """A search that the default model just ranked shows that it works."""
        trace = answer.ranking.trace
        asked = len(trace.windows) - trace.cached
        if answer.status is Status.OK and not answer.remembered and asked and trace.profile == self._default.name:
            self._checks["model"].worked(f"{trace.model} ranked {len(answer.ranking)} texts in {trace.seconds:.2f} s")

    async def readiness(self, parts: Collection[PartName]) -> Readiness:
        """Whether these parts can serve."""
        names = [name for name in PARTS if name in parts]
        findings = await asyncio.gather(*(self._checks[name].finding() for name in names))
        ready = all(finding.ready for finding in findings)
        return Readiness(
            status="ready" if ready else "not ready", parts=dict(zip(names, map(_part, findings), strict=True))
        )

    async def info(self) -> Info:
        """What the service is."""
        await self._checks["elasticsearch"].finding()
        settings = self._settings
        return Info(
            version=__version__,
            profiles=[_served(profile, self._default) for profile in self._ranking.rankers.profiles.values()],
            elasticsearch=self._server,
            settings=Limits(
                **settings.model_dump(include=set(Limits.model_fields) - {"rollout", "keys"}),
                rollout=settings.rollout.mode,
                keys=bool(settings.api_keys),
            ),
        )

    async def aclose(self) -> None:
        """Stop asking."""
        for check in self._checks.values():
            await check.aclose()

    @property
    def _default(self) -> Profile:
        return next(iter(self._ranking.rankers.profiles.values()))

    async def _ask_server(self) -> str:
        """The server's name and version. One that wants a login is there for callers who have one.

        Raises:
            ElasticError: it does not answer.
        """
        self._server = None
        try:
            body = await _root(self._elastic)
        except ElasticError as error:
            if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                return f"the server answers with {error.status}: the service itself has no login, its callers may"
            raise
        self._server = _server(body)
        return f"{self._server.name} {self._server.version}"

    async def _ask_model(self) -> str:
        """One ranking of two texts, in the time that a search has.

        Raises:
            EngineError: the model does not work.
        """
        answer = await self._ranking.probe()
        trace = answer.ranking.trace
        if answer.reason in _NOT_READY:
            raise EngineError(f"{trace.model}: {answer.detail or answer.reason}", engine="service")
        if answer.reason:
            return f"{trace.model} is there, though: {answer.detail or answer.reason}"
        return f"{trace.model} ranked 2 texts in {trace.seconds:.2f} s"


async def _root(elastic: AsyncElasticsearch) -> object:
    """What the server says of itself; the client reads no other product's answer, but hands it over."""
    from elasticsearch import UnsupportedProductError

    with mapped():
        try:
            return (await elastic.options(request_timeout=_SERVER_TIMEOUT, max_retries=0).info()).body
        except UnsupportedProductError as error:
            return error.body


def _server(body: object) -> Server:
    """The server that a body of `GET /` describes.

    Raises:
        ElasticError: it describes none.
    """
    match body:
        case {"version": {"number": str(number), **version}, "cluster_name": str(cluster)}:
            return Server(name=str(version.get("distribution", "elasticsearch")), version=number, cluster=cluster)
    raise ElasticError("the server at elastic.url does not answer like Elasticsearch; check the address")


def _part(finding: Finding) -> Part:
    return Part(ready=finding.ready, detail=finding.detail, age=round(finding.age, 3))


def _served(profile: Profile, default: Profile) -> ServedProfile:
    return ServedProfile(
        name=profile.name,
        summary=profile.summary,
        model=str(profile.engine.get("model", profile.engine["name"])),
        depth=profile.depth,
        default=profile is default,
    )
