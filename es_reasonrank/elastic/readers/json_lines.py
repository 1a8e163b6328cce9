"""JSON Lines: one object a line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from es_reasonrank.elastic.readers.rows import NOT_UTF8, Row

# Python and pandas write NaN where a value is missing; JSON has no word for it but null.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


def rows(path: Path, after: int = 0) -> Iterator[Row]:
    """The rows behind line `after`; blank lines are none."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number <= after or raw.isspace():
                continue
            line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            yield _row(number, line.rstrip(b"\r\n"))


def count(path: Path) -> int:
    """How many rows there are."""
    with path.open("rb") as file:
        return sum(not raw.isspace() for raw in file)


def _row(line: int, raw: bytes) -> Row:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Row(line, raw.decode(errors="surrogateescape"), None, NOT_UTF8)
    try:
        content = _DECODER.decode(text)
    except ValueError as error:
        return Row(line, text, None, f"is not valid JSON ({error})")
    except RecursionError:
        return Row(line, text, None, "is nested too deeply")
    if not isinstance(content, dict):
        return Row(line, text, None, f"must be a JSON object, not {type(content).__name__}")
    return Row(line, text, _mended(content) if "\\ud" in text or "\\uD" in text else content)


def _mended(content: dict[str, Any]) -> dict[str, Any]:
    """Half a surrogate pair, as a cut emoji leaves it, becomes U+FFFD: it is no character, and breaks who reads it."""
    text = json.dumps(content, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    mended: dict[str, Any] = json.loads(text)
    return mended
