"""IRanker's reward of one step of exclusion.

Source: IRanker (Feng et al., 2506.21638, and its released reward), the sum of

    step      1 where the passage put aside is not the gold one, 0 where it is; -0.5 where it is none of the window;
              -1 where nothing is named
    format    0 for right tags, else -1
    tags      -0.25 for each tag that does not stand there just once

There, one passage is the gold one. Here grades say it: a step is right where no worse passage remains, so that of
several relevant passages none goes before an irrelevant one.
"""

from __future__ import annotations

import re
from typing import ClassVar

from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward
from trainer.rewards.reading import Reply


class IRankerOptions(Checked):
    """Nothing to set."""


class IRankerReward(WindowReward[IRankerOptions]):
    """Whether the passage that is put aside may go."""

    name: ClassVar = "iranker"
    options_model: ClassVar = IRankerOptions
    methods: ClassVar = ("setwise",)
    select: ClassVar = "worst"

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From -3 to 1. The window is what remains; the judge asks for the worst."""
        reply = self.reader.choice(text, len(gold.grades), cut=cut)
        parts = {
            "step": self._step(reply, gold),
            "format": float(reply.tagged) - 1,
            "tags": -0.25 * reply.wrong_tags,
        }
        return Scored(sum(parts.values()), parts)

    def _step(self, reply: Reply, gold: Gold) -> float:
        if reply.verdict.outcome.ranks:
            return float(gold.grades[reply.verdict.order[0]] == min(gold.grades))
        stranger = reply.tagged and re.fullmatch(self.reader.template.output_extraction_regex, reply.answer.strip())
        return -0.5 if stranger else -1.0
