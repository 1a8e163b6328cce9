"""Reasoning with a budget: past it, the chain is closed by force and the answer is asked for.

Source: Rank1 (Weller et al., 2502.18418) closes unfinished chains so; its released code trims to the last sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from es_reasonrank.engines.base import Completion, Finish, Request, TextEngine

CLOSE = "</think>"
ROOM = 16
"""Tokens that closing a chain and leading to the answer may take."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A finished reasoning. `request` goes on behind it: its prefix is the closed reasoning and the answer's lead."""

    request: Request
    reasoning: str
    forced: bool
    """Whether the chain was closed by force."""
    prompt_tokens: int
    generated_tokens: int

    def with_answer(self, answer: Completion) -> Completion:
        """The whole reply, as if it had come at once."""
        return replace(
            answer,
            text=self.request.prefix + answer.text,
            prompt_tokens=self.prompt_tokens,
            generated_tokens=self.generated_tokens + answer.generated_tokens,
        )


async def reason(engine: TextEngine, request: Request, *, budget: int, lead: str) -> Chain:
    """Let the model reason for at most `budget` tokens, and stand at the beginning of its answer.

    Args:
        lead: the text between the end of the reasoning and the answer: a tag, say.

    Raises:
        EngineError: the engine failed.
    """
    return closed(request, await engine.generate(replace(request, max_tokens=budget, stop=(CLOSE,))), lead=lead)


def closed(request: Request, reply: Completion, *, lead: str) -> Chain:
    """The chain that a reply to `request` began, closed where it is open; an answer that it began goes on."""
    text = request.prefix + reply.text
    body, closing, begun = text.partition(CLOSE)
    forced = not closing and reply.finish is Finish.LENGTH
    body = _last_sentence(body) if forced else body.rstrip()
    return Chain(
        request=replace(request, prefix=f"{body}\n{CLOSE}{begun if begun.strip() else lead}"),
        reasoning=body.removeprefix("<think>").strip(),
        forced=forced,
        prompt_tokens=reply.prompt_tokens,
        generated_tokens=reply.generated_tokens,
    )


def _last_sentence(text: str) -> str:
    """The text up to its last full stop, or the whole where that would be less than half of it."""
    end = max(text.rfind(mark) for mark in ".!?\n") + 1
    return (text[:end] if 2 * end >= len(text) else text).rstrip()
