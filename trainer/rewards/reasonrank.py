"""ReasonRank's multi-view ranking reward.

Source: ReasonRank (Liu et al., 2508.07050, its RL stage, and the released code): with a window's grades y and the gold
order g,

    nDCG@10(order; y) + 0.2 Recall@10(order; y) + 0.1 RBO(order, g)    a well-formed answer: at most 1.3
    0                                                                  right tags, and an answer that is none
    -1                                                                 wrong tags or none, whatever was cut included

The paper's RBO weighs depth d by (1 - p) p^(d-1) and leaves p open; the released code takes p = 1, the average overlap.
Stricter than the released code, as serving is: a well-formed answer is a permutation joined by " > ", and no text
stands outside of the tags.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.prompts.template import LISTWISE
from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward
from trainer.rewards.measures import ndcg, rbo, recall


class ReasonRankOptions(Checked):
    """The views and their weights."""

    recall: float = Field(0.2, ge=0, description="Weight of Recall@10.")
    rbo: float = Field(0.1, ge=0, description="Weight of the overlap with the gold order.")
    overlap: Literal["released", "published"] = Field(
        "released", description="The average overlap, or the paper's weighted and truncated RBO."
    )
    p: float = Field(0.9, gt=0, lt=1, description="published: how slowly depths lose weight; the paper leaves it open.")


class ReasonRankReward(WindowReward[ReasonRankOptions]):
    """Head quality, coverage, and likeness to the gold order."""

    name: ClassVar = "reasonrank"
    options_model: ClassVar = ReasonRankOptions
    methods: ClassVar = LISTWISE

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From -1 to 1.3. The window needs a gold order where the overlap counts."""
        options = self.options
        if options.rbo and not gold.order:
            raise InputError("reward 'reasonrank' needs a gold order; set its option rbo to 0 to do without")
        reply = self.reader.order(text, len(gold.grades), cut=cut)
        form = {"tags": float(reply.tagged), "answer": float(reply.whole)}
        if not reply.whole:
            return Scored(0.0 if reply.tagged else -1.0, form)
        order = reply.verdict.order
        views = {"ndcg": ndcg(order, gold.grades), "recall": recall(order, gold.grades)}
        if options.rbo:
            views["rbo"] = rbo(order, gold.order, 1 if options.overlap == "released" else options.p)
        value = views["ndcg"] + options.recall * views["recall"] + options.rbo * views.get("rbo", 0.0)
        return Scored(value, form | views)
