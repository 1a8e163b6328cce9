"""The requests that are put to a teacher besides an order, and what its replies say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from es_reasonrank.engines.base import Completion, Request, TextEngine
from es_reasonrank.evaluation.runs import Text
from es_reasonrank.rerank.budget import fit
from es_reasonrank.rerank.judges.listwise import ListwiseOptions
from es_reasonrank.rerank.parse import Answer, NoAnswerError, Reading, identifiers_in, quoted, read
from es_reasonrank.rerank.prompts.neutral import neutral
from es_reasonrank.types import Outcome, Verdict
from trainer.synthesis.material import Query
from trainer.synthesis.prompts import Prompt

_GOLD = 1_024
"""Tokens of a gold answer that a teacher sees."""
_NONE = re.compile(r"\W*none\W*", re.IGNORECASE)
_NAMED = re.compile(r"(?:\[\d+\][\s,;]*)+\.?")
_MOST_WORDS = 64
_QUOTES = "\"'“”‘’`"


class Asking:
    """Makes requests for one engine, as a profile's judge shows passages and draws tokens."""

    def __init__(self, engine: TextEngine, options: ListwiseOptions) -> None:
        self._engine = engine
        self._options = options

    async def selection(self, prompt: Prompt, query: Query, criterion: str, passages: Sequence[Text]) -> Request:
        """Which of some passages count, with the answer told.

        Raises:
            InputError: the prompt does not fit the model's context.
        """
        texts = [await self._clean(_shown(text)) for text in passages]
        words = {
            "query": await self._clean(query.text),
            "gold": (await self._engine.cut([await self._lines(query.gold)], _GOLD))[0],
            "criterion": criterion,
            "num": str(len(texts)),
        }
        return await fit(
            self._engine, texts, self._options.passage_tokens, lambda cut: self._request(prompt, cut, words)
        )

    async def query(self, prompt: Prompt, document: Text) -> Request:
        """A query for a document.

        Raises:
            InputError: the prompt does not fit the model's context.
        """
        texts = [await self._clean(_shown(document))]
        return await fit(
            self._engine,
            texts,
            self._options.passage_tokens,
            lambda cut: self._request(prompt, (), {"text": cut[0]}),
        )

    def _request(self, prompt: Prompt, passages: Sequence[str], words: dict[str, str]) -> Request:
        options = self._options
        return Request(
            messages=prompt.messages(passages, **words),
            max_tokens=options.room(options.answer_tokens),
            sampling=options.sampling,
            chat_options=options.chat_options,
        )

    async def _clean(self, text: str) -> str:
        control = await self._engine.control_tokens()
        return neutral(text, control_tokens=control, repair=self._options.repair_mojibake)

    async def _lines(self, text: str) -> str:
        """A text made harmless line by line: a program's lines mean something."""
        lines = [(line[: len(line) - len(line.lstrip())], await self._clean(line)) for line in text.splitlines()]
        return "\n".join(indent + clean for indent, clean in lines)


def _shown(text: Text) -> str:
    return f"Title: {text.title} Content: {text.text}" if text.title.strip() else text.text


def selected(reply: Completion, size: int) -> Verdict:
    """What a reply selects of `size` passages: a score of 1 for each that it names, else 0.

    A reply that holds anything besides identifiers, or one of no passage here, selects nothing.
    """

    def reader(answer: Answer) -> Reading:
        found = [int(name) for name in _named(answer) if name.isdecimal()]
        if any(not 1 <= number <= size for number in found):
            raise NoAnswerError(Outcome.MALFORMED, quoted("the answer names no passage here", answer.text))
        chosen = dict.fromkeys(number - 1 for number in found)
        rest = [place for place in range(size) if place not in chosen]
        return Reading((*chosen, *rest), tuple(float(place in chosen) for place in range(size)))

    return read(reply, size, reader, thinking=False)


def _named(answer: Answer) -> list[str]:
    text = answer.text.strip()
    if answer.cut and not answer.framed:
        raise NoAnswerError(Outcome.TRUNCATED, quoted("the answer was cut", text))
    if _NONE.fullmatch(text):
        return []
    if not _NAMED.fullmatch(text):
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer is no selection", text))
    return identifiers_in(r"\[(\d+)\]", text)


def written(reply: Completion) -> tuple[Verdict, str]:
    """The query that a reply is; empty where it is none."""
    found = [""]

    def reader(answer: Answer) -> Reading:
        text = answer.text.strip().strip(_QUOTES).strip()
        if answer.cut:
            raise NoAnswerError(Outcome.TRUNCATED, quoted("the query was cut", text))
        if not text or len(text.splitlines()) > 1 or len(text.split()) > _MOST_WORDS:
            raise NoAnswerError(Outcome.MALFORMED, quoted("the reply is not one query", text))
        found[0] = text
        return Reading((0,))

    return read(reply, 1, reader, thinking=False), found[0]
