"""TFRank's rewards, for one passage's grade and for a window's order.

Source: TFRank (2508.09539, and its released rewards): twice as much for the ranking as for the form,

    grade    (accuracy + max(0, 1 - |grade - gold| / highest)) / 2, grades from 0 to 4. An answer is a grade, accurate
             where it is the gold one; or a label with it, ``yes(3)``, accurate where the label is right, from grade 2
             up "yes"; then the second term counts only where the grade is on the right side of 2, and on its label's
    order    (accuracy + clip(gain in nDCG relative to the order shown, -5, 5)) / 2, accurate where no passage stands
             behind one of a lower grade
    form     0.5 for right tags

nDCG is of the whole window, here with linear gains. The third term of the released order reward needs a grade beside
each identifier, which no template of ours asks for. An unreadable order gets 0 there, which beats poor orders; here it
gets as little as the poorest, which is an option.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.parse import Answer, NoAnswerError, Reading, quoted
from es_reasonrank.rerank.prompts.template import LISTWISE
from es_reasonrank.types import Outcome
from es_reasonrank.validation import Checked
from trainer.rewards.base import Gold, Scored, WindowReward
from trainer.rewards.measures import relative_gain
from trainer.rewards.reading import Reply

_LABELLED = re.compile(r"(yes|no)\s?\(\s?([0-9]{1,2})\s?\)", re.IGNORECASE)
CLIP = 5.0


class TFRankOptions(Checked):
    """What an answer is."""

    answer: Literal["grade", "label"] = Field("grade", description='A grade, as "3"; or a label with it, as "yes(3)".')
    form: float = Field(0.5, ge=0, description="Weight of right tags.")


class TFRankReward(WindowReward[TFRankOptions]):
    """How near a grade is to the gold one."""

    name: ClassVar = "tfrank"
    options_model: ClassVar = TFRankOptions
    methods: ClassVar = ("pointwise",)

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From 0 to 1.5. The window is one passage, its grade on the scale that is asked for."""
        options, highest, truth = self.options, self.reader.highest, gold.grades[0]
        if len(gold.grades) != 1 or truth > highest:
            raise InputError(f"reward 'tfrank' needs one grade from 0 to {highest}, not {list(gold.grades)}")
        reply = self._read(text, cut)
        form = {"tags": float(reply.tagged), "answer": float(reply.whole)}
        if not reply.whole or not reply.verdict.scores:
            return Scored(options.form * form["tags"], form)
        grade = reply.verdict.scores[0]
        parts = {"accuracy": float(grade == truth), "nearness": max(0.0, 1 - abs(grade - truth) / highest)}
        labelled = _LABELLED.fullmatch(reply.answer.strip())
        if labelled:
            says, is_so = labelled[1].casefold() == "yes", self._relevant(truth)
            parts["accuracy"] = float(says == is_so)
            parts["nearness"] *= self._relevant(grade) == says == is_so
        return Scored(sum(parts.values()) / 2 + options.form * form["tags"], form | parts)

    def _read(self, text: str, cut: bool) -> Reply:
        if self.options.answer == "grade":
            return self.reader.grade(text, cut=cut)
        return self.reader.read(text, 1, self._labelled, cut=cut)

    def _labelled(self, answer: Answer) -> Reading:
        found = _LABELLED.fullmatch(answer.text.strip())
        if not found or int(found[2]) > self.reader.highest:
            raise NoAnswerError(Outcome.MALFORMED, quoted("the answer is no yes or no with a grade", answer.text))
        return Reading((0,), (float(found[2]),))

    def _relevant(self, grade: float) -> bool:
        return 2 * grade >= self.reader.highest


class TFRankListwiseOptions(Checked):
    """What a reply without an order is worth."""

    form: float = Field(0.5, ge=0, description="Weight of right tags.")
    malformed: float = Field(-CLIP / 2, le=0, description="Ranking reward of an unreadable order; released: 0.")


class TFRankListwiseReward(WindowReward[TFRankListwiseOptions]):
    """How much an order gains over the order shown."""

    name: ClassVar = "tfrank_listwise"
    options_model: ClassVar = TFRankListwiseOptions
    methods: ClassVar = LISTWISE

    def score(self, text: str, gold: Gold, *, cut: bool = False) -> Scored:
        """From -2.5 to 1.5; to 1 where the order shown is a best one already."""
        options = self.options
        reply = self.reader.order(text, len(gold.grades), cut=cut)
        form = {"tags": float(reply.tagged), "answer": float(reply.whole)}
        if not reply.whole:
            return Scored(options.malformed + options.form * form["tags"], form)
        order = reply.verdict.order
        falling = all(gold.grades[place] >= gold.grades[behind] for place, behind in pairwise(order))
        gain = relative_gain(order, gold.grades, k=None)
        parts = {"accuracy": float(falling), "gain": min(max(gain, -CLIP), CLIP)}
        return Scored(sum(parts.values()) / 2 + options.form * form["tags"], form | parts)
