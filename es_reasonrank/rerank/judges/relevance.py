"""The relevance judge: one passage at a time, by how likely the model is to call it relevant.

Sources: Rank1 (Weller et al., 2502.18418): after a chain of at most 8192 tokens, closed by force where it is
unfinished, score = p(true) / (p(true) + p(false)). Direct-Rank (2510.08985): the same score without a chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.base import Capability, TextEngine
from es_reasonrank.rerank.judges.likelihood import each, read_behind, shares, told, untold
from es_reasonrank.rerank.judges.prompting import Prompter
from es_reasonrank.rerank.judges.thinking import ThinkingOptions, at_answer
from es_reasonrank.types import Candidate, Verdict


class RelevanceOptions(ThinkingOptions):
    """What is asked about a passage."""

    template: str | Mapping[str, Any] = Field(
        "relevance_think", description="Prompt template of method pointwise: a name, a YAML file, or its content."
    )
    positive: str = Field("true", min_length=1, description="The answer that calls a passage relevant; one token.")
    negative: str = Field("false", min_length=1, description="The answer that does not; one token.")
    thinking_tokens: int = Field(
        8192, ge=0, description="Tokens that reasoning may take; then the answer is asked for."
    )


class RelevanceJudge:
    """Scores each passage by itself, from 0 to 1."""

    options_model: ClassVar = RelevanceOptions
    gives_scores: ClassVar = True

    def __init__(self, options: RelevanceOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        self.prompter = Prompter(options, engine, ("pointwise",))

    @property
    def needs(self) -> frozenset[Capability]:
        """Likelihoods; after a chain, behind a reply that was begun."""
        begun = {Capability.CONTINUATION} if self.options.thinking or self.options.prefix else set()
        return frozenset({Capability.TEXT, Capability.LOGPROBS} | begun)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The passages by their scores.

        Raises:
            EngineError: the engine failed, or one of the two answers is not one token of the model.
        """
        return await each(lambda passage: self._one(query, passage), passages)

    async def _one(self, query: str, passage: Candidate) -> Verdict:
        request = await self.prompter.request(query, [passage], reply_tokens=self.options.room(1))
        chain = await at_answer(self.engine, request, self.options, lead="", direct="")
        if not chain.outcome.ranks:
            return read_behind(chain, 1)
        labels = spelled((self.options.positive, self.options.negative), behind=chain.request.prefix)
        answer = await self.engine.next_token(chain.request, labels)
        if not told(answer, 2):
            return untold(read_behind(chain, 1, [answer]))
        positive, negative = shares(answer.logprobs)
        verdict = read_behind(chain, 1, [answer], said=labels[positive < negative])
        return replace(verdict, scores=(positive,))


def spelled(labels: Sequence[str], *, behind: str) -> tuple[str, ...]:
    """Labels as they are written behind a text: with a space, but at the beginning and behind white space."""
    space = " " if behind and not behind[-1].isspace() else ""
    return tuple(space + label for label in labels)
