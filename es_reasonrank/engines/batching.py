"""Batches out of single calls: what comes in while one batch runs makes the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Calls a blocking function on batches of items, in one thread, one batch at a time.

    Args:
        run: takes a batch and returns one result an item.
        limit: items in a batch at most.
    """

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Result]], limit: int) -> None:
        self._run = run
        self._limit = limit
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")

    async def __call__(self, item: Item) -> Result:
        """The item's result. An error of `run` reaches every caller of the batch; a caller that left costs nothing."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # callers of the same moment share a batch
            self._waiting = [pair for pair in self._waiting if not pair[1].done()]
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            if not batch:
                return
            try:
                results = await loop.run_in_executor(self._thread, self._run, [item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - it belongs to the callers
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def close(self) -> None:
        """Let the thread end; a batch that runs is waited for."""
        self._thread.shutdown(cancel_futures=True)
