"""The identity judge: it leaves every window as it is. What is left is the cost of everything but the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from es_reasonrank.engines.base import Capability, Engine
from es_reasonrank.types import Candidate, Outcome, Verdict
from es_reasonrank.validation import Checked


class IdentityOptions(Checked):
    """Nothing to set."""


class IdentityJudge:
    """Reads nothing."""

    needs: ClassVar[frozenset[Capability]] = frozenset()
    options_model: ClassVar = IdentityOptions
    gives_scores: ClassVar = False

    def __init__(self, options: IdentityOptions, engine: Engine) -> None:
        self.options = options

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The incoming order, as an order that was given."""
        return Verdict.unchanged(len(passages), Outcome.OK)
