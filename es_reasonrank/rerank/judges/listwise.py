"""The listwise judge: the model sees a window and answers with an order, after thinking or at once.

Source: RankGPT (Sun et al., 2304.09542) for the task; ReasonRank (Liu et al., 2508.07050, section 3 and its released
prompt) for reasoning between ``<think>`` tags and the order between ``<answer>`` tags, and for the decoding defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from es_reasonrank.engines.base import Capability, Completion, Finish, Request, TextEngine
from es_reasonrank.rerank.judges.prompting import Prompter, PromptOptions
from es_reasonrank.rerank.judges.thinking import ROOM, closed, reason
from es_reasonrank.rerank.parse import parse
from es_reasonrank.types import Candidate, Verdict

_LEAD, _END = "\n<answer>", "</answer>"


class ListwiseOptions(PromptOptions):
    """How a window is asked about."""

    template: str | Mapping[str, Any] = Field(
        "listwise_think", description="Prompt template: a name, a YAML file in rank_llm's format, or its content."
    )
    thinking: bool = Field(True, description="Whether the model reasons before it answers.")
    thinking_tokens: int = Field(
        3072, ge=0, description="Tokens that reasoning may take; then the answer is asked for."
    )
    answer_tokens: int = Field(200, ge=1, description="Tokens that the answer may take.")
    constrained: bool = Field(False, description="Whether the answer can be nothing but a permutation of the window.")


class ListwiseJudge:
    """Asks for a permutation of the window."""

    options_model = ListwiseOptions

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
        room = options.answer_tokens + (options.thinking_tokens + ROOM if options.thinking else 0)
        request = await self.prompter.request(query, passages, reply_tokens=room)
        identifiers = self.prompter.identifiers(len(passages))
        reply, note = await (self._held(request, identifiers) if options.constrained else self._free(request))
        verdict = parse(reply, self.prompter.template.form(identifiers), thinking=options.thinking)
        return replace(verdict, detail=", ".join(filter(None, (verdict.detail, note))))

    async def _free(self, request: Request) -> tuple[Completion, str]:
        options = self.options
        if not options.thinking:
            return _whole(request, await self.engine.generate(request)), ""
        goes_on = Capability.CONTINUATION in self.engine.capabilities
        limit = options.thinking_tokens + (0 if goes_on else options.answer_tokens)
        reply = await self.engine.generate(replace(request, max_tokens=limit, stop=(_END,)))
        if not goes_on or reply.finish is not Finish.LENGTH or reply.reasoning:
            return _whole(request, reply), ""
        chain = closed(request, reply, lead=_LEAD)
        answer = await self.engine.generate(self._answer(chain.request))
        return chain.with_answer(answer), _note(chain.generated_tokens) if chain.forced else ""

    async def _held(self, request: Request, identifiers: Sequence[str]) -> tuple[Completion, str]:
        """A reply whose answer is a permutation by construction."""
        pieces = tuple(f"[{identifier}]" for identifier in identifiers)
        if not self.options.thinking:
            return _whole(request, await self.engine.generate(replace(request, permutation=pieces))), ""
        chain = await reason(self.engine, request, budget=self.options.thinking_tokens, lead=_LEAD)
        answer = await self.engine.generate(replace(self._answer(chain.request), permutation=pieces))
        return chain.with_answer(answer), _note(chain.generated_tokens) if chain.forced else ""

    def _answer(self, request: Request) -> Request:
        return replace(request, max_tokens=self.options.answer_tokens, stop=(_END,))


def _whole(request: Request, reply: Completion) -> Completion:
    return replace(reply, text=request.prefix + reply.text)


def _note(tokens: int) -> str:
    return f"the reasoning was closed after {tokens} tokens"
