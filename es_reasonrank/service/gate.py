"""A bounded queue in front of the model: so many at a time, so many waiting, and everybody else is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Overloaded(Exception):  # noqa: N818 - it is an answer, not a fault
    """There is no room, not even to wait."""


class Gate:
    """Lets `at_once` in; `queue` more may wait, and get their turn in the order in which they came."""

    def __init__(self, at_once: int, queue: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._queue = queue
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            Overloaded: the queue is full.
        """
        if self._slots.locked() and self.waiting >= self._queue:
            raise Overloaded
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()
