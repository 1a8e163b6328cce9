"""What all judges share that prompt a language model: options, clean texts, identifiers, a prompt that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Literal

from pydantic import Field

from es_reasonrank.engines.base import Request, Sampling, TextEngine
from es_reasonrank.errors import InputError, SettingsError
from es_reasonrank.rerank.budget import fit
from es_reasonrank.rerank.prompts.neutral import neutral
from es_reasonrank.rerank.prompts.template import LISTWISE, Method, load_template
from es_reasonrank.types import Candidate
from es_reasonrank.validation import Checked


class PromptOptions(Checked):
    """How passages are shown, and how tokens are drawn."""

    template: str | Mapping[str, Any] = Field(
        description="Prompt template: a name, a YAML file in rank_llm's format, or its content."
    )
    passage_tokens: int = Field(512, ge=1, description="Tokens of a passage that the model sees, its title included.")
    identifiers: Literal["numbers", "letters"] = Field("numbers", description="What passages are called in the prompt.")
    prefix: str = Field("", description="Text that the reply is made to begin with.")
    repair_mojibake: bool = Field(False, description="Whether texts are repaired with ftfy first.")
    sampling: Sampling = Field(Sampling(), description="How tokens are drawn.")
    chat_options: Mapping[str, Any] = Field({}, description="Passed to the chat template: enable_thinking, say.")


class Prompter:
    """Makes the request of a window: texts made harmless, cut by the model's own tokens, fitted to its context.

    Args:
        methods: the templates' methods that the judge can use.
        words: what the judge puts into its template, by placeholder.

    Raises:
        SettingsError: the template is of another method, or wants a word that the judge does not have.
    """

    def __init__(
        self,
        options: PromptOptions,
        engine: TextEngine,
        methods: Sequence[Method] = LISTWISE,
        words: Mapping[str, str] | None = None,
    ) -> None:
        self.options = options
        self.engine = engine
        self.words = words or {}
        self.template = load_template(options.template)
        if self.template.method not in methods:
            raise SettingsError(
                f"judge.template: its method is {self.template.method!r}, and this judge takes {', '.join(methods)}"
            )
        if unknown := self.template.words - self.words.keys():
            raise SettingsError(f"judge.template: this judge has no {{{min(unknown)}}} to put in")

    async def request(self, query: str, passages: Sequence[Candidate], *, reply_tokens: int) -> Request:
        """The request over a window, with room for a reply of `reply_tokens`.

        Raises:
            InputError: the prompt does not fit, or there are more passages than letters.
        """
        options = self.options
        control, openings = await self.engine.control_tokens(), self.template.openings

        def clean(text: str) -> str:
            letters = options.identifiers == "letters"
            return neutral(
                text, control_tokens=control, letters=letters, repair=options.repair_mojibake, openings=openings
            )

        question, names = clean(query), self.identifiers(len(passages))
        scores = [passage.score for passage in passages]

        def build(texts: Sequence[str]) -> Request:
            return Request(
                messages=self.template.render(question, texts, names, scores, self.words),
                max_tokens=reply_tokens,
                sampling=options.sampling,
                prefix=options.prefix,
                chat_options=options.chat_options,
            )

        return await fit(self.engine, [clean(_content(each)) for each in passages], options.passage_tokens, build)

    def identifiers(self, size: int) -> tuple[str, ...]:
        """What the passages of a window are called: 1, 2, 3... or A, B, C...

        Raises:
            InputError: there are more passages than letters.
        """
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
