"""A file of finished work: what stands in it survives a kill, and a half-written last line does not harm it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from es_reasonrank.errors import DataError


class Journal:
    """JSON lines under a first line that says what they belong to; a journal of anything else is begun anew."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        """What stood in it when it was opened."""
        self._head = {"fingerprint": fingerprint}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", path=str(self.path)) from error
        self._file.seek(0)
        end = 0
        lines: list[dict[str, Any]] = []
        for raw in self._file:
            row = _row(raw)
            if row is None or (not lines and row != self._head):
                break
            lines.append(row)
            end += len(raw)
        self._file.truncate(end)
        self.rows = lines[1:]
        if not lines:
            self.add(self._head)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row; it is in the file when this returns."""
        assert self._file is not None
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()

    def remove(self) -> None:
        """Delete the file: its content stands elsewhere now."""
        self.path.unlink(missing_ok=True)


def _row(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        row = json.loads(raw)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
