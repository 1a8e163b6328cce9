"""Roll-outs in, answers out: by the parser that serves, and by the tags that were asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, cast, get_args

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.judges.graded import listed
from es_reasonrank.rerank.judges.prompting import Prompter, PromptOptions
from es_reasonrank.rerank.judges.relevance import RelevanceOptions
from es_reasonrank.rerank.judges.setwise import named
from es_reasonrank.rerank.judges.thinking import CLOSE, END, LEAD
from es_reasonrank.rerank.parse import Answer, AnswerForm, NoAnswerError, Reading, parse, quoted, read
from es_reasonrank.rerank.prompts.template import Method, Template
from es_reasonrank.types import Outcome, Verdict

OPEN = "<think>"
TAGS = (OPEN, CLOSE, LEAD.strip(), END)
"""The tags of a reply that thinks, in their order."""
_TAG = re.compile("|".join(map(re.escape, TAGS)))


@dataclass(frozen=True, slots=True)
class Reply:
    """A roll-out as serving reads it, and how well it keeps the form."""

    verdict: Verdict
    tagged: bool
    """Whether each tag asked for stands there once and in order, with nothing outside of them, and nothing is cut."""
    wrong_tags: int
    """How many of the tags stand there more or less often than asked for."""
    answer: str
    """What stands between the answer's tags; the whole where no tags are asked for."""

    @property
    def whole(self) -> bool:
        """Whether it is exactly of the form asked for: what serving reads without mending anything."""
        return self.tagged and self.verdict.outcome is Outcome.OK

    @property
    def ranks(self) -> bool:
        """Whether its tags are right and serving finds an order in it, mended or not."""
        return self.tagged and self.verdict.outcome.ranks


@dataclass(frozen=True)
class Reader:
    """Reads replies as the judge does that asks for them."""

    template: Template
    identifiers: Callable[[int], tuple[str, ...]]
    """What the passages of a window of a size are called."""
    thinking: bool = True
    prefix: str = ""
    """Text that a reply is made to begin with; roll-outs do not repeat it."""
    select: Literal["best", "worst"] = "best"
    """Which passage a setwise question asks for."""
    highest: int = 10
    """The highest grade that a question asks for; the lowest is 0."""
    words: tuple[str, str] | None = None
    """The two answers, for grade 0 and for grade 1, of a question that asks for one of them and not for a number."""

    @classmethod
    def of(cls, options: PromptOptions) -> Self:
        """The reader of a judge with these options; one that cannot think asks for a bare answer."""
        nobody = cast(Any, None)  # a prompter asks its engine for requests alone, and none is made here
        prompter = Prompter(options, nobody, get_args(Method), {"select": "", "highest": ""})
        own = {name: getattr(options, name) for name in ("select", "highest") if hasattr(options, name)}
        thinking = getattr(options, "thinking", False)
        if isinstance(options, RelevanceOptions):
            own |= {"words": (options.negative, options.positive), "highest": 1}
        return cls(prompter.template, prompter.identifiers, thinking, options.prefix, **own)

    def form(self, size: int) -> AnswerForm:
        """The form of an answer over a window of that size."""
        return self.template.form(self.identifiers(size))

    def order(self, text: str, size: int, *, cut: bool = False) -> Reply:
        """A listwise reply; the verdict's order is a permutation of the window."""
        return self._reply(text, cut, lambda whole: parse(whole, self.form(size), thinking=self.thinking))

    def choice(self, text: str, size: int, *, cut: bool = False) -> Reply:
        """A setwise reply; the verdict's order begins with the passage that is named."""
        form = self.form(size)

        def reader(answer: Answer) -> Reading:
            place, tidy = named(answer, form)
            return Reading((place, *(other for other in range(size) if other != place)), tidy=tidy)

        return self.read(text, size, reader, cut=cut)

    def grades(self, text: str, size: int, *, cut: bool = False) -> Reply:
        """A groupwise reply; the verdict's scores are the passages' grades."""
        return self.read(text, size, lambda answer: listed(answer, self.form(size), self.highest), cut=cut)

    def grade(self, text: str, *, cut: bool = False) -> Reply:
        """A pointwise reply; the verdict's only score is the passage's grade."""
        return self.read(text, 1, lambda answer: _grade(answer, self.highest, self.words), cut=cut)

    def read(self, text: str, size: int, reader: Callable[[Answer], Reading], *, cut: bool = False) -> Reply:
        """A reply over a window of that size whose answer `reader` understands."""
        return self._reply(text, cut, lambda whole: read(whole, size, reader, thinking=self.thinking))

    def _reply(self, text: str, cut: bool, verdict_on: Callable[[Completion], Verdict]) -> Reply:
        text = self.prefix + text
        verdict = verdict_on(Completion(text, Finish.LENGTH if cut else Finish.STOP, generated_tokens=1))
        tagged, answer = self._framed(text)
        return Reply(
            verdict,
            tagged=tagged and verdict.outcome is not Outcome.TRUNCATED,
            wrong_tags=sum(text.count(tag) != int(self.thinking) for tag in TAGS),
            answer=answer,
        )

    def _framed(self, text: str) -> tuple[bool, str]:
        """Whether the tags are right, and the answer."""
        tags, pieces = tuple(_TAG.findall(text)), _TAG.split(text)
        if not self.thinking:
            return not tags, text
        if tags != TAGS or any(piece.strip() for piece in pieces[::2]):
            return False, ""
        return True, pieces[3]

    def reply(self, order: Sequence[int], reasoning: str) -> str:
        """The listwise reply that says an order, behind the beginning that the judge makes.

        Raises:
            SettingsError: the template asks for another form than ``[2] > [1]``, or the chain holds a tag.
        """
        answer = chained(order, self.identifiers(len(order)))
        whole = framed(answer, reasoning) if self.thinking else answer
        reply = whole.removeprefix(self.prefix)
        found = self.order(reply, len(order))
        if not found.whole or found.verdict.order != tuple(order):
            why = found.verdict.detail or "the chain holds a tag, or judge.prefix begins otherwise"
            raise SettingsError(f"no reply can be written that judge.template would read: {why}")
        return reply


def chained(order: Sequence[int], identifiers: Sequence[str]) -> str:
    """An order of places as a listwise answer."""
    return " > ".join(f"[{identifiers[place]}]" for place in order)


def framed(answer: str, reasoning: str) -> str:
    """The whole reply that thinks, as serving's own forced endings write it."""
    return f"{OPEN}\n{reasoning.strip()}\n{CLOSE}{LEAD}{answer}{END}"


def _grade(answer: Answer, highest: int, words: tuple[str, str] | None) -> Reading:
    text = answer.text.strip()
    if words is not None and text in words:
        return Reading((0,), (float(words.index(text)),))
    if words is not None:
        raise NoAnswerError(Outcome.MALFORMED, quoted(f"the answer is neither {words[0]} nor {words[1]}", text))
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > highest:
        raise NoAnswerError(Outcome.MALFORMED, quoted(f"the answer is no whole number from 0 to {highest}", text))
    return Reading((0,), (float(text),))
