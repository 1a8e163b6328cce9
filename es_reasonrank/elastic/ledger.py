"""What became of every row of a load: none is forgotten, and a load that is cut off knows where to go on."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from es_reasonrank.elastic import checkpoints
from es_reasonrank.elastic.checkpoints import Checkpoint
from es_reasonrank.elastic.readers import Passage, Rejected, Source
from es_reasonrank.errors import DataError
from es_reasonrank.files import replacing


@dataclass(slots=True)
class Taken:
    """A row that was read. `indexed` is None until it is known what became of it."""

    row: Passage | Rejected
    indexed: bool | None = None


class Ledger:
    """Counts rows, writes the rejected ones to a file, and keeps the checkpoint.

    Attributes:
        indexed: documents that are in, those of earlier runs included.
        rejected: rows that are in the file of rejected rows.
        first_reason: why the first of those was rejected.
        replaced: documents of this run that stood in the index before, or twice in the source.
        resumed: documents that earlier runs had brought in.
    """

    def __init__(self, source: Source, index: str, uuid: str, rejects: Path | None = None) -> None:
        """Begin where an earlier run was cut off, else at the first row.

        Raises:
            DataError: the rejected rows cannot be written where they should.
        """
        self._path = checkpoints.location(source.path, index)
        self._state = (source.state(), uuid)
        self.rejects = rejects.absolute() if rejects else self._path.with_suffix(".rejected.jsonl")
        earlier = checkpoints.read(self._path, source=source, uuid=uuid)
        kept = checkpoints.settled_rejects(earlier.rejects, earlier.place) if earlier else []
        self.place = earlier.place if earlier else None
        self.resumed = self.indexed = self._settled = earlier.indexed if earlier else 0
        self.rejected = len(kept)
        self.replaced = 0
        self.first_reason = _reason(json.loads(kept[0])) if kept else ""
        self._open: deque[Taken] = deque()
        self._file = self._rejects_file(kept)

    def take(self, row: Passage | Rejected) -> Taken:
        """A row that was read; rows are taken in the order of the source."""
        taken = Taken(row)
        self._open.append(taken)
        return taken

    def accept(self, taken: Taken, *, replaced: bool) -> None:
        """The row is in the index."""
        self.indexed += 1
        self.replaced += replaced
        taken.indexed = True
        self._advance()

    def reject(self, taken: Taken, reason: str) -> None:
        """The row will not be in the index; it is written to the file of rejected rows."""
        row = taken.row
        entry = {"file": row.place.file, "line": row.place.line, "id": row.id, "reason": reason, "row": row.original}
        with self._writing():
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.first_reason = self.first_reason or _reason(entry)
        self.rejected += 1
        taken.indexed = False
        self._advance()

    def save(self) -> None:
        """Keep the checkpoint. The rejected rows up to it are written first.

        Raises:
            DataError: there is no room for them.
        """
        with self._writing():
            self._file.flush()
        if self.place is not None:
            state, uuid = self._state
            checkpoints.write(
                self._path,
                Checkpoint(
                    source=state,
                    uuid=uuid,
                    file=self.place.file,
                    line=self.place.line,
                    indexed=self._settled,
                    rejects=self.rejects,
                ),
            )

    def close(self, *, done: bool) -> None:
        """Keep the checkpoint of a load that was cut off, forget that of one that is done."""
        if not done:
            self.save()
        self._file.close()
        if done:
            self._path.unlink(missing_ok=True)
            if not self.rejected:
                self.rejects.unlink(missing_ok=True)

    def _advance(self) -> None:
        while self._open and self._open[0].indexed is not None:
            first = self._open.popleft()
            self.place = first.row.place
            self._settled += bool(first.indexed)

    def _rejects_file(self, kept: list[str]) -> IO[str]:
        with replacing(self.rejects) as file:
            file.writelines(f"{line}\n" for line in kept)
        with self._writing():
            # A byte that is not UTF-8 was read as a lone surrogate; backslashreplace writes that as JSON's own escape.
            return self.rejects.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", path=str(self.rejects)) from error


def _reason(entry: dict[str, Any]) -> str:
    return f"{entry['file']}, line {entry['line']}: {entry['reason']}"
