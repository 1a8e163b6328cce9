"""Single: the whole list in one window.

Source: FullRank (Liu et al., 2412.14574), which shows 100 passages at once.
"""

from __future__ import annotations

from typing import ClassVar

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class SingleOptions(Checked):
    """Nothing to set."""


class SingleStrategy:
    """One call over all candidates; a judge that prompts shortens passages until they fit its context."""

    options_model: ClassVar = SingleOptions
    needs_scores: ClassVar = False
    stages: ClassVar = ()

    def __init__(self, options: SingleOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """The verdict is the order; its scores, where the judge gives any, speak of the whole list and are kept."""
        if len(standing.order) < 2:
            return
        shown = list(standing.order)
        verdict = await ask(shown)
        standing.order[:] = [shown[place] for place in verdict.order]
        if verdict.outcome.ranks and verdict.scores is not None:
            standing.scores.update(zip(shown, verdict.scores, strict=True))
