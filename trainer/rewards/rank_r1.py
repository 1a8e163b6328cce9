"""Rank-R1's reward: the best passage or nothing.

Source: Rank-R1 (Zhuang et al., 2503.06034): 1 where the tags are right and the passage named is the gold one, else 0.
Of several passages with the highest grade, any is the gold one; where grades tell nothing, the gold order's first is.
"""

from __future__ import annotations

from typing import ClassVar

from es_reasonrank.errors import InputError
from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward


class RankR1Options(Checked):
    """Nothing to set."""


class RankR1Reward(WindowReward[RankR1Options]):
    """An exact match."""

    name: ClassVar = "rank_r1"
    options_model: ClassVar = RankR1Options
    methods: ClassVar = ("setwise",)
    select: ClassVar = "best"

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """0 or 1."""
        best = _best(gold)
        reply = self.reader.choice(text, len(gold.grades), cut=cut)
        form = {"tags": float(reply.tagged), "answer": float(reply.whole)}
        return Scored(float(reply.whole and reply.verdict.order[0] in best), form)


def _best(gold: Gold) -> set[int]:
    highest = max(gold.grades)
    if highest > min(gold.grades):
        return {place for place, grade in enumerate(gold.grades) if grade == highest}
    if not gold.order:
        raise InputError("reward 'rank_r1' needs a passage that is better than others, or a gold order")
    return {gold.order[0]}
