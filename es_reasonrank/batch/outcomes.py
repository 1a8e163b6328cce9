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
    def prompt_tokens(self) -> int:
        """Prompt tokens of all windows."""

    @property
    def generated_tokens(self) -> int:
        """Generated tokens of all windows."""


@dataclass
class Totals:
    """Sums over many queries."""

    queries: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, ranked: Counted) -> None:
        """Count one query."""
        self.queries += 1
        self.prompt_tokens += ranked.prompt_tokens
        self.generated_tokens += ranked.generated_tokens
        self.outcomes.update({str(outcome): count for outcome, count in ranked.outcomes.items()})

    def summary(self, seconds: float) -> dict[str, Any]:
        """The sums, with the wall-clock time that the job took."""
        return {
            "done": self.queries,
            "outcomes": dict(sorted(self.outcomes.items())),
            "prompt_tokens": self.prompt_tokens,
            "generated_tokens": self.generated_tokens,
            "seconds": round(seconds, 2),
            "seconds_a_query": round(seconds / self.queries, 4) if self.queries else None,
        }
