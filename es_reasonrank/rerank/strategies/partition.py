"""Top-down partitioning: a pivot from the head's window, and all the rest compared with it at once.

Source: TDPart (Parry, MacAvaney and Ganguly, 2405.14589): window 20, pivot at 10, budget of 20 candidates.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import ClassVar, Self

from pydantic import Field, model_validator

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class PartitionOptions(Checked):
    """The window's numbers."""

    window: int = Field(20, ge=2, description="Passages shown at once, the pivot included.")
    k: int = Field(10, ge=1, description="Place of the pivot in its window: the length of the head that is sought.")
    budget: int | None = Field(
        None,
        description="Candidates that a round hands on at most, 20 in the paper; without it, all that beat the pivot.",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.k >= self.window:
            raise ValueError(f"k {self.k} must be smaller than window {self.window}: a pivot needs passages behind it")
        if self.budget is not None and self.budget < self.k:
            raise ValueError(f"budget {self.budget} is smaller than k {self.k}: the head would be cut")
        return self


class PartitionStrategy:
    """Rounds of two steps: the head's window, then everything behind it in parallel.

    Without a budget, a perfect judge's top k come out in order. With one, this holds where no more than `budget`
    passages beat the first pivot; those beyond it stay behind the candidates and ahead of the pivot.
    """

    options_model: ClassVar = PartitionOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: PartitionOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """1 + (n - window) / (window - 1) calls, rounded up, and one more where candidates are found and fit a window.

        More candidates than that are partitioned again. A round leaves the pivot and what is behind it, so
        candidates get fewer with any judge.
        """
        window, candidates = self.options.window, len(standing.order)
        while candidates > 1:
            shown = standing.order[: min(window, candidates)]
            verdict = await ask(shown)
            standing.order[: len(shown)] = [shown[place] for place in verdict.order]
            candidates = await self._behind(standing, candidates, ask) if candidates > window else 0

    async def _behind(self, standing: Standing, size: int, ask: Ask) -> int:
        """Compare what stands behind the window, up to `size`, with the pivot.

        Returns:
            The number of candidates for the next round, or 0 where nothing beats the pivot.
        """
        window, k = self.options.window, self.options.k
        order = list(standing.order[:size])
        above, pivot, below = order[: k - 1], order[k - 1], order[k:window]
        chunks = [order[start : start + window - 1] for start in range(window, size, window - 1)]
        winners: list[list[int]] = [[] for _ in chunks]
        losers = list(chunks)

        async def compare(number: int) -> None:
            shown = [pivot, *chunks[number]]
            verdict = await ask(shown)
            ranked = [shown[place] for place in verdict.order]
            place = ranked.index(pivot)
            winners[number], losers[number] = ranked[:place], ranked[place + 1 :]
            standing.order[:size] = [*above, *chain(*winners), pivot, *below, *chain(*losers)]

        async with asyncio.TaskGroup() as group:
            for number in range(len(chunks)):
                group.create_task(compare(number))
        found = sum(map(len, winners))
        return min(len(above) + found, self.options.budget or size) if found else 0
