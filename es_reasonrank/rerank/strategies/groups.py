"""Groups: the judge scores the passages of random groups, and scores are averaged over several draws.

Source: GroupRank (Sun et al., 2511.11653): groups of 20; more draws are its test-time scaling.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

from pydantic import Field

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class GroupsOptions(Checked):
    """The groups' numbers."""

    size: int = Field(20, ge=2, description="Passages of a group at most; groups are of equal size, give or take one.")
    rounds: int = Field(1, ge=1, description="Draws over which a passage's scores are averaged.")
    seed: int = Field(0, description="Seed of the draws.")


class GroupsStrategy:
    """All groups of all draws at once. Needs a judge that gives scores; its order is not used.

    Where the scores are true, the whole order is.
    """

    options_model: ClassVar = GroupsOptions
    needs_scores: ClassVar = True
    stages: ClassVar = ()

    def __init__(self, options: GroupsOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """rounds x n / size calls, rounded up a round. A passage without a score keeps its place.

        Scores are handed on as the ranking's own only where every passage has one.
        """
        items = tuple(standing.order)
        scores: dict[int, list[float]] = {}

        async def score(shown: Sequence[int]) -> None:
            verdict = await ask(shown)
            if verdict.outcome.ranks and verdict.scores is not None:
                for item, value in zip(shown, verdict.scores, strict=True):
                    scores.setdefault(item, []).append(value)
                standing.order[:] = _merged(items, _means(scores))

        async with asyncio.TaskGroup() as group:
            for shown in self._groups(items):
                group.create_task(score(shown))
        if len(scores) == len(items):
            standing.scores.update(_means(scores))

    def _groups(self, items: Sequence[int]) -> list[list[int]]:
        """The groups of all draws, each in the order of `items`; none where there is nothing to order."""
        if len(items) < 2:
            return []
        dice = random.Random(self.options.seed)
        count = -(-len(items) // self.options.size)
        draws = [dice.sample(range(len(items)), len(items)) for _ in range(self.options.rounds)]
        return [[items[place] for place in sorted(draw[number::count])] for draw in draws for number in range(count)]


def _means(scores: Mapping[int, Sequence[float]]) -> dict[int, float]:
    return {item: fmean(values) for item, values in scores.items()}


def _merged(items: Sequence[int], means: Mapping[int, float]) -> list[int]:
    """The scored items, highest first, at the places that they had together; all others where they were."""
    ranked = iter(sorted((item for item in items if item in means), key=lambda item: -means[item]))
    return [next(ranked) if item in means else item for item in items]
