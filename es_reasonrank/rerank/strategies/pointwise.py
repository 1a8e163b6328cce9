"""Pointwise: every passage is judged by itself, all at once, and the list is sorted by score.

Source: monoBERT (Nogueira and Cho, 1901.04085) for the scheme.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from es_reasonrank.rerank.strategies import Ask, Standing
from es_reasonrank.validation import Checked


class PointwiseOptions(Checked):
    """Nothing to set."""


class PointwiseStrategy:
    """n independent calls; the engine batches them."""

    options_model: ClassVar = PointwiseOptions
    needs_scores: ClassVar = True
    stages: ClassVar = ()

    def __init__(self, options: PointwiseOptions) -> None:
        self.options = options

    async def rank(self, standing: Standing, ask: Ask) -> None:
        """Scores come in as they are ready; a passage without one stays behind those that have one."""
        if len(standing.order) < 2:
            return

        async def score(item: int) -> None:
            verdict = await ask((item,))
            if verdict.outcome.ranks and verdict.scores is not None:
                standing.scores[item] = verdict.scores[0]

        async with asyncio.TaskGroup() as group:
            for item in standing.order:
                group.create_task(score(item))
