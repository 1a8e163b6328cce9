"""Strategies: how a long list is cut into windows and put together again. One file a strategy, pure of models.

A strategy's class is found by name through the entry point group `es_reasonrank.strategies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from es_reasonrank.types import Verdict
from es_reasonrank.validation import Checked


@dataclass(frozen=True, slots=True)
class Staged:
    """Items as another ranker put them."""

    order: tuple[int, ...]
    """All of them, best first."""
    scores: Mapping[int, float] = field(default_factory=dict)
    """The score of each item, where that ranker gives any."""


class Ask(Protocol):
    """What a strategy asks about items, which are numbers: 0 is the first stage's best.

    A call never raises for a failed window: its verdict has another outcome than `ok` or `repaired`, and its order is
    the order shown. So a strategy that shows items in their standing order lets a failure promote nothing.
    """

    async def __call__(self, items: Sequence[int]) -> Verdict:
        """Put one window, in the order to show, to the judge; windows asked together are worked on together."""

    async def stage(self, name: str, items: Sequence[int]) -> Staged:
        """`items` as another ranker orders them: the profile that the strategy's option `name` holds."""

    def words(self, items: Sequence[int]) -> tuple[int, ...]:
        """How many words the text of each item has."""


class Standing:
    """The order of n items so far: at every moment a complete permutation, so that a deadline can strike at any time.

    `order` is the strategy's to rearrange. Where a judge gives scores, `scores` overrides it: scored items come first,
    highest first, equal ones and those without a score in the order of `order`.
    """

    def __init__(self, size: int) -> None:
        self.order = list(range(size))
        self.scores: dict[int, float] = {}

    def result(self) -> tuple[int, ...]:
        """The items, best first."""
        scored = sorted((item for item in self.order if item in self.scores), key=lambda item: -self.scores[item])
        return (*scored, *(item for item in self.order if item not in self.scores))


class Strategy(Protocol):
    """Orders a list by asking about windows of it."""

    options_model: ClassVar[type[Checked]]
    needs_scores: ClassVar[bool]
    """Whether it goes by the judge's scores; without them, by its orders."""
    stages: ClassVar[tuple[str, ...]]
    """Options that name the profile of another ranker, which `Ask.stage` asks."""

    def __init__(self, options: Any) -> None:
        """A strategy with checked options."""

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """Bring `standing` from the incoming order to the final one, keeping it complete in between."""
