"""A teacher's transcript: every run that asks it records a part of its own, and the parts make one recording."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from es_reasonrank.files import text_lines, write_json_lines

_PART = "transcript-{:03}.part"


def new_part(folder: Path) -> Path:
    """The file for the replies of a new run."""
    return folder / _PART.format(len(_parts(folder)) + 1)


def joined(folder: Path) -> Path | None:
    """All parts as one recording for the engine `replay`; None where there are none."""
    parts = [rows for path in _parts(folder) if (rows := list(_rows(path)))]
    if not parts:
        return None
    path = folder / "transcript.jsonl"
    write_json_lines(path, [parts[0][0], *(row for rows in parts for row in rows[1:])])
    return path


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PART.replace("{:03}", "*")))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a part, up to one that a kill cut off."""
    for _, line in text_lines(path):
        try:
            yield json.loads(line)
        except ValueError:
            return
