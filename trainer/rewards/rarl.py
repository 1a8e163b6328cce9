"""RARL's joint reward for grades of a whole window: how near each grade is, and how right their order.

Source: RARL (Hao et al., 2601.20585): regression, the mean over the items of 1 - (grade - gold)^2 / delta^2 where they
differ by delta at most, else 0; a ranking reward on the order; one for the form; summed with weights. The composite
form of the ranking reward could not be verified, nor the weights: Kendall's tau, brought from -1..1 to 0..1, and the
weights are our choice. Gold grades are spread over the judge's scale, a window's highest being the highest there.
"""

from __future__ import annotations

from statistics import fmean
from typing import ClassVar

from pydantic import Field

from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward
from trainer.rewards.measures import kendall


class RARLOptions(Checked):
    """The tolerance and the weights."""

    delta: float = Field(5.0, gt=0, description="From this error on, a grade is worth nothing.")
    regression: float = Field(0.5, ge=0, description="Weight of the grades' nearness.")
    ranking: float = Field(0.4, ge=0, description="Weight of their order.")
    form: float = Field(0.1, ge=0, description="Weight of a well-formed reply.")


class RARLReward(WindowReward[RARLOptions]):
    """Grades that are near and rightly ordered."""

    name: ClassVar = "rarl"
    options_model: ClassVar = RARLOptions
    methods: ClassVar = ("groupwise",)

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From 0 to 1. A window whose grades are all equal has no order to reward: half of that part is given."""
        options = self.options
        reply = self.reader.grades(text, len(gold.grades), cut=cut)
        if not reply.whole or not reply.verdict.scores:
            return Scored(0.0, {"tags": float(reply.tagged), "answer": 0.0})
        most = max(gold.grades) or 1
        targets = [grade / most * self.reader.highest for grade in gold.grades]
        errors = [score - target for score, target in zip(reply.verdict.scores, targets, strict=True)]
        parts = {
            "regression": fmean(max(0.0, 1 - (error / options.delta) ** 2) for error in errors),
            "ranking": (kendall(reply.verdict.scores, gold.grades) + 1) / 2,
        }
        value = options.regression * parts["regression"] + options.ranking * parts["ranking"] + options.form
        return Scored(value, {"tags": 1.0, "answer": 1.0} | parts)
