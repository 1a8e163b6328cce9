"""Exclusion: the worst of what remains is named and put aside, again and again; what is left last is the best.

Source: IRanker (Feng et al., 2506.21638), with one passage a step and lists that fit a window.
"""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class ExclusionOptions(Checked):
    """The step's numbers."""

    window: int = Field(20, ge=2, description="Passages shown at once: the last ones of what remains.")
    drop: int = Field(1, ge=1, description="Passages put aside a step.")

    @model_validator(mode="after")
    def _some_remain(self) -> Self:
        if self.drop >= self.window:
            raise ValueError(f"drop {self.drop} must be smaller than window {self.window}: nothing would remain")
        return self


class ExclusionStrategy:
    """Steps in turn; the order in which passages are put aside, reversed, is the ranking.

    A perfect judge's order comes out whole where the list fits a window; of a longer list the top
    (window - drop), because whatever was put aside had as many better ones beside it.
    """

    options_model: ClassVar = ExclusionOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: ExclusionOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """(n - 1) / drop calls, rounded up."""
        remaining = len(standing.order)
        while remaining > 1:
            start = max(0, remaining - self.options.window)
            shown = standing.order[start:remaining]
            verdict = await ask(shown)
            standing.order[start:remaining] = [shown[place] for place in verdict.order]
            remaining -= self.options.drop
