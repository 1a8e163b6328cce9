"""The listwise judge: the model sees a window and answers with an order, after thinking or at once.

Source: RankGPT (Sun et al., 2304.09542) for the task; ReasonRank (Liu et al., 2508.07050, section 3 and its released
prompt) for reasoning between ``<think>`` tags and the order between ``<answer>`` tags, and for the decoding defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.base import Capability, Completion, Request, TextEngine
from es_reasonrank.rerank.judges.prompting import Prompter
from es_reasonrank.rerank.judges.thinking import LEAD, AnswerOptions, answered, answering, noted, reason, whole
from es_reasonrank.rerank.parse import parse
from es_reasonrank.types import Candidate, Verdict


class ListwiseOptions(AnswerOptions):
    """How a window is asked about."""

    template: str | Mapping[str, Any] = Field(
        "listwise_think", description="Prompt template: a name, a YAML file in rank_llm's format, or its content."
    )
    constrained: bool = Field(False, description="Whether the answer can be nothing but a permutation of the window.")


class ListwiseJudge:
    """Asks for a permutation of the window."""

    options_model: ClassVar = ListwiseOptions
    gives_scores: ClassVar = False

    def __init__(self, options: ListwiseOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        self.prompter = Prompter(options, engine)

    @property
    def needs(self) -> frozenset[Capability]:
        """Text; for a constrained answer, permutations too, behind a reasoning that is gone on from."""
        needs = {Capability.TEXT}
        if self.options.constrained:
            needs |= {Capability.PERMUTATIONS}
            needs |= {Capability.CONTINUATION} if self.options.thinking else set()
        return frozenset(needs)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """One prompt and one reply; a second step where the reasoning is cut, or the answer is constrained."""
        options = self.options
        request = await self.prompter.request(query, passages, reply_tokens=options.room(options.answer_tokens))
        identifiers = self.prompter.identifiers(len(passages))
        ask = self._held(request, identifiers) if options.constrained else answered(self.engine, request, options)
        reply, note = await ask
        return noted(parse(reply, self.prompter.template.form(identifiers), thinking=options.thinking), note)

    async def _held(self, request: Request, identifiers: Sequence[str]) -> tuple[Completion, str]:
        """A reply whose answer is a permutation by construction; a refused or empty reasoning gets none."""
        pieces = tuple(f"[{identifier}]" for identifier in identifiers)
        if not self.options.thinking:
            return whole(request, await self.engine.generate(replace(request, permutation=pieces))), ""
        chain = await reason(self.engine, request, budget=self.options.thinking_tokens, lead=LEAD)
        if not chain.outcome.ranks:
            return chain.unanswered, ""
        answer = await self.engine.generate(replace(answering(chain.request, self.options), permutation=pieces))
        return chain.with_answer(answer), chain.detail
