"""The cascade: a small ranker over all, then the large one, once, over the head.

Source: CoRanking (Liu et al., 2503.23427): a head of 20, whose order is adjusted to what the large ranker reads best.
The paper learns that order; here it is one of a few that are fixed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked

Adjuster = Literal["small", "reversed", "incoming", "random"]


class CascadeOptions(Checked):
    """The two rankers and what is between them."""

    small: str = Field(min_length=1, description="Profile of the small ranker: a name, or a YAML file.")
    head: int = Field(20, ge=2, description="Passages that the large ranker sees: the small one's best.")
    adjuster: Adjuster = Field(
        "small",
        description="Order in which it sees them: the small ranker's, the same reversed, the incoming one, or by lot.",
    )
    seed: int = Field(0, description="Seed of the lot.")


class CascadeStrategy:
    """The profile's own judge is the large ranker. A perfect one's order comes out for the head that it is given."""

    options_model: ClassVar = CascadeOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ("small",)

    def __init__(self, options: CascadeOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """The small ranker's calls, and one. Where that one fails, the small ranker's order stands."""
        items = tuple(standing.order)
        if len(items) < 2:
            return
        standing.order[:] = await ask.stage("small", items)
        head = standing.order[: self.options.head]
        shown = self._adjusted(head)
        verdict = await ask(shown)
        if verdict.outcome.ranks:
            standing.order[: len(head)] = [shown[place] for place in verdict.order]

    def _adjusted(self, head: Sequence[int]) -> list[int]:
        """The head, which the small ranker put in order, as the large one is to see it."""
        match self.options.adjuster:
            case "small":
                return list(head)
            case "reversed":
                return list(reversed(head))
            case "incoming":
                return sorted(head)
            case "random":
                return random.Random(self.options.seed).sample(head, len(head))
