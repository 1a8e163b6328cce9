"""The server's own way to ask for a reranking: `text_similarity_reranker`, alone or inside of other retrievers.

Its `inference_id` names a profile of ours; one that names anything else is the server's business. What is below it
runs on the server; its window is reranked here. Where it stands inside of another retriever, its place is taken by a
query that gives the same hits in the same order, so that the outer one runs on the server too. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from es_reasonrank.service.proxy.asked import Asked
from es_reasonrank.validation import Checked, checked

NAME = "text_similarity_reranker"
_STEP = 1e-6
"""What keeps equal scores apart, larger than the precision of the server's single floats between 1 and 2."""

Path = tuple[str | int, ...]


class TextSimilarity(Checked):
    """The keys of the retriever, as Elasticsearch's reference has them (8.14 and later)."""

    retriever: dict[str, Any] = Field(description="What finds the hits.")
    field: str = Field(description="Field that holds a hit's text.")
    inference_text: str = Field(min_length=1, description="What the hits are judged by.")
    inference_id: str = Field("", description="A profile's name.")
    rank_window_size: int = Field(10, ge=1, le=10_000, description="Hits that are reranked; no others are returned.")
    min_score: float | None = Field(None, description="Least score of a hit that is returned.")
    filter: Any = Field(None, description="Filter on the hits that are found.")
    label: str | None = Field(None, alias="_name", description="The retriever's name.")
    allow_rerank_failures: bool = Field(False, description="Whether a failure leaves the hits as they were found.")
    chunk_rescorer: dict[str, Any] | None = Field(None, description="Only the best passages of a text are read.")

    @property
    def asked(self) -> Asked:
        """What it asks of the reranker."""
        return Asked(
            query=self.inference_text,
            fields=(self.field,),
            take="all" if self.chunk_rescorer is None else "best",
            depth=self.rank_window_size,
            profile=self.inference_id,
            on_failure="base_order" if self.allow_rerank_failures else None,
        )

    @property
    def child(self) -> dict[str, Any]:
        """What finds the hits, with the filter."""
        if self.filter is None:
            return self.retriever
        kind, options = next(iter(self.retriever.items()))
        own = options.get("filter", [])
        return {kind: {**options, "filter": [*_listed(own), *_listed(self.filter)]}}


def ours(retriever: Any, profiles: Collection[str]) -> TextSimilarity | None:
    """The retriever, where it is one that names a profile of ours.

    Raises:
        SettingsError: it does, but a key or value of it is wrong.
    """
    values = retriever.get(NAME) if isinstance(retriever, Mapping) else None
    if not isinstance(values, Mapping) or values.get("inference_id") not in profiles:
        return None
    return checked(TextSimilarity, values, where=f"[{NAME}]")


def innermost(retriever: Any, profiles: Collection[str]) -> Path | None:
    """Where the first one of ours stands that has none of ours below it, other than at the top; None without one."""
    return next((path for path in _paths(retriever, profiles) if path), None)


def at(retriever: Any, path: Path) -> Any:
    """What stands at a path."""
    for step in path:
        retriever = retriever[step]
    return retriever


def put(retriever: Any, path: Path, value: Any) -> Any:
    """A copy of the retriever with something else at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(retriever, list):
        return [put(item, rest, value) if place == step else item for place, item in enumerate(retriever)]
    return {key: put(item, rest, value) if key == step else item for key, item in retriever.items()}


def in_order(hits: Sequence[tuple[str, str]], scores: Sequence[float]) -> dict[str, Any]:
    """A retriever that finds exactly these hits, with these scores, and in this order even where scores are equal.

    Args:
        hits: index and id of each, best first.
        scores: never increasing, from 0 up.
    """
    wanted = [
        {
            "constant_score": {
                "filter": {"bool": {"filter": [{"ids": {"values": [name]}}, {"term": {"_index": index}}]}},
                "boost": max(score - place * _STEP, 0.0),
            }
        }
        for place, ((index, name), score) in enumerate(zip(hits, scores, strict=True))
    ]
    return {"standard": {"query": {"bool": {"should": wanted, "minimum_should_match": 1}} if wanted else _NOTHING}}


_NOTHING: dict[str, Any] = {"match_none": {}}


def _paths(value: Any, profiles: Collection[str]) -> Iterator[Path]:
    """Where ours stand, inner ones before outer ones."""
    below = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for step, item in below:
        for path in _paths(item, profiles):
            yield (step, *path)
    if isinstance(value, Mapping) and isinstance(value.get(NAME), Mapping):
        named = value[NAME].get("inference_id")
        if named in profiles:
            yield ()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
