"""The roll-out log while the service runs: one JSON line a search or click, appended by a thread of its own.

- Nothing waits for the disk: a line is put into a queue, and a thread writes it at once, without a buffer. A killed
  process loses what is in the queue, some milliseconds of it; a machine without power what the system had not written
  back yet, since nothing is synced.
- Several processes may write to one file: each line is one append, which a local file system does whole or not at
  all. A network file system promises no such thing; give each process a file there.
- The file grows until somebody moves it away: after `mv`, or logrotate without `copytruncate`, the next line goes to
  a new file of the old name.
- When the disk is full or too slow, lines are dropped, counted, and told of in the service's own log.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.rollout_log import Entry, Searched
from es_reasonrank.service.rollout import Arm, Shown, pseudonym, unit_of
from es_reasonrank.service_settings import Rollout

SEARCH_ID = "X-Rerank-Search-Id"
"""Header of a response that holds the search's id."""

_log = logging.getLogger(__name__)
_WAITING = 10_000
"""Lines that may wait for the disk."""


class Journal:
    """Appends to a file.

    Args:
        path: the file; None for no log: then `write` does nothing.

    Attributes:
        dropped: lines that were not written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.dropped = 0
        self._queue: queue.Queue[Entry | None] = queue.Queue(_WAITING)
        self._file: int | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Open the file, and begin to write.

        Raises:
            DataError: the file cannot be written.
        """
        if self.path is None:
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(self.path)
        except OSError as error:
            raise DataError(f"the roll-out log cannot be written: {error.strerror}", path=str(self.path)) from error
        self._thread = threading.Thread(target=self._work, args=(self.path,), name="roll-out log", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is waiting, and close the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def write(self, entry: Entry) -> None:
        """Have a line written; it returns at once."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._drop("too many lines are waiting for the disk")

    def _work(self, path: Path) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._append(path, entry.model_dump_json().encode() + b"\n")
            except OSError as error:
                self._drop(error.strerror or str(error))

    def _append(self, path: Path, line: bytes) -> None:
        if self._file is None or _moved(path, self._file):
            stale, self._file = self._file, None
            if stale is not None:
                os.close(stale)
            self._file = _opened(path)
        if os.write(self._file, line) < len(line):
            raise OSError(0, "only a part of a line could be written")

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if self.dropped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th, ...: a full disk must not fill another log
            _log.error("roll-out log %s: %d lines were not written, the last because: %s", self.path, self.dropped, why)


def new_id() -> str:
    """An id for a search, told to nobody but its client."""
    return uuid4().hex


def searched(
    rollout: Rollout,
    *,
    id: str,
    user: str,
    search: str,
    query: str,
    index: str,
    profile: str,
    arm: Arm,
    base: Sequence[str],
    shown: Shown | None = None,
    reranked: Sequence[int] = (),
    start: int = 0,
    offset: int,
    size: int,
    status: str = "",
    reason: str = "",
    took: float = 0.0,
) -> Searched:
    """The line of a search.

    Args:
        user: what tells users apart, as `decide` was given it; only a pseudonym is kept.
        search: as `decide` was given it.
        index: what stands in the request's path.
        base: names of the documents in the first stage's order, see `rollout_log.named`: of the window, or of the page
            alone where the model was not asked.
        shown: what `shown` gave, where the user's answer waited for the model.
        reranked: the ranker's order, as places in `base`; empty where the model was not asked.
        start: how many results stood before the first of `base`.
        offset: how many results stood before the page; the request's `from`.
        size: how many results the page could hold.
        took: seconds that reranking took.
    """
    return Searched(
        time=datetime.now(UTC),
        id=id,
        user=pseudonym(rollout, unit_of(user=user, search=search)),
        query=query,
        index=index,
        profile=profile,
        arm=arm,
        offset=offset,
        size=size,
        start=start,
        base=tuple(base),
        reranked=tuple(base[place] for place in reranked),
        team=tuple(team for team in shown.team if team is not None) if shown else (),
        status=status,
        reason=reason,
        took=round(took * 1000, 2),
    )


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _moved(path: Path, file: int) -> bool:
    """Whether the open file is no longer the one of that name."""
    try:
        return not os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return True
