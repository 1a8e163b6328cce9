"""The cascade: a small ranker over all, then the large one, once, over the head.

Source: CoRanking (Liu et al., 2503.23427): a head of 20, whose order is adjusted to what the large ranker reads best.
The paper learns that order; here it is learned too (`trainer adjuster`), or one of a few that are fixed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.rerank.adjuster import Adjuster, Seen
from es_reasonrank.rerank.strategies import Ask, Staged, Standing
from es_reasonrank.validation import Checked

Order = Literal["small", "reversed", "incoming", "random", "learned"]


class CascadeOptions(Checked):
    """The two rankers and what is between them."""

    small: str = Field(min_length=1, description="Profile of the small ranker: a name, or a YAML file.")
    head: int = Field(20, ge=2, description="Passages that the large ranker sees: the small one's best.")
    adjuster: Order = Field(
        "small",
        description="Order in which it sees them: the small ranker's, the same reversed, the incoming one, by lot, "
        "or the learned one.",
    )
    learned: Path | None = Field(None, description="learned: folder or file of what `trainer adjuster` made.")
    seed: int = Field(0, description="Seed of the lot.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.adjuster == "learned") != (self.learned is not None):
            raise ValueError("adjuster: learned and the key 'learned', where it lies, need each other")
        return self


class CascadeStrategy:
    """The profile's own judge is the large ranker. A perfect one's order comes out for the head that it is given.

    Raises:
        DataError: there is no learned adjuster where it should lie.
    """

    options_model: ClassVar = CascadeOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ("small",)

    def __init__(self, options: CascadeOptions) -> None:
        self.options = options
        self._adjuster = Adjuster.load(options.learned) if options.learned else None

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """The small ranker's calls, and one. Where that one fails, the small ranker's order stands."""
        items = tuple(standing.order)
        if len(items) < 2:
            return
        staged = await ask.stage("small", items)
        standing.order[:] = staged.order
        head = standing.order[: self.options.head]
        shown = self._learned(self._adjuster, head, staged, ask) if self._adjuster else self._fixed(head)
        verdict = await ask(shown)
        if verdict.outcome.ranks:
            standing.order[: len(head)] = [shown[place] for place in verdict.order]

    def _fixed(self, head: Sequence[int]) -> list[int]:
        """The head, which the small ranker put in order, as the large one is to see it."""
        match self.options.adjuster:
            case "reversed":
                return list(reversed(head))
            case "incoming":
                return sorted(head)
            case "random":
                return random.Random(self.options.seed).sample(head, len(head))
        return list(head)

    @staticmethod
    def _learned(adjuster: Adjuster, head: Sequence[int], staged: Staged, ask: Ask) -> list[int]:
        """The same, by what is known of each passage."""
        return [head[place] for place in adjuster.order(seen(head, staged, ask))]


def seen(head: Sequence[int], staged: Staged, ask: Ask) -> list[Seen]:
    """What an adjuster goes by, in training as in serving."""
    pairs = zip(head, ask.words(head), strict=True)
    return [Seen(words, staged.scores.get(item)) for item, words in pairs]
