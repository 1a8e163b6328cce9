"""The listwise judge: the model sees a window and answers with an order, after thinking or at once.

Source: RankGPT (Sun et al., 2304.09542) for the task; ReasonRank (Liu et al., 2508.07050, section 3 and its released
prompt) for reasoning between ``<think>`` tags and the order between ``<answer>`` tags, and for the decoding defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, ClassVar, Literal

from pydantic import Field

from es_reasonrank.engines.base import Capability, Request, Sampling, TextEngine
from es_reasonrank.errors import InputError
from es_reasonrank.rerank.budget import fit
from es_reasonrank.rerank.parse import parse
from es_reasonrank.rerank.prompts.neutral import neutral
from es_reasonrank.rerank.prompts.template import load_template
from es_reasonrank.types import Candidate, Verdict
from es_reasonrank.validation import Checked


class ListwiseOptions(Checked):
    """How a window is asked about."""

    template: str | Mapping[str, Any] = Field(
        "listwise_think", description="Prompt template: a name, a YAML file in rank_llm's format, or its content."
    )
    thinking: bool = Field(True, description="Whether the model reasons before it answers.")
    passage_tokens: int = Field(512, ge=1, description="Tokens of a passage that the model sees, its title included.")
    thinking_tokens: int = Field(3072, ge=0, description="Tokens that reasoning may take.")
    answer_tokens: int = Field(200, ge=1, description="Tokens that the answer may take.")
    identifiers: Literal["numbers", "letters"] = Field("numbers", description="What passages are called in the prompt.")
    prefix: str = Field("", description="Text that the reply is made to begin with.")
    repair_mojibake: bool = Field(False, description="Whether texts are repaired with ftfy first.")
    sampling: Sampling = Field(Sampling(), description="How tokens are drawn.")
    chat_options: Mapping[str, Any] = Field({}, description="Passed to the chat template: enable_thinking, say.")


class ListwiseJudge:
    """Asks for a permutation of the window."""

    needs: ClassVar = Capability.TEXT
    options_model: ClassVar = ListwiseOptions

    def __init__(self, options: ListwiseOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        self.template = load_template(options.template)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """One prompt, one reply."""
        options = self.options
        identifiers = self._identifiers(len(passages))
        control = await self.engine.control_tokens()

        def clean(text: str) -> str:
            letters = options.identifiers == "letters"
            return neutral(text, control_tokens=control, letters=letters, repair=options.repair_mojibake)

        question = clean(query)
        scores = [passage.score for passage in passages]

        def build(texts: Sequence[str]) -> Request:
            return Request(
                messages=self.template.render(question, texts, identifiers, scores),
                max_tokens=options.answer_tokens + (options.thinking_tokens if options.thinking else 0),
                sampling=options.sampling,
                stop=("</answer>",) if options.thinking else (),
                prefix=options.prefix,
                chat_options=options.chat_options,
            )

        texts = [clean(_content(passage)) for passage in passages]
        completion = await self.engine.generate(await fit(self.engine, texts, options.passage_tokens, build))
        reply = replace(completion, text=options.prefix + completion.text)
        return parse(reply, self.template.form(identifiers), thinking=options.thinking)

    def _identifiers(self, size: int) -> tuple[str, ...]:
        if self.options.identifiers == "numbers":
            return tuple(str(number) for number in range(1, size + 1))
        if size > len(ascii_uppercase):
            raise InputError(f"a window of {size} passages cannot be named by letters; use 26 at most, or numbers")
        return tuple(ascii_uppercase[:size])


def _content(passage: Candidate) -> str:
    """A passage as the model reads it; a title stands in front, as in ReasonRank's and rank_llm's released code."""
    if passage.title.strip():
        return f"Title: {passage.title} Content: {passage.text}"
    return passage.text
