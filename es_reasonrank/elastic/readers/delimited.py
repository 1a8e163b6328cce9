"""CSV with a header row: quotes and line breaks inside cells as in RFC 4180."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from es_reasonrank.elastic.readers.rows import NOT_UTF8, Row
from es_reasonrank.errors import DataError

_LONGEST_CELL = 64 * 2**20


def rows(path: Path, after: int = 0) -> Iterator[Row]:
    """The rows that begin behind line `after`. An empty cell counts as no value.

    Raises:
        DataError: the header cannot be used.
    """
    read: list[str] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = _reader(_recorded(file, read))
        names = _header(reader, path)
        while True:
            read.clear()
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, _text(read), None, f"is not valid CSV ({error})")
                continue
            if cells and line > after:
                yield _row(line, _text(read), names, cells)


def columns(path: Path) -> list[str]:
    """The names in the header.

    Raises:
        DataError: the header cannot be used.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return _header(_reader(file), path)


def count(path: Path) -> int:
    """How many rows there are."""
    return sum(1 for _ in rows(path))


def _reader(lines: Iterable[str]) -> Any:
    csv.field_size_limit(_LONGEST_CELL)
    return csv.reader(lines, strict=True)


def _recorded(lines: Iterable[str], into: list[str]) -> Iterator[str]:
    for line in lines:
        into.append(line)
        yield line


def _text(lines: list[str]) -> str:
    return "".join(lines).rstrip("\r\n")


def _header(reader: Any, path: Path) -> list[str]:
    try:
        cells = [cell.strip() for cell in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"the header is not valid CSV ({error})", path=str(path), line=1) from error
    if not _is_utf8("".join(cells)):
        raise DataError("not UTF-8 text; convert the file first", path=str(path), line=1)
    names = [cell or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"the header names column {twice!r} twice", path=str(path), line=1)
    return names


def _is_utf8(text: str) -> bool:
    """Whether text that was decoded with surrogate escapes holds none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row(line: int, text: str, names: list[str], cells: list[str]) -> Row:
    if not _is_utf8(text):
        return Row(line, text, None, NOT_UTF8)
    if len(cells) != len(names):
        return Row(line, text, None, f"has {len(cells)} cells, and the header has {len(names)}")
    return Row(line, text, {name: cell for name, cell in zip(names, cells, strict=True) if cell})
