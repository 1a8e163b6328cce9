"""Which rankings of a job are final, and what many of them come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from es_reasonrank.errors import EngineError
from es_reasonrank.types import Outcome, Ranking

_PASSING = (Outcome.ENGINE_ERROR, Outcome.DEADLINE)
"""Outcomes that may be others next time."""


def final(ranking: Ranking) -> Ranking:
    """The ranking itself, where doing it again would give the same.

    Raises:
        EngineError: a window failed in a way that may pass, so that the query is to be done again.
    """
    for window in ranking.trace.windows:
        if window.outcome in _PASSING:
            raise EngineError(window.detail or str(window.outcome), engine=ranking.trace.model, retryable=True)
    return ranking


class Counted(Protocol):
    """Anything that was ranked, with its counts: a trace, or what was kept of one."""

    @property
    def outcomes(self) -> Mapping[Any, int]:
        """Windows by outcome."""

    @property
    def cached(self) -> int:
        """Windows that were remembered."""

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of all windows."""

    @property
    def generated_tokens(self) -> int:
        """Generated tokens of all windows."""


@dataclass
class Totals:
    """Sums over many queries, and the wall-clock time that they took."""

    done: int = 0
    earlier: int = 0
    """Queries that an earlier run of the same job had done."""
    load_seconds: float = 0.0
    """The model's loading, which is not part of `seconds`."""
    seconds: float = 0.0
    cached: int = 0
    """Windows that were remembered."""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def seconds_a_query(self) -> float | None:
        """Wall-clock seconds for one query, all of them worked on side by side; None where none was done."""
        return self.seconds / self.done if self.done else None

    def add(self, ranked: Counted, *, earlier: bool = False) -> None:
        """Count one query."""
        self.done += not earlier
        self.earlier += earlier
        self.cached += ranked.cached
        self.prompt_tokens += ranked.prompt_tokens
        self.generated_tokens += ranked.generated_tokens
        self.outcomes.update({str(outcome): count for outcome, count in ranked.outcomes.items()})

    def summary(self) -> dict[str, Any]:
        """Everything by name."""
        return {
            "done": self.done,
            "done_earlier": self.earlier,
            "outcomes": dict(sorted(self.outcomes.items())),
            "remembered": self.cached,
            "prompt_tokens": self.prompt_tokens,
            "generated_tokens": self.generated_tokens,
            "load_seconds": round(self.load_seconds, 2),
            "seconds": round(self.seconds, 2),
            "seconds_a_query": None if self.seconds_a_query is None else round(self.seconds_a_query, 4),
        }
