"""Processes that the service starts, and starts again when they end by themselves."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

_log = logging.getLogger(__name__)

_FIRST, _LONGEST = 0.5, 30.0
"""Seconds until a process that ended is started again: ever longer, up to a limit."""
_WELL = 60.0
"""Seconds after which a process counts as having started well."""
_KILL = 2.0


class Child:
    """One process, kept alive by a thread.

    Args:
        name: what the log calls it.
        target: its main function, importable; after `arguments` it gets a connection, and ends when that says
            something or is closed, which it is too where this process dies.
    """

    def __init__(self, name: str, target: Callable[..., None], *arguments: Any) -> None:
        self.name = name
        self._target = target
        self._arguments = arguments
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)
        self._begin()
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        """The process that is it now."""
        return self._process.pid

    def stop(self, seconds: float) -> None:
        """Let it end, and wait so many seconds for it; then it is killed. It may be called twice."""
        with self._lock:
            self._stopping.set()
            self._control.close()
        if not wait([self._process.sentinel], timeout=seconds):
            _log.warning("%s did not end within %g s and is killed", self.name, seconds)
            self._process.kill()
            wait([self._process.sentinel], timeout=_KILL)
        self._keeper.join(_KILL)

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._process.kill()

    def _begin(self) -> None:
        theirs, self._control = self._context.Pipe(duplex=False)
        # Not as a daemon: an engine must be able to start processes of its own.
        self._process = self._context.Process(target=self._target, args=(*self._arguments, theirs), name=self.name)
        self._process.start()
        theirs.close()

    def _keep(self) -> None:
        delay = _FIRST
        while True:
            started = time.monotonic()
            self._process.join()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _WELL:
                delay = _FIRST
            code = self._process.exitcode
            _log.error("%s ended by itself (exit code %s); it is started again in %g s", self.name, code, delay)
            if self._stopping.wait(delay):
                return
            delay = min(2 * delay, _LONGEST)
            with self._lock:
                if self._stopping.is_set():
                    return
                self._control.close()
                self._begin()
