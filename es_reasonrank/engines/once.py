"""A value that is made once, at its first use, however many ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Loads a model, say. A caller that goes away does not stop the making, and a failure is made anew by the next."""

    def __init__(self, make: Callable[[], Awaitable[Value]]) -> None:
        self._make = make
        self._task: asyncio.Future[Value] | None = None

    async def get(self) -> Value:
        """The value."""
        if self._task is None or (self._task.done() and (self._task.cancelled() or self._task.exception())):
            self._task = asyncio.ensure_future(self._make())
            self._task.add_done_callback(_looked_at)
        return await asyncio.shield(self._task)

    def value(self) -> Value:
        """The value, for code that runs after a `get`."""
        if self._task is None:
            raise RuntimeError("value() before get()")
        return self._task.result()

    async def take(self) -> Value | None:
        """The value where there is one, to close it; the next `get` makes another."""
        task, self._task = self._task, None
        if task is None:
            return None
        (result,) = await asyncio.gather(task, return_exceptions=True)
        return None if isinstance(result, BaseException) else result


def _looked_at(task: asyncio.Future[Any]) -> None:
    """A failure that nobody waits for any more is no news for the log: the next `get` tries again."""
    if not task.cancelled():
        task.exception()
