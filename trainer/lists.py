"""A training list: a query, the passages of one window, which of them are relevant, and the order to learn.

On disk a list is a line of JSON in the form of ReasonRank's released data (2508.07050: `dataset`, `qid`,
`initial_list`, `final_list`, `reasoning`, `relevant_docids`) that brings its texts along (`query`, `passages`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from es_reasonrank.errors import DataError, SettingsError
from es_reasonrank.files import json_lines, write_json_lines
from es_reasonrank.types import Candidate
from es_reasonrank.validation import Checked, checked

SIZE = 20
"""Passages that a list holds at most: ReasonRank's window (2508.07050, section 4.1)."""


class Passage(Checked):
    """One passage of a list."""

    id: str
    text: str
    title: str = ""
    origin: str = Field("", description="How it came in: qrels, bm25, embedding, hard.")

    @property
    def candidate(self) -> Candidate:
        """The passage as the bridge ranks it."""
        return Candidate(self.id, self.text, self.title)


class TrainingList(Checked):
    """A window to learn from."""

    dataset: str = Field(description="The source that it was made from.")
    qid: str
    query: str
    passages: tuple[Passage, ...] = Field(min_length=2, description="In the order in which the model is shown them.")
    relevant: dict[str, int] = Field(default_factory=dict, description="Grades above 0 by passage id.")
    order: tuple[str, ...] = Field((), description="Ids, best first: the teacher's order; empty before there is one.")
    reasoning: str = Field("", description="The chain that led to the order.")
    gold: str = Field("", description="The answer that passages were selected by; never shown to who ranks.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        ids = [passage.id for passage in self.passages]
        if len(set(ids)) != len(ids):
            raise ValueError("a passage stands in it twice")
        if self.order and sorted(self.order) != sorted(ids):
            raise ValueError("its order is no permutation of its passages")
        return self

    @property
    def grades(self) -> tuple[int, ...]:
        """Each passage's grade, as shown."""
        return tuple(self.relevant.get(passage.id, 0) for passage in self.passages)

    @property
    def places(self) -> tuple[int, ...]:
        """The order as places in `passages`, from 0."""
        known = {passage.id: place for place, passage in enumerate(self.passages)}
        return tuple(known[name] for name in self.order)

    def record(self) -> dict[str, Any]:
        """The list as a line of a file."""
        return {
            "dataset": self.dataset,
            "qid": self.qid,
            "query": self.query,
            "initial_list": [passage.id for passage in self.passages],
            "final_list": list(self.order),
            "reasoning": [self.reasoning] if self.reasoning else [],
            "relevant_docids": list(self.relevant),
            "grades": self.relevant,
            "passages": {
                passage.id: passage.model_dump(exclude={"id"}, exclude_defaults=True) for passage in self.passages
            },
            "gold": self.gold,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any], *, path: Path, line: int) -> Self:
        """The list that a line holds.

        Raises:
            DataError: a part is missing or wrong.
        """
        try:
            texts = record["passages"]
            values = {
                "dataset": record.get("dataset", ""),
                "qid": record["qid"],
                "query": record["query"],
                "passages": [{"id": name, **texts[name]} for name in record["initial_list"]],
                "relevant": record.get("grades") or dict.fromkeys(record.get("relevant_docids", ()), 1),
                "order": record.get("final_list", ()),
                "reasoning": _chain(record.get("reasoning", "")),
                "gold": record.get("gold", ""),
            }
            return checked(cls, values, where="training list")
        except KeyError as error:
            raise DataError(f"training list without {error}", path=str(path), line=line) from error
        except (TypeError, AttributeError, SettingsError) as error:
            raise DataError(str(error), path=str(path), line=line) from error


def _chain(reasoning: str | Sequence[str]) -> str:
    """The chain: released records have a text, or a list with one."""
    return reasoning if isinstance(reasoning, str) else next(iter(reasoning), "")


def read_lists(path: Path) -> Iterator[TrainingList]:
    """The lists of a file.

    Raises:
        DataError: the file cannot be read, or a line is no list.
    """
    for number, record in json_lines(path):
        yield TrainingList.of(record, path=path, line=number)


def write_lists(path: Path, lists: Iterable[TrainingList]) -> None:
    """Write lists to a file, which appears when it is whole."""
    write_json_lines(path, (one.record() for one in lists))
