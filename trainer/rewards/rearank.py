"""Rearank's reward: the share of the possible gain, and two rewards for the form.

Source: Rearank (Zhang et al., 2505.20046): 0.8 (nDCG@10 - nDCG@10 shown) / (best nDCG@10 - nDCG@10 shown), 0.1 for the
tags, 0.1 for an answer of the form ``[3] > [1] > [2]``. The floor is ours: the published gain has none, and near a best
order one slip would outweigh a whole batch; and what names no order counts as the floor, or it would beat poor orders.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from es_reasonrank.rerank.prompts.template import LISTWISE
from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward
from trainer.rewards.measures import relative_gain


class RearankOptions(Checked):
    """The parts' weights."""

    gain: float = Field(0.8, ge=0, description="Weight of the gain in nDCG@10.")
    tags: float = Field(0.1, ge=0, description="Weight of right tags.")
    answer: float = Field(0.1, ge=0, description="Weight of a well-formed answer.")
    floor: float = Field(-1.0, le=0, description="The least that the gain can be, and what no order at all gains.")


class RearankReward(WindowReward[RearankOptions]):
    """What was gained of what could be gained."""

    name: ClassVar = "rearank"
    options_model: ClassVar = RearankOptions
    methods: ClassVar = LISTWISE

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From -0.8 to 1; to 0.2 where the order shown is a best one already."""
        options = self.options
        reply = self.reader.order(text, len(gold.grades), cut=cut)
        gain = relative_gain(reply.verdict.order, gold.grades) if reply.ranks else options.floor
        parts = {"gain": max(gain, options.floor), "tags": float(reply.tagged), "answer": float(reply.whole)}
        value = options.gain * parts["gain"] + options.tags * parts["tags"] + options.answer * parts["answer"]
        return Scored(value, parts)
