"""The graded judge: whole numbers from 0 up say how relevant passages are.

Sources, by the option `read`:

    integer      ERank (2509.00520): after a chain, one integer from 0 to 10; score = integer * its probability
    expectation  TFRank (2508.09539): without a chain; score = expected grade / highest grade, from 0 to 4 there, by the
                 probabilities of the grades alone
    listed       GroupRank (2511.11653): several passages at once, after a chain; an integer from 0 to 10 for each, as
                 JSON between ``<answer>`` tags
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from es_reasonrank.engines.base import Capability, NextToken, Request, TextEngine
from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.judges.likelihood import by_score, each, read_behind, shares, told, untold
from es_reasonrank.rerank.judges.prompting import Prompter
from es_reasonrank.rerank.judges.thinking import LEAD, AnswerOptions, answered, at_answer, noted
from es_reasonrank.rerank.parse import Answer, AnswerForm, NoAnswerError, Reading, identifiers_in, quoted, read
from es_reasonrank.rerank.prompts.template import Method
from es_reasonrank.types import Candidate, Outcome, Verdict

_DIGITS = tuple("0123456789")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


class GradedOptions(AnswerOptions):
    """Which grades there are, and how they are read."""

    template: str | Mapping[str, Any] = Field(
        "graded_think",
        description="Prompt template of method pointwise, for `listed` groupwise: a name, a YAML file, or its content.",
    )
    read: Literal["integer", "expectation", "listed"] = Field(
        "integer",
        description="The likeliest grade times its probability; the expected grade, from 0 to 1; or the grades that "
        "the model lists for a whole window.",
    )
    highest: int = Field(10, ge=1, le=10, description="The highest grade; the lowest is 0.")
    answer_tokens: int = Field(300, ge=1, description="Tokens that listed grades may take.")


class GradedJudge:
    """Scores passages by grades: one by one by their likelihood, or a window's as the model lists them."""

    options_model: ClassVar = GradedOptions
    gives_scores: ClassVar = True

    def __init__(self, options: GradedOptions, engine: TextEngine) -> None:
        self.options = options
        self.engine = engine
        self._listed = options.read == "listed"
        method: Method = "groupwise" if self._listed else "pointwise"
        self.prompter = Prompter(options, engine, (method,), {"highest": str(options.highest)})

    @property
    def needs(self) -> frozenset[Capability]:
        """Text where grades are listed; else likelihoods, behind a chain or the 1 of 10."""
        options = self.options
        if self._listed:
            return frozenset({Capability.TEXT})
        begun = {Capability.CONTINUATION} if options.thinking or options.prefix or options.highest == 10 else set()
        return frozenset({Capability.TEXT, Capability.LOGPROBS} | begun)

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The passages by their scores.

        Raises:
            EngineError: the engine failed, or a digit is not one token of the model.
        """
        if self._listed:
            return await self._window(query, passages)
        return await each(lambda passage: self._one(query, passage), passages)

    async def _window(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        options = self.options
        request = await self.prompter.request(query, passages, reply_tokens=options.room(options.answer_tokens))
        form = self.prompter.template.form(self.prompter.identifiers(len(passages)))
        reply, note = await answered(self.engine, request, options)
        verdict = read(
            reply, len(passages), lambda answer: listed(answer, form, options.highest), thinking=options.thinking
        )
        return noted(verdict, note)

    async def _one(self, query: str, passage: Candidate) -> Verdict:
        request = await self.prompter.request(query, [passage], reply_tokens=self.options.room(2))
        chain = await at_answer(self.engine, request, self.options, lead=LEAD, direct="")
        if not chain.outcome.ranks:
            return read_behind(chain, 1)
        logprobs, answers = await self._grades(chain.request)
        if not logprobs:
            return untold(read_behind(chain, 1, answers))
        grade = by_score(logprobs)[0]
        score = grade * math.exp(logprobs[grade])
        if self.options.read == "expectation":
            score = sum(grade * share for grade, share in enumerate(shares(logprobs))) / self.options.highest
        return replace(read_behind(chain, 1, answers, said=str(grade)), scores=(score,))

    async def _grades(self, request: Request) -> tuple[list[float], list[NextToken]]:
        """Each grade's log-probability, none where the engine did not tell them all, and the engine's answers."""
        grades = [str(grade) for grade in range(self.options.highest + 1)]
        try:
            answers = [await self.engine.next_token(request, grades)]
        except EngineError as error:
            if error.retryable or self.options.highest < 10:
                raise
            return await self._digits(request)
        return list(answers[0].logprobs) if told(answers[0], len(grades)) else [], answers

    async def _digits(self, request: Request) -> tuple[list[float], list[NextToken]]:
        """The same where 10 is two tokens: p(10) = p(1) * p(0 behind 1), and what other digits do not follow is 1."""
        first = await self.engine.next_token(request, _DIGITS)
        second = await self.engine.next_token(replace(request, prefix=request.prefix + "1"), _DIGITS)
        if not (told(first, 10) and told(second, 10)):
            return [], [first, second]
        one = first.logprobs[1]
        alone = 1 - sum(math.exp(logprob) for logprob in second.logprobs)
        logprobs = [*first.logprobs, one + second.logprobs[0]]
        logprobs[1] = one + math.log(alone) if alone > 0 else -math.inf
        return logprobs, [first, second]


def listed(answer: Answer, form: AnswerForm, highest: int) -> Reading:
    """The grades that a JSON object lists, and the order that they make.

    Raises:
        NoAnswerError: the answer is anything else than an object of identifiers and whole numbers up to `highest`, does
            not grade each passage of the window once, or follows another one. Grades of other identifiers are left out.
    """
    reading = _listing(answer.text, form, highest)
    drafts = {_scores(draft, form, highest) for draft in answer.drafts}
    if drafts - {None, reading.scores}:
        raise NoAnswerError(Outcome.MALFORMED, quoted("the reply holds answers that differ", answer.text))
    return reading


def _scores(draft: str, form: AnswerForm, highest: int) -> tuple[float, ...] | None:
    try:
        return _listing(draft, form, highest).scores
    except NoAnswerError:
        return None


def _listing(text: str, form: AnswerForm, highest: int) -> Reading:
    text = text.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        pairs = json.loads(fenced.group(1) if fenced else text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer is no JSON", text)) from error
    if not isinstance(pairs, _Pairs) or not all(_is_grade(value, highest) for _, value in pairs):
        detail = f"the answer is no object of whole numbers from 0 to {highest}"
        raise NoAnswerError(Outcome.MALFORMED, quoted(detail, text))
    found = [(form.places.get(_identifier(key, form), -1), float(value)) for key, value in pairs]
    known = [(place, grade) for place, grade in found if place >= 0]
    grades = dict(known)
    if len(grades) < len(form.places) or len(known) > len(grades):
        detail = f"the answer has {len(known)} grades for {len(grades)} of {len(form.places)} passages"
        raise NoAnswerError(Outcome.MALFORMED, detail)
    scores = tuple(grades[place] for place in range(len(grades)))
    mended = (f"{len(found) - len(known)} unknown",) if len(found) > len(known) else ()
    return Reading(by_score(scores), scores, mended, tidy=fenced is None)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they stand there, repeated ones too."""


def _is_grade(value: object, highest: int) -> bool:
    return type(value) is int and 0 <= value <= highest


def _identifier(key: str, form: AnswerForm) -> str:
    """The bare identifier that a key is, or an empty text: "1" and "[1]" are the same."""
    whole = re.fullmatch(rf"{form.identifier}|({form.bare})", key.strip())
    return identifiers_in(rf"{form.identifier}|({form.bare})", key.strip())[0] if whole else ""
