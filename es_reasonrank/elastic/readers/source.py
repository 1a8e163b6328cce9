"""Where documents come from: a file, a folder of files, or a corpus in BEIR's layout (corpus.jsonl beside queries)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from es_reasonrank.elastic.readers import delimited, json_lines
from es_reasonrank.elastic.readers.passages import Fields, Passage, Rejected, passage
from es_reasonrank.elastic.readers.rows import Place, Row
from es_reasonrank.errors import DataError

_BEIR_CORPUS = "corpus.jsonl"


class _Format(NamedTuple):
    rows: Callable[[Path, int], Iterator[Row]]
    count: Callable[[Path], int]


_JSON_LINES = _Format(json_lines.rows, json_lines.count)
_DELIMITED = _Format(delimited.rows, delimited.count)
_FORMATS = {".jsonl": _JSON_LINES, ".ndjson": _JSON_LINES, ".csv": _DELIMITED}


@dataclass(frozen=True, slots=True)
class Source:
    """Files to load, in the order of their names, and how their rows are read."""

    path: Path
    files: tuple[Path, ...]
    fields: Fields

    def passages(self, after: Place | None = None) -> Iterator[Passage | Rejected]:
        """Every row behind the place `after`, or every row; only the current one is held.

        Raises:
            DataError: a file cannot be read any more.
        """
        for path in self.files:
            if after is not None and path.name < after.file:
                continue
            line = after.line if after is not None and path.name == after.file else 0
            try:
                for row in _format(path).rows(path, line):
                    yield passage(row, file=path.name, fields=self.fields)
            except OSError as error:
                raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error

    def count(self) -> int:
        """How many rows there are; the files are read once for it."""
        return sum(_format(path).count(path) for path in self.files)

    def would_read(self, path: Path) -> bool:
        """Whether documents are read from a file, or would be the next time if it stood there."""
        path = path.absolute()
        return path in self.files or (path.parent == self.path and _is_known(path))

    def state(self) -> str:
        """Changes whenever the files or the way they are read change."""
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]
        return repr((files, self.fields))


def open_source(path: Path, fields: Fields | None = None) -> Source:
    """The documents at `path`.

    Raises:
        DataError: there is nothing at `path` that can be read, or a CSV file has not the columns that are needed.
    """
    fields = fields or Fields()
    source = Source(path.absolute(), _files(path.absolute()), fields)
    for file in source.files:
        if not os.access(file, os.R_OK):
            raise DataError("cannot be read: permission denied", path=str(file))
        if _format(file) is _DELIMITED and (lack := fields.unmet(delimited.columns(file))):
            raise DataError(lack, path=str(file), line=1)
    return source


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        if not _is_known(path):
            raise DataError(f"is of no known format; give a {_formats()} file, or a folder", path=str(path))
        return (path,)
    if not path.is_dir():
        raise DataError("there is no such file or folder", path=str(path))
    if (path / _BEIR_CORPUS).is_file():
        return (path / _BEIR_CORPUS,)
    found = sorted(file for file in path.iterdir() if _is_known(file) and file.is_file())
    if not found:
        raise DataError(f"holds no {_formats()} file", path=str(path))
    return tuple(found)


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in _FORMATS


def _format(path: Path) -> _Format:
    return _FORMATS[path.suffix.lower()]


def _formats() -> str:
    *first, last = _FORMATS
    return f"{', '.join(first)} or {last}"
