"""Batches out of single calls, and values made once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from es_reasonrank.engines.batching import Batcher
from es_reasonrank.engines.once import Once
from es_reasonrank.errors import EngineError, ReasonRankError
from es_reasonrank.rerank.pool import run_all


async def test_calls_of_one_moment_share_a_batch() -> None:
    sizes: list[int] = []

    def run(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [item * 2 for item in items]

    batcher = Batcher(run, limit=4)
    assert await asyncio.gather(*(batcher(number) for number in range(10))) == [number * 2 for number in range(10)]
    assert sizes == [4, 4, 2]
    batcher.close()


async def test_an_error_reaches_the_callers_of_its_batch_only() -> None:
    def run(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise EngineError("broken", engine="x")
        return list(items)

    batcher = Batcher(run, limit=2)
    results = await asyncio.gather(*(batcher(number) for number in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [EngineError, EngineError, int, int]
    batcher.close()


async def test_a_caller_that_left_is_not_worked_for() -> None:
    seen: list[int] = []
    gate = threading.Event()

    def run(items: Sequence[int]) -> list[int]:
        gate.wait(5)
        seen.extend(items)
        return list(items)

    batcher = Batcher(run, limit=1)
    first, second, third = (asyncio.ensure_future(batcher(number)) for number in (1, 2, 3))
    await asyncio.sleep(0.05)
    second.cancel()
    gate.set()
    assert await asyncio.gather(first, third) == [1, 3]
    assert seen == [1, 3]
    batcher.close()


async def test_a_value_is_made_once_and_survives_a_caller_that_leaves() -> None:
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        await asyncio.sleep(0.05)
        return made

    once = Once(make)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(once.get(), 0.01)
    assert await asyncio.gather(once.get(), once.get()) == [1, 1]
    assert once.value() == 1
    assert await once.take() == 1
    assert await once.take() is None
    assert await once.get() == 2


async def test_a_failure_is_made_anew() -> None:
    attempts = iter([ValueError("first"), None])

    async def make() -> str:
        if error := next(attempts):
            raise error
        return "made"

    once = Once(make)
    with pytest.raises(ValueError, match=r"first"):
        await once.get()
    assert await once.get() == "made"


async def test_a_pool_is_bounded_and_one_failure_stops_nothing() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        if number == 5:
            raise EngineError("broken", engine="x")
        return number

    results = {item: result async for item, result in run_all(range(20), work, at_once=4)}
    assert most == 4
    assert isinstance(results.pop(5), ReasonRankError)
    assert results == {number: number for number in range(20) if number != 5}


async def test_a_pool_that_is_left_cancels_what_runs() -> None:
    cancelled = 0

    async def work(number: int) -> int:
        nonlocal cancelled
        if number == 0:
            return 0
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return number

    results = run_all(range(5), work, at_once=3)
    async for _ in results:
        break
    await results.aclose()  # type: ignore[attr-defined]
    assert cancelled == 2
