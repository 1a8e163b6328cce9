"""What a source brings: queries with what is known of them, and the documents that lists are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from es_reasonrank.elastic.readers import Rejected, open_source
from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import Text

CRITERION = "it states facts that the answer rests on, or explains them"
"""What makes a passage count, where a source has no better words for it."""


@dataclass(frozen=True)
class Query:
    """A query, and what is known of it before a teacher is asked."""

    id: str
    text: str
    grades: Mapping[str, int] = field(default_factory=dict)
    """Judged documents; 0 is judged as not relevant."""
    gold: str = ""
    """An answer known to be right: shown to who selects passages, never to who ranks them."""
    pool: tuple[str, ...] = ()
    """Documents that a first stage found, best first; without them, the corpus is searched."""
    excluded: frozenset[str] = frozenset()
    """Documents that must not stand in its list."""
    order: tuple[str, ...] = ()
    """An order of the pool that came along; no teacher is asked then."""
    reasoning: str = ""
    """The chain that led to that order."""

    @property
    def relevant(self) -> dict[str, int]:
        """Grades above 0."""
        return {name: grade for name, grade in self.grades.items() if grade > 0}


@dataclass(frozen=True)
class Material:
    """A source's queries and documents."""

    queries: tuple[Query, ...]
    corpus: Mapping[str, Text]
    criterion: str = CRITERION
    """What makes a passage count as helpful: the end of a sentence that begins "A passage counts if"."""
    unasked: tuple[str, ...] = ()
    """Documents that queries are to be made for."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many queries the source held that cannot be used, by reason."""


def read_corpus(path: Path) -> dict[str, Text]:
    """The documents of a file or a BEIR folder, by id; rows without text are passed over.

    Raises:
        DataError: there is nothing that can be read, or not one document.
    """
    rows = open_source(path).passages()
    corpus = {
        row.id: Text(row.source.get("title", ""), row.source.get("body", ""))
        for row in rows
        if not isinstance(row, Rejected)
    }
    if not corpus:
        raise DataError("holds no documents", path=str(path))
    return corpus


def content(text: Text) -> str:
    """A document as one text."""
    return f"{text.title}\n{text.text}".strip()
