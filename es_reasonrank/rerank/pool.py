"""Many queries at once, bounded: results come as they are ready, and one failure stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from itertools import islice
from typing import TypeVar

from es_reasonrank.errors import ReasonRankError

Item = TypeVar("Item")
Result = TypeVar("Result")


async def run_all(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], *, at_once: int
) -> AsyncGenerator[tuple[Item, Result | ReasonRankError]]:
    """Work on `items`, at most `at_once` of them at a time; yield each with its result, or with the error of ours.

    When the caller stops early, what is under way is cancelled. Any other error is a bug and ends the iteration.
    """

    async def attempt(item: Item) -> tuple[Item, Result | ReasonRankError]:
        try:
            return item, await work(item)
        except ReasonRankError as error:
            return item, error

    waiting = iter(items)
    running = {asyncio.ensure_future(attempt(item)) for item in islice(waiting, at_once)}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running |= {asyncio.ensure_future(attempt(item)) for item in islice(waiting, len(done))}
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
