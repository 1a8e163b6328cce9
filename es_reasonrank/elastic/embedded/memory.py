"""Whether the server fits into the memory that is free. Asked before the start: later, the system just kills it."""

from __future__ import annotations

import re
from pathlib import Path

from es_reasonrank.errors import MissingError, SettingsError

_MEBIBYTE = 1024**2
_OUTSIDE_HEAP = 512 * _MEBIBYTE
"""What a server takes beside its heap: classes, threads, network buffers, and some of its index files."""
_UNITS = {"k": 1024, "m": _MEBIBYTE, "g": 1024**3}


def heap_bytes(heap: str) -> int:
    """The bytes that a size such as 512m or 2g means.

    Raises:
        SettingsError: it is no size, or too small a one to start with.
    """
    size = re.fullmatch(r"(\d+)([kmg])", heap.lower())
    if size is None:
        raise SettingsError(f"heap {heap!r} is no size; write it like 512m or 2g")
    count = int(size[1]) * _UNITS[size[2]]
    if count < 128 * _MEBIBYTE:
        raise SettingsError(f"heap {heap!r} is too small for Elasticsearch; give it at least 128m")
    return count


def require(heap: str) -> None:
    """Refuse a heap for which there is no room.

    Raises:
        MissingError: too little memory is free.
        SettingsError: `heap` is no size.
    """
    needed = heap_bytes(heap) + _OUTSIDE_HEAP
    free = available()
    if free is not None and free < needed:
        raise MissingError(
            f"{free // _MEBIBYTE} MiB of memory are free, and Elasticsearch with a heap of {heap} needs about "
            f"{needed // _MEBIBYTE}; end other programs, or choose a smaller --heap (256m is enough to try it)"
        )


def available(proc: Path = Path("/proc"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The bytes that can still be used, on the machine and in the container; None where the system does not say."""
    amounts = [amount for amount in (_of_machine(proc), _of_container(group)) if amount is not None]
    return min(amounts, default=None)


def _of_machine(proc: Path) -> int | None:
    line = re.search(r"^MemAvailable:\s*(\d+) kB", _text(proc / "meminfo"), re.MULTILINE)
    return int(line[1]) * 1024 if line else None


def _of_container(group: Path) -> int | None:
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if not (limit.isdigit() and used.isdigit()):
        return None
    # Files that the system keeps in memory count as used there, and go when the room is needed.
    cached = re.search(r"^inactive_file (\d+)", _text(group / "memory.stat"), re.MULTILINE)
    return int(limit) - int(used) + (int(cached[1]) if cached else 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
