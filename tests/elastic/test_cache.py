"""Remembered verdicts in a real index."""

from __future__ import annotations

import asyncio

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank import Outcome, Reranker
from es_reasonrank.elastic.cache import ElasticCache, cache_of
from es_reasonrank.elastic.client import connected
from es_reasonrank.settings import CacheSettings, ElasticSettings
from es_reasonrank.types import Verdict
from tests.unit.fakes import ScriptedEngine, listwise, reverse

VERDICT = Verdict((2, 0, 1), Outcome.OK, reasoning="because", reply="[3] > [1] > [2]", scores=(0.1, 0.2, 0.3))


def cache_in(client: AsyncElasticsearch, index: str, **bounds: float) -> ElasticCache:
    """A cache in the index."""
    cache = cache_of(client, CacheSettings(index=index, **bounds))  # type: ignore[arg-type]
    assert cache is not None
    return cache


async def test_what_is_kept_comes_back(es: AsyncElasticsearch, index_name: str) -> None:
    cache = cache_in(es, index_name)
    assert await cache.get("a", 3) is None
    await cache.put("a", VERDICT)
    assert await cache.get("a", 3) == VERDICT
    assert await cache.get("a", 4) is None
    assert await cache.get("b", 3) is None


async def test_a_second_process_asks_nothing(es: AsyncElasticsearch, index_name: str) -> None:
    engines = [ScriptedEngine(reverse), ScriptedEngine(reverse)]
    for engine in engines:
        reranker = Reranker.load(listwise(), engine=engine, cache=cache_in(es, index_name))
        ranking = await reranker.arank("why", ["a", "b", "c", "d", "e"])
    assert [len(engine.requests) for engine in engines] == [2, 0]
    assert all(window.cached for window in ranking.trace.windows)


async def test_an_entry_that_is_no_verdict_is_not_read(es: AsyncElasticsearch, index_name: str) -> None:
    cache = cache_in(es, index_name)
    await cache.put("a", VERDICT)
    whole = (await es.get(index=index_name, id="a"))["_source"]
    for wrong in ({"order": [0, 0, 1]}, {"order": "210"}, {"outcome": "malformed"}, {"scores": [1]}, {"outcome": "x"}):
        poisoned = {**whole, "verdict": {**whole["verdict"], **wrong}}
        await es.index(index=index_name, id="a", document=poisoned)
        assert await cache.get("a", 3) is None, wrong
    await es.index(index=index_name, id="a", document={**whole, "verdict": "ok", "expires": 7})
    assert await cache.get("a", 3) is None


async def test_what_is_old_is_gone(es: AsyncElasticsearch, index_name: str) -> None:
    cache = cache_in(es, index_name, ttl=0.2)
    await cache.put("a", VERDICT)
    await asyncio.sleep(0.3)
    assert await cache.get("a", 3) is None
    assert await cache.sweep() == 1


async def test_the_oldest_make_room(es: AsyncElasticsearch, index_name: str) -> None:
    cache = cache_in(es, index_name, size=3)
    for name in "abcde":
        await cache.put(name, VERDICT)
    assert await cache.sweep() == 2
    assert [name for name in "abcde" if await cache.get(name, 3)] == ["c", "d", "e"]


async def test_a_cluster_that_is_away_fails_nothing(index_name: str) -> None:
    async with connected(ElasticSettings(url="http://127.0.0.1:9")) as client:
        reranker = Reranker.load(listwise(), engine=ScriptedEngine(reverse), cache=cache_in(client, index_name))
        ranking = await reranker.arank("why", ["a", "b", "c"])
    assert ranking.order == (2, 1, 0)


@pytest.mark.parametrize("name", ["A*", "_all"])
async def test_a_name_that_is_none_fails_nothing(es: AsyncElasticsearch, name: str) -> None:
    cache = cache_in(es, name)
    await cache.put("a", VERDICT)
    assert await cache.get("a", 3) is None
