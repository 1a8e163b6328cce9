"""Models of the service: loaded in the background, shared by profiles, and never waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from es_reasonrank.errors import EngineError, SettingsError
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.service import rankers as module
from es_reasonrank.service.rankers import Loading, LocalRankers, loading, named, profiles_of
from es_reasonrank.settings import load
from es_reasonrank.types import Candidate, Ranking
from tests.unit.fakes import ScriptedEngine, listwise, reverse

TWO = (Candidate("a", "text a"), Candidate("b", "text b"))


class Slow(ScriptedEngine):
    """Is loaded when it is let, with an error if need be."""

    def __init__(self) -> None:
        super().__init__(reverse)
        self.starts = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def start(self) -> None:
        self.starts += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error


def profile(name: str = "small", **engine: Any) -> Profile:
    return listwise().model_copy(update={"name": name, "engine": {"name": "openai", **engine}})


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Slow]:
    """The engines that were made, in their order."""
    made: list[Slow] = []

    def make(profile: Profile) -> Slow:
        made.append(Slow())
        return made[-1]

    monkeypatch.setattr(module, "load_engine", make)
    return made


def ask(rankers: LocalRankers, name: str = "small") -> asyncio.Task[Ranking]:
    return asyncio.create_task(rankers.rank(name, "why", TWO, depth=None, deadline=5.0))


async def test_nobody_waits_for_a_model(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile())
    loaded = asyncio.create_task(rankers.start())
    with pytest.raises(Loading, match="scripted is being loaded"):
        await asyncio.wait_for(ask(rankers), 0.5)
    assert not loaded.done()
    engines[0].go.set()
    await loaded
    assert (await ask(rankers)).order == (1, 0)


async def test_the_first_ranking_loads_what_nobody_has_begun_to(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile())
    with pytest.raises(Loading):
        await ask(rankers)
    engines[0].go.set()
    assert (await ask(rankers)).order == (1, 0)


async def test_a_model_that_is_there_in_a_moment_is_waited_for(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile())
    asyncio.get_running_loop().call_later(0.01, engines[0].go.set)
    assert (await ask(rankers)).order == (1, 0)


async def test_one_that_cannot_be_loaded_is_tried_again_after_a_while(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile(), retry=0.05)
    engines[0].go.set()
    engines[0].error = EngineError("no memory", engine="x")
    for _ in range(3):
        with pytest.raises(EngineError, match="no memory"):
            await ask(rankers)
    assert engines[0].starts == 1
    await asyncio.sleep(0.06)
    engines[0].error = None
    assert (await ask(rankers)).order == (1, 0)


async def test_every_model_is_loaded_though_one_fails(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile("one", model="1"), [profile("two", model="2")])
    first, second = engines
    first.error = EngineError("no memory", engine="x")
    first.go.set()
    second.go.set()
    with pytest.raises(EngineError, match="no memory"):
        await rankers.start()
    assert (await ask(rankers, "two")).order == (1, 0)


async def test_equal_engines_are_one(engines: list[Slow]) -> None:
    LocalRankers(profile("one", model="1"), [profile("two", model="1"), profile("three", model="2")])
    assert len(engines) == 2


async def test_a_secret_is_part_of_what_an_engine_is(engines: list[Slow]) -> None:
    LocalRankers(profile("one", api_key=SecretStr("a")), [profile("two", api_key=SecretStr("b"))])
    assert len(engines) == 2


async def test_the_service_loads_beside_its_work_and_frees_in_the_end(engines: list[Slow]) -> None:
    rankers = LocalRankers(profile())
    async with loading(rankers) as same:
        assert same is rankers
        engines[0].go.set()
        await asyncio.sleep(0.01)
        assert engines[0].starts == 1
    assert engines[0].closed


async def test_one_that_is_being_loaded_does_not_keep_the_service_from_its_end(engines: list[Slow]) -> None:
    async with asyncio.timeout(1), loading(LocalRankers(profile())):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("names", "remote"),
    [(["identity"], True), (["rankgpt", "identity"], True), (["rankgpt", "encoder"], False), (["coranking"], False)],
)
def test_where_the_models_are(names: list[str], remote: bool) -> None:
    """coranking asks a server, and an encoder in this process besides."""
    first, *others = [load_profile(name) for name in names]
    assert LocalRankers(first, others).remote is remote


def test_the_profiles_of_the_settings() -> None:
    names = ["identity", "encoder", "rank1"]
    flags = {"profile": "rankgpt", "depth": 7, "service.profiles": names, "engine.base_url": "http://gpu:8000"}
    default, *others = profiles_of(load(flags, environ={}).settings)
    assert (default.name, default.depth, default.engine["base_url"]) == ("rankgpt", 7, "http://gpu:8000")
    assert [profile.name for profile in others] == names
    assert [profile.engine["name"] for profile in others] == ["none", "sentence_transformers", "openai"]
    assert others[0].depth == load_profile("identity").depth


def test_names_are_told_apart() -> None:
    with pytest.raises(SettingsError, match="two profiles are called 'identity'"):
        profiles_of(load({"profile": "identity", "service.profiles": ["identity"]}, environ={}).settings)
    known = {name: load_profile(name) for name in ("encoder", "identity")}
    assert named(known, "").name == "encoder"
    with pytest.raises(SettingsError, match=r"'identty' is not served here \(did you mean 'identity'\?\)"):
        named(known, "identty")
