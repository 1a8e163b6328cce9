"""The models of the service: each profile that may be named, loaded once; the same engine is never loaded twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from es_reasonrank.engines.base import Engine
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.cache import Cache
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import EngineSettings
from es_reasonrank.types import Candidate, Ranking, Window
from es_reasonrank.validation import nearest


class Rankers(Protocol):
    """Where rankings come from: models in this process, or the process that holds them for all workers."""

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles that may be named, the default first."""

    async def start(self) -> None:
        """Load the default profile's model.

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
        """As `Reranker.arank`."""

    async def aclose(self) -> None:
        """Free what is held."""


class LocalRankers:
    """Models in this process.

    Args:
        default: the profile of requests that name none.
        others: further profiles that may be named.
        cache: where verdicts on windows are remembered.
    """

    def __init__(self, default: Profile, others: Sequence[Profile] = (), cache: Cache | None = None) -> None:
        self.profiles: Mapping[str, Profile] = {profile.name: profile for profile in (default, *others)}
        self._cache = cache
        self._engines: dict[str, Engine] = {}
        self._rerankers: dict[str, Reranker] = {}

    async def start(self) -> None:
        """Load the default profile's model."""
        await self._reranker(next(iter(self.profiles))).start()

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
        """As `Reranker.arank`. A model is loaded when its profile is first named."""
        reranker = self._reranker(profile)
        return await reranker.arank(query, candidates, depth=depth, deadline=deadline, on_window=on_window)

    async def aclose(self) -> None:
        """Free the models."""
        async with AsyncExitStack() as stack:
            for reranker in self._rerankers.values():
                stack.push_async_callback(reranker.aclose)

    def _reranker(self, name: str) -> Reranker:
        if name not in self._rerankers:
            profile = self.profiles[name]
            key = json.dumps(profile.engine, sort_keys=True, default=str)
            if key not in self._engines:
                self._engines[key] = load_engine(profile)
            self._rerankers[name] = Reranker.load(profile, engine=self._engines[key], cache=self._cache)
        return self._rerankers[name]


def profiles_of(default: Profile, names: Sequence[str], engine: EngineSettings) -> list[Profile]:
    """Further profiles by their names or files, served by the engine that the settings name.

    Raises:
        SettingsError: one is unknown or wrong, or two have the same name.
    """
    found = [load_profile(name).served_by(engine) for name in names]
    known = {default.name}
    for profile in found:
        if profile.name in known:
            raise SettingsError(f"service.profiles: two profiles are called {profile.name!r}; rename one")
        known.add(profile.name)
    return found


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
