"""The lines of a roll-out log: searches with both their orders, and the clicks that followed; one JSON object each."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from es_reasonrank.errors import DataError

Team = Literal["base", "reranked"]


class _Line(BaseModel):
    """Keys that it does not know are passed over: a newer service may have written the file."""

    model_config = ConfigDict(frozen=True)


class Searched(_Line):
    """One answered search. `base` and `reranked` hold ids: of the window that was reranked, or else of the page."""

    kind: Literal["search"] = "search"
    time: datetime
    id: str
    """What the client was told in `X-Rerank-Search-Id`; clicks name it."""
    user: str
    """A pseudonym of the user, or of the query where nothing tells users apart."""
    query: str
    index: str
    profile: str
    arm: str
    """What the user saw: reranked, base, shadow (the base order) or interleaved."""
    offset: int = 0
    """How many results stood before this page."""
    size: int = 10
    """How many results the page could hold."""
    start: int = 0
    """How many results stood before the first of `base`: none before a window, `offset` before a page."""
    base: tuple[str, ...] = ()
    reranked: tuple[str, ...] = ()
    """Empty where the model was not asked."""
    team: tuple[Team, ...] = ()
    """For each place of an interleaved order who put it there; else empty."""
    status: str = ""
    reason: str = ""
    took: float = 0.0
    """Milliseconds that reranking took."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.reranked and sorted(self.reranked) != sorted(self.base):
            raise ValueError("'base' and 'reranked' do not hold the same ids")
        if self.team and len(self.team) != len(self.base):
            raise ValueError("'team' has not one entry for each place")
        return self

    @property
    def shown(self) -> tuple[str, ...]:
        """`base` in the order that the user saw. An interleaved one follows from the teams."""
        if not self.team:
            return self.reranked if self.arm == "reranked" and self.reranked else self.base
        orders = {"base": self.base, "reranked": self.reranked}
        order: dict[str, None] = {}
        for team in self.team:
            order[next(name for name in orders[team] if name not in order)] = None
        return tuple(order)


class Clicked(_Line):
    """One document that a user opened, or did more with, after a search."""

    kind: Literal["click"] = "click"
    time: datetime
    id: str
    """The same click sent again has the same id, and counts once."""
    search: str
    """Id of the search; empty where the sender did not know it."""
    document: str
    index: str = ""
    event: Literal["click", "conversion"] = "click"
    position: int | None = None
    """Place on the result list as the sender counts it, from 1."""


Entry = Searched | Clicked

_PARSER: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


@dataclass
class Broken:
    """Lines that are none: cut off, or written by something else."""

    count: int = 0
    first: str = ""
    """Where the first one stands, and what is wrong with it."""


def read(paths: Iterable[Path], broken: Broken) -> Iterator[Entry]:
    """The entries of several files, in their order; files that end in .gz are unpacked on the way.

    Args:
        broken: takes count of the lines that cannot be read.

    Raises:
        DataError: a file cannot be read.
    """
    for path in paths:
        try:
            with _opened(path) as file:
                for number, line in enumerate(file, start=1):
                    if not line.strip():
                        continue
                    try:
                        yield _PARSER.validate_json(line)
                    except ValidationError as error:
                        broken.count += 1
                        broken.first = broken.first or f"{path}, line {number}: {error.errors()[0]['msg']}"
        except (OSError, EOFError) as error:
            raise DataError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path=str(path)) from error


def named(documents: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Names for documents given as index and id: the id, and index/id where documents of two indices share it."""
    pairs = list(documents)
    seen: dict[str, int] = {}
    for _, name in pairs:
        seen[name] = seen.get(name, 0) + 1
    return tuple(name if seen[name] == 1 else f"{index}/{name}" for index, name in pairs)


def _opened(path: Path) -> AbstractContextManager[Iterable[bytes]]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
