"""How far a load has come, kept in a file so that a load that was cut off goes on where it was.

The place that is kept is the last one before which every row is settled: in the index, or in the file of rejected rows.
Rows behind it may have been sent as well; they are sent again and replace themselves, for ids do not change.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from es_reasonrank.elastic.readers import Place, Source
from es_reasonrank.files import replacing, text_lines
from es_reasonrank.paths import data_dir
from es_reasonrank.validation import Checked


class Checkpoint(Checked):
    """How far the load of one source into one index has come."""

    source: str
    """State of the source's files, and how they are read."""
    uuid: str
    """The index itself: one that was deleted and made again under the same name has another."""
    file: str
    line: int
    indexed: int
    """How many documents are in, up to this place."""
    rejects: Path
    """Where the rejected rows are."""

    @property
    def place(self) -> Place:
        """The last settled place."""
        return Place(self.file, self.line)


def location(source: Path, index: str) -> Path:
    """Where the checkpoint of loading `source` into `index` is kept; its rejected rows stand beside it by default."""
    key = hashlib.sha256(f"{source}\n{index}".encode()).hexdigest()[:12]
    return data_dir() / "indexing" / f"{index[:100]}-{key}.json"


def read(path: Path, *, source: Source, uuid: str) -> Checkpoint | None:
    """The checkpoint at `path`, if it is about these very files and this very index."""
    try:
        checkpoint = Checkpoint.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return checkpoint if (checkpoint.source, checkpoint.uuid) == (source.state(), uuid) else None


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    with replacing(path) as file:
        file.write(checkpoint.model_dump_json() + "\n")


def settled_rejects(path: Path, until: Place) -> list[str]:
    """The lines of a file of rejected rows that belong to rows up to a place. Rows behind it will be rejected anew."""
    if not path.is_file():
        return []
    return [line for _, line in text_lines(path) if _is_settled(line, until)]


def _is_settled(line: str, until: Place) -> bool:
    try:
        row = json.loads(line)
    except ValueError:  # the line that was being written when the load was cut off
        return False
    return Place(row["file"], row["line"]) <= until
