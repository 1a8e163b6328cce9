"""Text files in and out: line numbers in every error, and no half-written file under its final name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from es_reasonrank.errors import DataError


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The non-blank lines of a UTF-8 file with their numbers, from 1; only the current line is held.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError("not UTF-8 text; convert the file first", path=str(path), line=number) from error
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers.

    Raises:
        DataError: a line is not a JSON object.
    """
    for number, line in text_lines(path):
        yield number, json_object(line, path=path, line=number)


def json_object(text: str, *, path: Path, line: int) -> dict[str, Any]:
    """The JSON object that one line holds.

    Raises:
        DataError: it holds none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"not valid JSON ({error})", path=str(path), line=line) from error
    if not isinstance(value, dict):
        raise DataError(f"must be a JSON object, not {type(value).__name__}", path=str(path), line=line)
    return value


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """Write a file whole or not at all: the content appears under `path` only when the block ends without an error.

    Raises:
        DataError: the file cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path=str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder whole or not at all: a draft takes its place when the block ends without an error."""
    draft = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    yield draft
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows` as JSON Lines, whole or not at all."""
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
