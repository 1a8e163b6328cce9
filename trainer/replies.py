"""What a model should say to a judge's question: the training list's order or grades, in the judge's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from es_reasonrank.errors import InputError, SettingsError
from trainer.asking import Asked, Questions
from trainer.lists import TrainingList
from trainer.rewards.reading import chained, framed


@dataclass(frozen=True)
class Taught:
    """A question, and what should be said to it."""

    asked: Asked
    reply: str
    """Behind the beginning that the question already makes."""


async def taught(questions: Questions, one: TrainingList) -> list[Taught]:
    """What a list teaches: a reply to the window, or one for each of its passages.

    Raises:
        InputError: the list lacks what the judge's reply is made of, or does not fit the context.
        SettingsError: nobody knows how the judge's replies look.
    """
    if questions.name not in _REPLIES:
        raise SettingsError(f"judge {questions.name!r} cannot be trained; known: {', '.join(sorted(_REPLIES))}")
    asked = await questions.about(one.query, [passage.candidate for passage in one.passages])
    replies = _REPLIES[questions.name](questions, one, asked)
    return [_taught(question, reply) for question, reply in zip(asked, replies, strict=True)]


def _taught(question: Asked, reply: str) -> Taught:
    if reply in question.choices:
        return Taught(question, reply)
    return Taught(question, _behind(question.request.prefix, reply))


def _listwise(questions: Questions, one: TrainingList, asked: Sequence[Asked]) -> list[str]:
    """The whole order, behind the chain where the judge lets the model think."""
    return [_thought(questions, one, _order(questions, one))]


def _setwise(questions: Questions, one: TrainingList, asked: Sequence[Asked]) -> list[str]:
    """The best passage, or the worst."""
    places = _places(one)
    place = places[0 if questions.options.select == "best" else -1]
    return [_thought(questions, one, f"[{questions.identifiers(len(places))[place]}]")]


def _first_token(questions: Questions, one: TrainingList, asked: Sequence[Asked]) -> list[str]:
    """The whole order, though only its first token is read: the rest keeps the model a writer of orders."""
    return [_order(questions, one)]


def _relevance(questions: Questions, one: TrainingList, asked: Sequence[Asked]) -> list[str]:
    """One of two words for each passage."""
    _unthinking(questions)
    return [question.choices[0 if grade > 0 else 1] for question, grade in zip(asked, one.grades, strict=True)]


def _graded(questions: Questions, one: TrainingList, asked: Sequence[Asked]) -> list[str]:
    """Each passage's grade, the list's own grades spread over the judge's."""
    _unthinking(questions)
    if questions.options.read == "listed":
        raise SettingsError("judge 'graded' with read=listed cannot be trained; use read=expectation")
    most = max(one.grades)
    if not most:
        raise InputError(f"list {one.qid} has no relevant passage to grade by")
    return [
        question.choices[round(grade / most * questions.options.highest)]
        for question, grade in zip(asked, one.grades, strict=True)
    ]


_REPLIES = {
    "listwise": _listwise,
    "setwise": _setwise,
    "first_token": _first_token,
    "relevance": _relevance,
    "graded": _graded,
}


def _thought(questions: Questions, one: TrainingList, answer: str) -> str:
    """An answer as the judge reads it: behind a chain and between tags, or bare."""
    if not questions.options.thinking:
        return answer
    if not one.reasoning.strip():
        raise InputError(f"list {one.qid} has no chain, and the judge lets the model think")
    return framed(answer, one.reasoning)


def _unthinking(questions: Questions) -> None:
    if questions.options.thinking:
        raise SettingsError(f"judge {questions.name!r} with thinking needs a chain a passage, which lists do not have")


def _order(questions: Questions, one: TrainingList) -> str:
    return chained(_places(one), questions.identifiers(len(one.passages)))


def _places(one: TrainingList) -> tuple[int, ...]:
    if not one.order:
        raise InputError(f"list {one.qid} has no order; let a teacher order it first")
    return one.places


def _behind(prefix: str, reply: str) -> str:
    """The reply without the beginning that the judge makes.

    Raises:
        SettingsError: it begins otherwise.
    """
    begun = prefix.rstrip() if not reply.startswith(prefix) else prefix
    if not reply.startswith(begun):
        raise SettingsError(f"judge.prefix {prefix!r} is no beginning of what is taught, {reply[:40]!r}; leave it out")
    return reply[len(begun) :]
