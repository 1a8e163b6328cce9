"""Reasoning with a budget: past it, the chain is closed by force and the answer is asked for.

Source: Rank1 (Weller et al., 2502.18418) closes unfinished chains so; its released code trims to the last sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import Field

from es_reasonrank.engines.base import Capability, Completion, Finish, Request, TextEngine
from es_reasonrank.rerank.judges.prompting import PromptOptions
from es_reasonrank.rerank.parse import refuses
from es_reasonrank.types import Outcome, Verdict

CLOSE = "</think>"
LEAD, END = "\n<answer>", "</answer>"
ROOM = 16
"""Tokens that closing a chain and leading to the answer may take."""
_NOTHING = Completion("", Finish.STOP)


class ThinkingOptions(PromptOptions):
    """Whether the model reasons first."""

    thinking: bool = Field(True, description="Whether the model reasons before it answers.")
    thinking_tokens: int = Field(
        3072, ge=0, description="Tokens that reasoning may take; then the answer is asked for."
    )

    def room(self, answer: int) -> int:
        """Tokens that a reply may take whose answer takes `answer`."""
        return answer + (self.thinking_tokens + ROOM if self.thinking else 0)


class AnswerOptions(ThinkingOptions):
    """How much the model may say."""

    answer_tokens: int = Field(200, ge=1, description="Tokens that the answer may take.")


@dataclass(frozen=True, slots=True)
class Chain:
    """A finished reasoning, or none. `request` goes on behind it: its prefix ends with the answer's lead."""

    request: Request
    text: str = ""
    """The reasoning with the text that it was made to begin with, up to its end."""
    closed: bool = True
    """Whether the model closed it."""
    reply: Completion = _NOTHING
    """The reply that reasoned."""

    @property
    def reasoning(self) -> str:
        """The reasoning without its tag."""
        return self.text.removeprefix("<think>").strip()

    @property
    def forced(self) -> bool:
        """Whether it was over its budget, and was closed by force."""
        return not self.closed and self.reply.finish is Finish.LENGTH

    @property
    def outcome(self) -> Outcome:
        """How it ended: `ok`, also by force; `repaired` where the model stopped without closing it; or a failure."""
        if self.reply.finish is Finish.REFUSED:
            return Outcome.REFUSED
        if self.closed or self.forced:
            return Outcome.OK
        if not (self.reply.text + self.reply.reasoning).strip():
            return Outcome.EMPTY
        return Outcome.REFUSED if refuses(self.reasoning) else Outcome.REPAIRED

    @property
    def detail(self) -> str:
        """What the outcome does not say."""
        if self.forced:
            return f"the reasoning was closed after {self.reply.generated_tokens} tokens"
        known = {
            Outcome.EMPTY: "the reply holds no reasoning",
            Outcome.REFUSED: "the model refused",
            Outcome.REPAIRED: "the reasoning was never closed",
        }
        return known.get(self.outcome, "")

    @property
    def unanswered(self) -> Completion:
        """The reply alone, behind which no answer is asked for."""
        return replace(self.reply, text=self.text, reasoning="")

    def with_answer(self, answer: Completion) -> Completion:
        """The whole reply, as if it had come at once."""
        return replace(
            answer,
            text=self.request.prefix + answer.text,
            prompt_tokens=self.reply.prompt_tokens or answer.prompt_tokens,
            generated_tokens=self.reply.generated_tokens + answer.generated_tokens,
        )


async def reason(engine: TextEngine, request: Request, *, budget: int, lead: str) -> Chain:
    """Let the model reason for at most `budget` tokens, and stand at the beginning of its answer.

    Args:
        lead: the text between the end of the reasoning and the answer: a tag, say.

    Raises:
        EngineError: the engine failed.
    """
    reply = await _within(engine, replace(request, max_tokens=budget, stop=(CLOSE,)))
    text, _, _ = (request.prefix + reply.text).partition(CLOSE)
    ended = CLOSE in reply.text
    if reply.reasoning:  # the server separated it, and took its tags away
        text = (request.prefix or "<think>") + reply.reasoning
        ended = reply.finish is Finish.STOP or bool(reply.text.strip())
    return _chain(request, reply, text, CLOSE if ended else "", lead)


def closed(request: Request, reply: Completion, *, lead: str) -> Chain:
    """The chain that a reply to `request` began, closed where it is open; an answer that it began goes on."""
    body, closing, answer = (request.prefix + reply.text).partition(CLOSE)
    return _chain(request, reply, body, closing, answer if answer.strip() else lead)


def _chain(request: Request, reply: Completion, body: str, closing: str, lead: str) -> Chain:
    forced = not closing and reply.finish is Finish.LENGTH
    body = _last_sentence(body) if forced else body.rstrip()
    return Chain(
        request=replace(request, prefix=f"{body}\n{CLOSE}{lead}"),
        text=body,
        closed=bool(closing),
        reply=reply,
    )


async def at_answer(engine: TextEngine, request: Request, options: ThinkingOptions, *, lead: str, direct: str) -> Chain:
    """Where the answer begins: behind the reasoning and `lead`, or at once and behind `direct`.

    Raises:
        EngineError: the engine failed.
    """
    if options.thinking:
        return await reason(engine, request, budget=options.thinking_tokens, lead=lead)
    return Chain(replace(request, prefix=request.prefix + direct))


async def answered(engine: TextEngine, request: Request, options: AnswerOptions) -> tuple[Completion, str]:
    """The whole reply to `request`, and a note where its reasoning was closed by force.

    Raises:
        EngineError: the engine failed.
    """
    if not options.thinking:
        return whole(request, await engine.generate(request)), ""
    goes_on = Capability.CONTINUATION in engine.capabilities
    limit = options.thinking_tokens + (0 if goes_on else options.answer_tokens)
    reply = await _within(engine, replace(request, max_tokens=limit, stop=(END,)))
    if not goes_on or reply.finish is not Finish.LENGTH or reply.reasoning:
        return whole(request, reply), ""
    chain = closed(request, reply, lead=LEAD)
    return chain.with_answer(await engine.generate(answering(chain.request, options))), chain.detail


async def _within(engine: TextEngine, request: Request) -> Completion:
    """A reply of at most `max_tokens`, which may be none at all."""
    return await engine.generate(request) if request.max_tokens else Completion("", Finish.LENGTH)


def answering(request: Request, options: AnswerOptions) -> Request:
    """The request that goes on with the answer."""
    return replace(request, max_tokens=options.answer_tokens, stop=(END,))


def whole(request: Request, reply: Completion) -> Completion:
    """The reply with the text that it was made to begin with."""
    return replace(reply, text=request.prefix + reply.text)


def noted(verdict: Verdict, note: str) -> Verdict:
    """The verdict with a note on how its reply came about."""
    return replace(verdict, detail=", ".join(filter(None, (verdict.detail, note))))


def _last_sentence(text: str) -> str:
    """The text up to its last full stop, or the whole where that would be less than half of it."""
    end = max(text.rfind(mark) for mark in ".!?\n") + 1
    return (text[:end] if 2 * end >= len(text) else text).rstrip()
