"""A part that is asked whether it works, but not by every probe: its last answer stands for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from es_reasonrank.errors import ReasonRankError
from es_reasonrank.service.logs import redacted

PATIENCE = 3.0
"""Seconds that a probe waits for an answer that is not there yet."""
_SOON = 2.0
"""Seconds until a part that did not work is asked again: it may be loaded by then."""


@dataclass(frozen=True)
class Finding:
    """What a part answered."""

    ready: bool
    detail: str
    age: float = 0.0
    """Seconds since it answered."""


class Check:
    """Asks one part, for one probe at a time.

    While it is asked again, its last answer stands, so that a slow part is not taken for a broken one.

    Args:
        ask: gives a sentence where the part works, and raises a ReasonRankError where it does not.
        fresh: seconds that a good answer stands; a bad one stands for two.
        patience: seconds that a probe waits.
    """

    def __init__(self, ask: Callable[[], Awaitable[str]], *, fresh: float, patience: float = PATIENCE) -> None:
        self._ask = ask
        self._fresh = fresh
        self._patience = patience
        self._last: Finding | None = None
        self._at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0

    def worked(self, detail: str) -> None:
        """The part was just seen at work; it need not be asked."""
        self._last, self._at = Finding(True, detail), time.monotonic()

    async def finding(self) -> Finding:
        """Whether the part works, as far as is known by now."""
        if self._is_old:
            task = self._asking()
            await asyncio.wait({task}, timeout=self._patience)
            if task.done():
                task.result()
        if self._last is None:
            waited = time.monotonic() - self._began
            return Finding(False, f"asked {waited:.1f} s ago and not answered yet; it may still be loading")
        return replace(self._last, age=time.monotonic() - self._at)

    @property
    def _is_old(self) -> bool:
        if self._last is None:
            return True
        stands = self._fresh if self._last.ready else min(self._fresh, _SOON)
        return time.monotonic() - self._at >= stands

    def _asking(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._began = time.monotonic()
            self._task = asyncio.create_task(self._asked())
        return self._task

    async def _asked(self) -> None:
        try:
            found = Finding(True, await self._ask())
        except ReasonRankError as error:
            found = Finding(False, redacted(str(error)))
        self._last, self._at = found, time.monotonic()

    async def aclose(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
