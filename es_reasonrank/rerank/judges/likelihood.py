"""What judges share that read how likely an answer is, instead of letting the model write it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from es_reasonrank.engines.base import NextToken
from es_reasonrank.rerank.judges.thinking import Chain
from es_reasonrank.types import Candidate, Outcome, Verdict


def told(answer: NextToken, size: int) -> bool:
    """Whether the engine told how likely each of `size` choices is: no number missing, none infinite."""
    return len(answer.logprobs) == size and all(math.isfinite(logprob) for logprob in answer.logprobs)


def shares(logprobs: Sequence[float]) -> tuple[float, ...]:
    """Probabilities renormalised over the choices: they sum to 1, however unlikely all of them are."""
    highest = max(logprobs)
    weights = [math.exp(logprob - highest) for logprob in logprobs]
    return tuple(weight / sum(weights) for weight in weights)


def read_behind(chain: Chain, size: int, answers: Sequence[NextToken] = (), said: str = "") -> Verdict:
    """The verdict on a window of `size` that has no order yet: how the reasoning ended, and what was spent.

    Args:
        answers: the likelihoods that were read behind the chain.
        said: the likeliest choice, which stands for the reply's end.
    """
    return Verdict(
        order=tuple(range(size)),
        outcome=chain.outcome,
        detail=chain.detail,
        reasoning=chain.reasoning,
        reply=chain.request.prefix + said if chain.outcome.ranks else chain.text,
        prompt_tokens=chain.reply.prompt_tokens or (answers[0].prompt_tokens if answers else 0),
        generated_tokens=chain.reply.generated_tokens + sum(answer.generated_tokens for answer in answers),
    )


def untold(verdict: Verdict) -> Verdict:
    """The verdict where the engine did not tell how likely each choice is: no order."""
    return replace(verdict, outcome=Outcome.MALFORMED, detail="the engine gave no likelihood for every choice")


def by_score(scores: Sequence[float]) -> tuple[int, ...]:
    """Places, the highest score first; equal ones keep their order."""
    return tuple(sorted(range(len(scores)), key=lambda place: -scores[place]))


async def each(one: Callable[[Candidate], Awaitable[Verdict]], passages: Sequence[Candidate]) -> Verdict:
    """The verdict on a window whose passages are judged one by one, all at once.

    Args:
        one: the verdict on a single passage, with its score.

    Raises:
        EngineError: the engine failed.
    """
    verdicts = await _all([one(passage) for passage in passages])
    return verdicts[0] if len(verdicts) == 1 else _joined(verdicts)


async def _all(calls: Sequence[Awaitable[Verdict]]) -> list[Verdict]:
    """Their results; the first one that fails ends the others."""

    async def run(call: Awaitable[Verdict]) -> Verdict:
        return await call

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(call)) for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _joined(verdicts: Sequence[Verdict]) -> Verdict:
    """Several passages' verdicts as a window's; where one of them has no score, the window has no order."""
    failed = [verdict.outcome for verdict in verdicts if verdict.scores is None]
    scores = tuple(verdict.scores[0] for verdict in verdicts if verdict.scores is not None)
    mended = any(verdict.outcome is Outcome.REPAIRED for verdict in verdicts)
    details = [f"passage {place}: {verdict.detail}" for place, verdict in enumerate(verdicts, 1) if verdict.detail]
    return Verdict(
        order=tuple(range(len(verdicts))) if failed else by_score(scores),
        outcome=failed[0] if failed else Outcome.REPAIRED if mended else Outcome.OK,
        scores=None if failed else scores,
        detail="; ".join(details),
        reasoning="\n\n".join(verdict.reasoning for verdict in verdicts if verdict.reasoning),
        reply="\n\n".join(verdict.reply for verdict in verdicts),
        prompt_tokens=sum(verdict.prompt_tokens for verdict in verdicts),
        generated_tokens=sum(verdict.generated_tokens for verdict in verdicts),
    )
