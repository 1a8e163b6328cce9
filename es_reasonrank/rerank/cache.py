"""Remembered verdicts: a window that was asked before, in the same way and of the same model, is not asked again.

A key holds everything that can change an answer: the weights, the judge with its options and its template's content,
the query, and the texts in their order. What changes gets another key, so that a stale entry is never found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from cachetools import TTLCache

from es_reasonrank.rerank.judges import Judge
from es_reasonrank.rerank.prompts.template import load_template
from es_reasonrank.types import Candidate, Outcome, Verdict

FORMAT = 2
"""Counted up when the code changes what a prompt or a parsed answer is."""


class Cache(Protocol):
    """Keeps verdicts under keys. It never fails a search: what cannot be read is not there."""

    async def get(self, key: str, size: int) -> Verdict | None:
        """The verdict on a window of `size` passages, or None."""

    async def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict."""


@dataclass
class Counts:
    """How often a cache was asked, and how often it knew."""

    hits: int = 0
    misses: int = 0

    @property
    def rate(self) -> float:
        """Hits among all questions, from 0 to 1; 0 before the first."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0


class MemoryCache:
    """In this process, bounded in number and in time.

    Args:
        size: verdicts that are kept; the least recently used go first.
        ttl: seconds that one is kept.
    """

    def __init__(self, size: int = 10_000, ttl: float = 3600.0) -> None:
        self._entries: TTLCache[str, Verdict] = TTLCache(size, ttl)

    async def get(self, key: str, size: int) -> Verdict | None:
        """The verdict that was kept under the key."""
        return self._entries.get(key)

    async def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict."""
        self._entries[key] = verdict


def key_of(judge: Judge, identity: str, query: str, passages: Sequence[Candidate]) -> str:
    """The key of one window: of the judge, of the weights' `identity`, of the query and of the texts in order."""
    options = judge.options.model_dump(mode="json")
    if "template" in options:
        options["template"] = load_template(judge.options.template).model_dump()
    shown = [(passage.title, passage.text, passage.score) for passage in passages]
    asked = [FORMAT, type(judge).__qualname__, options, identity, query, shown]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def cacheable(judge: Judge, verdict: Verdict) -> bool:
    """Whether the same question would get the same answer: an order, drawn greedily or with a seed."""
    sampling = getattr(judge.options, "sampling", None)
    return verdict.outcome.ranks and (sampling is None or sampling.temperature == 0 or sampling.seed is not None)


def packed(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON values."""
    return asdict(verdict)


def unpacked(values: Mapping[str, Any], size: int) -> Verdict | None:
    """The verdict that JSON values hold, or None where they hold none on a window of `size` passages."""
    try:
        scores = values["scores"]
        verdict = Verdict(
            **{
                **values,
                "order": tuple(values["order"]),
                "outcome": Outcome(values["outcome"]),
                "scores": None if scores is None else tuple(float(score) for score in scores),
            }
        )
    except (KeyError, TypeError, ValueError):
        return None
    whole = sorted(verdict.order) == list(range(size)) and (scores is None or len(scores) == size)
    return verdict if whole and verdict.outcome.ranks else None
