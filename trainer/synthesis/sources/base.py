"""What all sources share: a name, and how many of their queries are taken."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import Field

from es_reasonrank.errors import DataError
from es_reasonrank.files import json_lines
from es_reasonrank.validation import Checked
from trainer.synthesis.material import Material, Query

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

Item = TypeVar("Item")
Connect = Callable[[], Awaitable["AsyncElasticsearch"]]
"""Gives Elasticsearch, for a source that is read from it."""


class SourceOptions(Checked):
    """What every source can be told."""

    name: str = Field("", pattern=r"^[\w.-]*$", description="What its lists are called; by default as its files are.")
    share: float = Field(1.0, gt=0, le=1, description="Share of its queries that is taken, drawn by the seed.")
    limit: int | None = Field(None, ge=1, description="Queries that are taken at most.")

    def taken(self, items: Sequence[Item], seed: str) -> list[Item]:
        """The items that are taken, in their order."""
        most = min(round(self.share * len(items)) or 1, self.limit or len(items), len(items))
        places = sorted(random.Random(seed).sample(range(len(items)), most))
        return [items[place] for place in places]


class Source(Protocol):
    """A source's options, which load it."""

    @property
    def kind(self) -> str:
        """The name that it is chosen by."""

    @property
    def dataset(self) -> str:
        """What its lists are called."""

    def taken(self, items: Sequence[Item], seed: str) -> list[Item]:
        """The items that are taken, in their order."""

    async def load(self, connect: Connect) -> Material:
        """Queries and documents.

        Raises:
            DataError: a file is wrong, or there is nothing to learn from.
        """


class FileSource(SourceOptions):
    """A source that is read from a file or a folder."""

    path: Path = Field(description="The file or folder.")

    @property
    def dataset(self) -> str:
        """The name, else the file's or the folder's."""
        return self.name or (self.path.parent.name if self.path.suffix else self.path.name)


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file.

    Raises:
        DataError: it cannot be read, or holds none.
    """
    found = [row for _, row in json_lines(path)]
    if not found:
        raise DataError("is empty; a source needs at least one row", path=str(path))
    return found


def values(row: Mapping[str, Any], names: Sequence[str], *, path: Path, number: int) -> list[str]:
    """A row's texts under some names; empty ones where it has nothing there.

    Raises:
        DataError: it does not know a name, or holds no text under it.
    """
    for name in names:
        if name not in row or not isinstance(row[name], str | int | None):
            raise DataError(f"row {number} has no text {name!r}; its keys are {', '.join(row)}", path=str(path))
    return ["" if row[name] is None else str(row[name]).strip() for name in names]


def name_of(row: Mapping[str, Any], number: int) -> str:
    """A row's id, or its number where it has none."""
    return str(row.get("_id", row.get("id", number)))


def usable(queries: Sequence[Query], *, path: Path, why_not: str) -> tuple[Query, ...]:
    """Queries, of which there must be some.

    Raises:
        DataError: there is none.
    """
    if not queries:
        raise DataError(f"no row can be used: {why_not}", path=str(path))
    return tuple(queries)
