"""The first-token judge: the order of a window by how likely each identifier is as the answer's first token.

Source: FIRST (Reddy et al., 2406.15657): passages are named by letters, the prompt ends with the bracket that opens an
answer, and one forward pass gives the whole order; nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from es_reasonrank.engines.base import Capability, TextEngine
from es_reasonrank.rerank.judges.likelihood import by_score, read_behind, told, untold
from es_reasonrank.rerank.judges.prompting import Prompter, PromptOptions
from es_reasonrank.rerank.judges.thinking import Chain
from es_reasonrank.types import Candidate, Verdict


class FirstTokenOptions(PromptOptions):
    """How a window is shown."""

    template: str | Mapping[str, Any] = Field(
        "listwise", description="Prompt template: a name, a YAML file in rank_llm's format, or its content."
    )
    identifiers: Literal["numbers", "letters"] = Field(
        "letters", description="What passages are called in the prompt; each must be one token of the model."
    )
    prefix: str = Field("[", description="Text that the reply is made to begin with, up to the first identifier.")


class FirstTokenJudge:
    """Orders a window in one forward pass."""

    options_model: ClassVar = FirstTokenOptions
    gives_scores: ClassVar = True

    def __init__(self, options: FirstTokenOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        self.prompter = Prompter(options, engine)

    @property
    def needs(self) -> frozenset[Capability]:
        """Likelihoods, behind a reply that was begun."""
        begun = {Capability.CONTINUATION} if self.options.prefix else set()
        return frozenset({Capability.TEXT, Capability.LOGPROBS} | begun)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The passages by their identifiers' log-probabilities, which are the scores.

        Raises:
            EngineError: the engine failed, or an identifier is not one token of the model.
        """
        size = len(passages)
        request = await self.prompter.request(query, passages, reply_tokens=1)
        identifiers = self.prompter.identifiers(size)
        answer = await self.engine.next_token(request, identifiers)
        verdict = read_behind(Chain(request), size, [answer])
        if not told(answer, size):
            return untold(verdict)
        order = by_score(answer.logprobs)
        reply = verdict.reply + identifiers[order[0]]
        return replace(verdict, order=order, scores=answer.logprobs, reply=reply)
