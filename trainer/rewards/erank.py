"""ERank's listwise reward for grades that are given one passage at a time.

Source: ERank (Cai et al., 2509.00520): the grades of all N * G roll-outs of a query, N passages with G roll-outs each,
are ranked together. A relevant passage gets a reciprocal rank; one that is not, a large penalty above a relevant
passage, and below all of them a smooth one, of a squared error's form, towards the grade from before RL; what is
malformed, a large penalty. The constants could not be recovered from the paper, and are our choice:

    relevant       1 / (1 + roll-outs of irrelevant passages whose grade is as high or higher)
    not relevant   -1 where a relevant passage's roll-out is not graded higher; else -((grade - before) / highest)^2,
                   `before` being 0 where nobody knows it
    malformed      -1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, QueryReward, Scored


class ERankOptions(Checked):
    """The penalties."""

    above: float = Field(-1.0, le=0, description="Reward of an irrelevant passage that no relevant one is ahead of.")
    malformed: float = Field(-1.0, le=0, description="Reward of a reply without a grade.")


class ERankReward(QueryReward[ERankOptions]):
    """The place of a grade among all grades of its query."""

    name: ClassVar = "erank"
    options_model: ClassVar = ERankOptions
    methods: ClassVar = ("pointwise",)

    def score_all(self, texts: Sequence[str], golds: Sequence[Gold], *, cuts: Sequence[bool] = ()) -> list[Scored]:
        """From -1 to 1. Each window is a single passage."""
        if any(len(gold.grades) != 1 for gold in golds):
            raise InputError("reward 'erank' grades one passage at a time: a window has one grade")
        grades = [self._grade(text, cut) for text, cut in zip(texts, cuts or [False] * len(texts), strict=True)]
        pairs = list(zip(grades, golds, strict=True))
        relevant = [grade for grade, gold in pairs if grade is not None and gold.grades[0] > 0]
        others = [grade for grade, gold in pairs if grade is not None and gold.grades[0] == 0]
        return [self._scored(grade, gold, relevant, others) for grade, gold in pairs]

    def _grade(self, text: str, cut: bool) -> float | None:
        reply = self.reader.grade(text, cut=cut)
        return reply.verdict.scores[0] if reply.whole and reply.verdict.scores else None

    def _scored(self, grade: float | None, gold: Gold, relevant: list[float], others: list[float]) -> Scored:
        if grade is None:
            return Scored(self.options.malformed, {"answer": 0.0})
        if gold.grades[0] > 0:
            value = 1 / (1 + sum(other >= grade for other in others))
            return Scored(value, {"answer": 1.0, "reciprocal_rank": value})
        if relevant and grade >= min(relevant):
            return Scored(self.options.above, {"answer": 1.0, "above": 1.0})
        before = gold.scores[0] if gold.scores else 0.0
        return Scored(-(((grade - before) / self.reader.highest) ** 2), {"answer": 1.0, "above": 0.0})
