"""The models of the service: each profile that may be named, loaded once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

from pydantic import SecretStr

from es_reasonrank import plugins
from es_reasonrank.engines.base import Engine
from es_reasonrank.engines.none import NoneEngine
from es_reasonrank.engines.openai import OpenAIEngine
from es_reasonrank.errors import EngineError, ReasonRankError, SettingsError
from es_reasonrank.rerank.cache import Cache
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import EngineSettings, Settings
from es_reasonrank.types import Candidate, Ranking, Window
from es_reasonrank.validation import nearest

_log = logging.getLogger(__name__)

_CLOSING = 5.0
"""Seconds that the models have to be freed; one that is still being loaded is not waited for."""
_MOMENT = 0.05
"""Seconds that a ranking waits for a model which may be there in a moment: a server only needs to say who it is."""


class Loading(EngineError):  # noqa: N818 - it is a state, not a fault
    """The model is not loaded yet; later, it may be."""

    def __init__(self, message: str) -> None:
        super().__init__(message, engine="service", retryable=True)


class Rankers(Protocol):
    """Where rankings come from: models in this process, or the process that holds them for all workers."""

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles that may be named, the default first."""

    async def start(self) -> None:
        """Load every model, the default profile's first; without it, each is loaded when it is first asked for.

        Raises:
            MissingError: a model, or a package that runs it, is not there.
            EngineError: it is there, but cannot be loaded.
        """

    async def rank(
        self,
        profile: str,
        query: str,
        candidates: Sequence[Candidate],
        *,
        depth: int | None,
        deadline: float | None,
        on_window: Callable[[Window], None] | None = None,
    ) -> Ranking:
        """As `Reranker.arank`, but it waits for no model to be loaded.

        Raises:
            Loading: the model is not loaded yet.
        """

    async def aclose(self) -> None:
        """Free what is held."""


class LocalRankers:
    """Models in this process. Profiles with the same engine share it.

    Args:
        default: the profile of requests that name none.
        others: further profiles that may be named.
        cache: where verdicts on windows are remembered.
        retry: seconds until a model that could not be loaded is loaded again, when it is asked for.

    Raises:
        SettingsError: a part of a profile is unknown or wrong.
        MissingError: a package that one needs is not installed.
    """

    def __init__(
        self, default: Profile, others: Sequence[Profile] = (), cache: Cache | None = None, retry: float = 15.0
    ) -> None:
        self.profiles: Mapping[str, Profile] = {profile.name: profile for profile in (default, *others)}
        self._rerankers = _rerankers(self.profiles, cache)
        self._loads = {name: _Loaded(reranker, retry) for name, reranker in self._rerankers.items()}

    @property
    def remote(self) -> bool:
        """Whether every model is behind a server: this process then holds none."""
        engines = (engine for reranker in self._rerankers.values() for engine in reranker.ranker.engines)
        return all(isinstance(engine, OpenAIEngine | NoneEngine) for engine in engines)

    async def start(self) -> None:
        """Load every model, the default profile's first."""
        errors = []
        for load in self._loads.values():
            try:
                await load.whole()
            except ReasonRankError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def rank(
        self,
        profile: str,
        query: str,
        candidates: Sequence[Candidate],
        *,
        depth: int | None,
        deadline: float | None,
        on_window: Callable[[Window], None] | None = None,
    ) -> Ranking:
        """As `Reranker.arank`, but it waits for no model to be loaded."""
        await self._loads[profile].done()
        reranker = self._rerankers[profile]
        return await reranker.arank(query, candidates, depth=depth, deadline=deadline, on_window=on_window)

    async def aclose(self) -> None:
        """Free the models."""
        async with AsyncExitStack() as stack:
            for name, reranker in self._rerankers.items():
                self._loads[name].stop()
                stack.push_async_callback(reranker.aclose)


class _Loaded:
    """A model's way into memory: begun once, and again where it failed a while ago."""

    def __init__(self, reranker: Reranker, retry: float) -> None:
        self._reranker = reranker
        self._retry = retry
        self._task: asyncio.Task[None] | None = None
        self._failed_at = 0.0

    async def whole(self) -> None:
        """Wait until the model is loaded."""
        await asyncio.shield(self._under_way())

    async def done(self) -> None:
        """Nothing, where the model is loaded.

        Raises:
            Loading: it is not loaded yet.
            ReasonRankError: it could not be loaded.
        """
        task = self._under_way()
        if not task.done():
            await asyncio.wait({task}, timeout=_MOMENT)
        if not task.done():
            raise Loading(f"model {self._reranker.engine.model} is being loaded")
        task.result()

    def stop(self) -> None:
        """Wait no longer."""
        if self._task is not None:
            self._task.cancel()

    def _under_way(self) -> asyncio.Task[None]:
        task = self._task
        if task is None or task.cancelled() or (_failed(task) and time.monotonic() - self._failed_at > self._retry):
            task = self._task = asyncio.create_task(self._reranker.start())
            task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if _failed(task):
            self._failed_at = time.monotonic()


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _rerankers(profiles: Mapping[str, Profile], cache: Cache | None) -> dict[str, Reranker]:
    """A reranker for each profile; none has its model yet."""
    engines: dict[str, Engine] = {}
    rerankers = {}
    for name, profile in profiles.items():
        key = json.dumps(profile.engine, sort_keys=True, default=_told)
        if key not in engines:
            engines[key] = load_engine(profile)
        rerankers[name] = Reranker.load(profile, engine=engines[key], cache=cache)
    return rerankers


def _told(value: object) -> str:
    """A value in a key. Secrets are told apart: nobody is served with another's."""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@asynccontextmanager
async def loading(rankers: Rankers) -> AsyncIterator[Rankers]:
    """Load the models while the block runs; nobody waits for it. They are freed behind it."""
    task = asyncio.create_task(_load(rankers))
    try:
        yield rankers
    finally:
        patience = _CLOSING if task.done() else _MOMENT
        task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(rankers.aclose(), patience)


async def _load(rankers: Rankers) -> None:
    """Load the models, and tell the log of it."""
    started = time.monotonic()
    try:
        await rankers.start()
    except ReasonRankError as error:
        _log.error("searches keep their base order: %s", error)
    except Exception:  # noqa: BLE001 - a task that nobody waits for
        _log.exception("searches keep their base order")
    else:
        _log.info("ready to rank with %s after %.1f s", ", ".join(rankers.profiles), time.monotonic() - started)


def profiles_of(settings: Settings, default: Profile | None = None) -> tuple[Profile, ...]:
    """Every profile that is served, the default first.

    Args:
        default: the default profile, where it is not just the one that the settings name.

    Raises:
        SettingsError: one is unknown or wrong, or two have the same name.
    """
    if default is None:
        default = load_profile(settings.profile).served_by(settings.engine)
        if settings.depth is not None:
            default = default.model_copy(update={"depth": settings.depth})
    found = {default.name: default}
    for name in settings.service.profiles:
        profile = _further(name, settings.engine)
        if profile.name in found:
            raise SettingsError(f"service.profiles: two profiles are called {profile.name!r}; rename one")
        found[profile.name] = profile
    return tuple(found.values())


def _further(name: str, engine: EngineSettings) -> Profile:
    """A profile beside the default. The settings' engine is its too, unless it needs none that generates text."""
    profile = load_profile(name)
    own = plugins.find("engines", profile.engine["name"], where=f"profile {name}, engine")
    return profile.served_by(engine) if hasattr(own, "generate") else profile


def named(profiles: Mapping[str, Profile], name: str) -> Profile:
    """The profile of that name, the default for an empty one.

    Raises:
        SettingsError: it is none of those that may be named.
    """
    if not name:
        return next(iter(profiles.values()))
    if name not in profiles:
        raise SettingsError(f"profile {name!r} is not served here{nearest(name, profiles)}")
    return profiles[name]
