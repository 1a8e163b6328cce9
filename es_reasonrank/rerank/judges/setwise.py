"""The setwise judge: the model names the best passage of a window, or the worst.

Sources: Setwise (Zhuang et al., 2310.09497) for the task, and for reading the likelihood of each identifier instead of
an answer; Rank-R1 (Zhuang et al., 2503.06034) for reasoning first, and one identifier between ``<answer>`` tags;
IRanker (Feng et al., 2506.21638) for asking for the worst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from es_reasonrank.engines.base import Capability, Request, TextEngine
from es_reasonrank.rerank.judges.likelihood import by_score, read_behind, told, untold
from es_reasonrank.rerank.judges.prompting import Prompter
from es_reasonrank.rerank.judges.thinking import LEAD, AnswerOptions, answered, at_answer, noted
from es_reasonrank.rerank.parse import Answer, AnswerForm, NoAnswerError, Reading, identifiers_in, quoted, read
from es_reasonrank.types import Candidate, Outcome, Verdict


class SetwiseOptions(AnswerOptions):
    """What is asked for, and how the answer is read."""

    template: str | Mapping[str, Any] = Field(
        "setwise_think", description="Prompt template of method setwise: a name, a YAML file, or its content."
    )
    select: Literal["best", "worst"] = Field("best", description="Which passage the model is asked to name.")
    read: Literal["generate", "likelihood"] = Field(
        "generate", description="The identifier that the model writes, or the one that is likeliest as its next token."
    )
    thinking_tokens: int = Field(
        2048, ge=0, description="Tokens that reasoning may take; then the answer is asked for."
    )
    answer_tokens: int = Field(32, ge=1, description="Tokens that the answer may take.")


class SetwiseJudge:
    """Moves one passage of a window to its head, or to its end."""

    options_model: ClassVar = SetwiseOptions
    gives_scores: ClassVar = False

    def __init__(self, options: SetwiseOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        select = "most" if options.select == "best" else "least"
        self.prompter = Prompter(options, engine, ("setwise",), {"select": select})

    @property
    def needs(self) -> frozenset[Capability]:
        """Text, or likelihoods behind the bracket that opens an answer."""
        likely = {Capability.LOGPROBS, Capability.CONTINUATION} if self.options.read == "likelihood" else set()
        return frozenset({Capability.TEXT} | likely)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The named passage first, or last; the others in the order shown."""
        options = self.options
        request = await self.prompter.request(query, passages, reply_tokens=options.room(options.answer_tokens))
        form = self.prompter.template.form(self.prompter.identifiers(len(passages)))
        if options.read == "likelihood":
            return await self._likeliest(request, form.identifiers)

        def reader(answer: Answer) -> Reading:
            place, tidy = named(answer, form)
            return Reading(self._order(place, len(passages)), tidy=tidy)

        reply, note = await answered(self.engine, request, options)
        return noted(read(reply, len(passages), reader, thinking=options.thinking), note)

    async def _likeliest(self, request: Request, identifiers: Sequence[str]) -> Verdict:
        size = len(identifiers)
        chain = await at_answer(self.engine, request, self.options, lead=f"{LEAD}[", direct="[")
        if not chain.outcome.ranks:
            return read_behind(chain, size)
        answer = await self.engine.next_token(chain.request, identifiers)
        verdict = read_behind(chain, size, [answer])
        if not told(answer, size):
            return untold(verdict)
        place = by_score(answer.logprobs)[0]
        return replace(verdict, order=self._order(place, size), reply=verdict.reply + identifiers[place])

    def _order(self, place: int, size: int) -> tuple[int, ...]:
        others = [other for other in range(size) if other != place]
        return (place, *others) if self.options.select == "best" else (*others, place)


def named(answer: Answer, form: AnswerForm) -> tuple[int, bool]:
    """The place of the one passage that an answer names, and whether the answer is of the form asked for.

    Raises:
        NoAnswerError: it is anything else than exactly one identifier of the window, was cut, or follows another one.
    """
    text = answer.text.strip()
    if answer.cut and not answer.framed:
        raise NoAnswerError(Outcome.TRUNCATED, quoted("the answer was cut", text))
    identifier, tidy = _alone(text, form)
    if not identifier:
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer is not one identifier", text))
    if identifier not in form.places:
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer names no passage of the window", text))
    if any(_alone(draft.strip(), form)[0] not in ("", identifier) for draft in answer.drafts):
        raise NoAnswerError(Outcome.MALFORMED, quoted("the reply holds answers that differ", text))
    return form.places[identifier], tidy


def _alone(text: str, form: AnswerForm) -> tuple[str, bool]:
    """The bare identifier that a text is, or an empty text, and whether it is of the form asked for."""
    if re.fullmatch(form.identifier, text):
        return identifiers_in(form.identifier, text)[0], True
    if re.fullmatch(rf"(?:\[\s?{form.bare}\s?\]|{form.bare})\.?", text):
        return identifiers_in(f"({form.bare})", text)[0], False
    return "", False
