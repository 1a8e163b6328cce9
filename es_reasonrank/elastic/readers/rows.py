"""What a file's format gives: one row after the other, each with the text that it was read from."""

from __future__ import annotations

from typing import Any, NamedTuple

NOT_UTF8 = "is not UTF-8 text"


class Place(NamedTuple):
    """Where a row begins. Places are ordered as their rows are read."""

    file: str
    line: int


class Row(NamedTuple):
    """One row of a file.

    `original` is its text as it stands in the file; bytes that are not UTF-8 are kept as surrogate escapes. `content`
    is None where the text cannot be read as a row, and `reason` says why.
    """

    line: int
    original: str
    content: dict[str, Any] | None
    reason: str = ""
