"""From training lists to tokens: each question of the judge with the reply that it should get."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from es_reasonrank.errors import InputError
from trainer.asking import Questions
from trainer.lists import TrainingList
from trainer.replies import Taught, taught


@dataclass(frozen=True)
class Example:
    """One question and its reply."""

    prompt: list[int]
    """Tokens, the chat template's and the forced beginning of the reply included: as the engine sees them."""
    reply: list[int]
    """Tokens behind it, up to the end of the turn."""
    choices: list[int]
    """The tokens whose likelihood the judge reads behind the prompt; empty where it reads a reply."""

    @property
    def tokens(self) -> list[int]:
        """All of it."""
        return self.prompt + self.reply

    @property
    def labels(self) -> list[int]:
        """The tokens to learn; -100 for those of the prompt."""
        return [-100] * len(self.prompt) + self.reply


@dataclass(frozen=True)
class Lesson:
    """What one list teaches."""

    source: TrainingList
    examples: list[Example]
    """One, or one for each passage."""


@dataclass(frozen=True)
class Lessons:
    """All lessons, and the lists that could not be made into one, with the reason."""

    kept: list[Lesson]
    dropped: list[tuple[TrainingList, str]]


def lessons(questions: Questions, lists: Iterable[TrainingList], *, most: int) -> Lessons:
    """Every list as a lesson.

    Args:
        most: tokens that an example may have; nothing is cut, a list with a longer one is dropped.

    Raises:
        InputError: not one list could be made into a lesson.
    """
    return asyncio.run(_lessons(questions, lists, most))


async def _lessons(questions: Questions, lists: Iterable[TrainingList], most: int) -> Lessons:
    found = Lessons([], [])
    for one in lists:
        try:
            lesson = Lesson(one, [_example(questions, what) for what in await taught(questions, one)])
        except InputError as error:
            if type(error) is not InputError:  # settings are wrong for every list
                raise
            found.dropped.append((one, str(error)))
            continue
        longest = max(len(example.tokens) for example in lesson.examples)
        if longest > most:
            found.dropped.append((one, f"{longest} tokens, more than {most}"))
        else:
            found.kept.append(lesson)
    if not found.kept:
        why = found.dropped[0][1] if found.dropped else "there are none"
        raise InputError(f"no list can be learned from: {why}")
    return found


def _example(questions: Questions, what: Taught) -> Example:
    tokenizer, request = questions.tokenizer, what.asked.request
    reply = tokenizer.behind([what.reply], request.prefix)[0]
    return Example(
        prompt=tokenizer.encode(request),
        reply=[*reply, tokenizer.inner.eos_token_id],
        choices=tokenizer.singles(what.asked.choices, request.prefix) if what.asked.choices else [],
    )
