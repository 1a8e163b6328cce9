"""One at a time: whoever starts, stops or builds a server waits for whoever does so already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from es_reasonrank.errors import ElasticError, SettingsError

Say = Callable[[str], None]
"""Told what takes long, in one line."""

_SECONDS = 1200


@contextmanager
def locked(folder: Path, *, remedy: str, say: Say) -> Iterator[None]:
    """Hold the lock of `folder`, which is made. The system frees it when its holder ends, however that ends.

    Args:
        remedy: what to do where the folder cannot be written.

    Raises:
        SettingsError: the folder cannot be written.
        ElasticError: somebody else has held the lock for very long.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another es-reasonrank that is at work in {folder}")
            lock.acquire(timeout=_SECONDS)
    except Timeout as error:
        raise ElasticError(f"another es-reasonrank has been at work in {folder} for too long; end it") from error
    except OSError as error:
        raise SettingsError(f"folder {folder} cannot be written: {error.strerror or error}; {remedy}") from error
    try:
        yield
    finally:
        lock.release()
