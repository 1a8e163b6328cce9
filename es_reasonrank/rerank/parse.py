"""Replies in, orders out. A reply that names no order promotes nothing.

The grammar is strict on purpose: identifiers are read only from a chain such as ``[2] > [1] > [3]``, never scraped from
prose, from unfinished reasoning or from an error's text. What can be read in two ways is not read at all. The time is
linear in the reply's length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.types import Outcome, Verdict

_REFUSAL = re.compile(
    r"\s*(i(['’]?m| am) ((very |so )?sorry|unable to)\b|sorry[,.]|i (can(no|['’]?)t|won['’]?t|will not)\b|as an ai\b)",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"<(/?)(think(?:ing)?|thought|reasoning)\b([^<>]{0,99})>|(?-i:\[(/?)THINK\])|◁(/?)think▷", re.IGNORECASE
)
_ANSWER = re.compile(r"<(/?)answer>", re.IGNORECASE)


@dataclass(frozen=True)
class AnswerForm:
    """The form that a window's answer is asked for in.

    Attributes:
        identifiers: the window's identifiers, in the order shown.
        whole: pattern of a well-formed answer.
        identifier: pattern of one identifier; its only group is the bare identifier.
        examples: answers that the prompt itself shows; a reply that repeats one says nothing.
    """

    identifiers: tuple[str, ...]
    whole: str = r"\[\d+\]( > \[\d+\])*"
    identifier: str = r"\[(\d+)\]"
    examples: frozenset[tuple[str, ...]] = frozenset()

    @cached_property
    def places(self) -> dict[str, int]:
        """Place in the window by bare identifier, in lower case."""
        return {identifier.casefold(): place for place, identifier in enumerate(self.identifiers)}

    @cached_property
    def chain(self) -> re.Pattern[str]:
        """Two or more identifiers joined by ">"."""
        return re.compile(rf"{self._unit}(?:\s*[>≻]\s*{self._unit})+")

    @property
    def bare(self) -> str:
        """Pattern of an identifier without its brackets."""
        return r"(?<!\w)\d+(?!\w)" if self.identifiers[0].isdecimal() else r"(?<!\w)[A-Za-z](?!\w)"

    @cached_property
    def listing(self) -> re.Pattern[str]:
        """An answer of identifiers and separators alone, with brackets or without."""
        unit = rf"(?:{self._unit}|{self.bare})"
        return re.compile(rf"\[? ?{unit}(?: ?[>≻,;=\n] ?{unit})+ ?\]?\.?")

    @cached_property
    def mark(self) -> re.Pattern[str]:
        """A mark before a list's item. In "1. 2" nobody knows which number is the place and which the passage."""
        item = self._unit if self.identifiers[0].isdecimal() else f"(?:{self._unit}|{self.bare})"
        return re.compile(rf"^(?:\d+[.):] (?={item})|[-*•] )", re.MULTILINE)

    @property
    def _unit(self) -> str:
        return _ungrouped(self.identifier)


class NoAnswerError(Exception):
    """The reply says nothing that could be used.

    Attributes:
        outcome: how the window ends.
        detail: what is wrong with the reply.
    """

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of a reply that answers."""

    text: str
    framed: bool
    """Whether it stood between answer tags."""
    cut: bool
    """Whether the reply ended at its token limit."""
    drafts: tuple[str, ...] = ()
    """Answers between tags that stood before it."""
    blurred: bool = False
    """Whether it may be reasoning as well: that was asked for, and no tag tells where it ends."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says of a window."""

    order: tuple[int, ...]
    """A permutation of the window's places, best first."""
    scores: tuple[float, ...] | None = None
    mended: tuple[str, ...] = ()
    """What had to be mended in it."""
    tidy: bool = True
    """Whether it is of the form asked for."""


def parse(completion: Completion, form: AnswerForm, *, thinking: bool) -> Verdict:
    """The verdict that a reply stands for which was asked for an order.

    Args:
        form: what was asked for; its identifiers give the window's size.
        thinking: whether ``<think>…</think> <answer>…</answer>`` was asked for, or the bare answer.

    Returns:
        A verdict whose order is a permutation of the window whatever the reply holds: named identifiers first, each
        once, then the others in their incoming order.
    """
    return read(completion, len(form.identifiers), lambda answer: _ordered(answer, form), thinking=thinking)


def read(completion: Completion, size: int, reader: Callable[[Answer], Reading], *, thinking: bool) -> Verdict:
    """The verdict on a window of `size` passages that a reply stands for.

    Args:
        reader: what the answer says; it raises `NoAnswerError` where that is nothing.
        thinking: whether ``<think>…</think> <answer>…</answer>`` was asked for, or the bare answer.
    """
    reasoning, rest = _split(completion)
    verdict = Verdict(
        order=tuple(range(size)),
        outcome=Outcome.OK,
        reasoning=reasoning.strip(),
        reply=completion.text,
        prompt_tokens=completion.prompt_tokens,
        generated_tokens=completion.generated_tokens,
    )
    try:
        answer = _answer(rest, completion, thinking)
        reading = reader(answer)
    except NoAnswerError as failure:
        cut = failure.outcome is Outcome.MALFORMED and completion.finish is Finish.LENGTH
        return replace(verdict, outcome=Outcome.TRUNCATED if cut else failure.outcome, detail=failure.detail)
    form = () if reading.tidy and answer.framed == thinking else ("not in the form asked for",)
    mended = ", ".join((*reading.mended, *form))
    outcome = Outcome.REPAIRED if mended else Outcome.OK
    return replace(verdict, order=reading.order, scores=reading.scores, outcome=outcome, detail=mended)


def refuses(text: str) -> bool:
    """Whether a text begins as a model's refusal does."""
    return bool(_REFUSAL.match(text))


def _split(completion: Completion) -> tuple[str, str | None]:
    """The reasoning, and what follows it: None where reasoning that was opened is never closed.

    It opens in any way that models open it, and closes by the very tag that belongs to its opening.
    """
    text, awaited, end = completion.text, "", 0
    for tag in _REASONING.finditer(text):
        kind = tag.group()[0] + (tag.group(2) or "").casefold()
        if not any(tag.group(1, 4, 5)):
            awaited = awaited or kind
        elif awaited in ("", kind) and not tag.group(3):
            awaited, end = "", tag.end()
    if awaited or end:
        before = _REASONING.sub("", text if awaited else text[:end])
        return completion.reasoning + before, None if awaited else text[end:]
    answer = _ANSWER.search(text)
    return completion.reasoning + (text[: answer.start()] if answer else ""), text


def _ordered(answer: Answer, form: AnswerForm) -> Reading:
    """The order that an answer names, what it leaves out behind it."""
    found, tidy = _identifiers(answer, form)
    known = [form.places[identifier] for identifier in found if identifier in form.places]
    named = list(dict.fromkeys(known))
    if not named:
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer names no passage of the window", answer.text))
    rest = [place for place in form.places.values() if place not in named]
    if rest and answer.cut and not answer.framed:
        detail = f"the answer was cut after {len(named)} of {len(form.places)} identifiers"
        raise NoAnswerError(Outcome.TRUNCATED, detail)
    if rest and _of_another_window(set(found), form):
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer names identifiers of no passage here", answer.text))
    if tuple(found) in form.examples and not _permutes(found, form):
        raise NoAnswerError(Outcome.MALFORMED, quoted("the answer is the prompt's own example", answer.text))
    if any(order not in (None, named) for order in (_complete(draft, form) for draft in set(answer.drafts))):
        raise NoAnswerError(Outcome.MALFORMED, quoted("the reply holds answers that differ", answer.text))
    mended = tuple(
        f"{count} {what}"
        for count, what in (
            (len(rest), "missing"),
            (len(known) - len(named), "repeated"),
            (len(found) - len(known), "unknown"),
        )
        if count
    )
    return Reading((*named, *rest), mended=mended, tidy=tidy)


def _answer(rest: str | None, completion: Completion, thinking: bool) -> Answer:
    """The answer behind the reasoning."""
    cut = completion.finish is Finish.LENGTH
    if completion.finish is Finish.REFUSED:
        raise NoAnswerError(Outcome.REFUSED, quoted("the server refused", completion.text))
    if rest is None or (cut and not rest.strip() and completion.generated_tokens):
        outcome = Outcome.TRUNCATED if cut else Outcome.MALFORMED
        raise NoAnswerError(
            outcome, "the reasoning was cut by the token limit" if cut else "the reasoning is never closed"
        )
    if not rest.strip():
        raise NoAnswerError(Outcome.EMPTY, "the reply holds no answer")
    answers = _framed(rest, cut)
    if answers:
        return Answer(answers[-1], True, cut, tuple(answers[:-1]))
    if thinking and cut:
        raise NoAnswerError(Outcome.TRUNCATED, "the reply was cut before its answer")
    if _REFUSAL.match(rest):
        raise NoAnswerError(Outcome.REFUSED, quoted("the model refused", rest))
    reasoned = bool(completion.reasoning) or len(rest) < len(completion.text)
    return Answer(rest, False, cut, blurred=thinking and not reasoned)


def _framed(text: str, cut: bool) -> list[str]:
    """What stands between answer tags; the last may be open where a stop string took its end."""
    answers, start = [], -1
    for tag in _ANSWER.finditer(text):
        if not tag.group(1):
            start = tag.end()
        elif start >= 0:
            answers.append(text[start : tag.start()])
            start = -1
    if start >= 0 and cut:
        raise NoAnswerError(Outcome.TRUNCATED, "the answer was cut by the token limit")
    return answers if start < 0 else [*answers, text[start:]]


def _complete(text: str, form: AnswerForm) -> list[int] | None:
    """The order of a well-formed answer that names the whole window, each passage once; else None."""
    if not re.fullmatch(form.whole, text.strip()):
        return None
    found = identifiers_in(form.identifier, text)
    return [form.places[each] for each in found] if _permutes(found, form) else None


def _permutes(found: list[str], form: AnswerForm) -> bool:
    return len(found) == len(form.places) and set(found) == form.places.keys()


def _of_another_window(found: set[str], form: AnswerForm) -> bool:
    """Whether an incomplete answer names more strangers than passages, or counts from 0."""
    strangers = found - form.places.keys()
    counts_from_zero = "0" in strangers and form.identifiers[-1].casefold() not in found
    return 2 * len(strangers) > len(found) or counts_from_zero


def _identifiers(answer: Answer, form: AnswerForm) -> tuple[list[str], bool]:
    """The identifiers that an answer names, in order, and whether it is of the form asked for.

    An answer that is a chain in brackets counts however short it is. Any other form was not asked for, and counts only
    where it can hardly be anything else: a list where it is a permutation of the window, since it could be one of
    grades; a chain without brackets, or inside other text, where it names at least half of the window.
    """
    text = answer.text.strip()
    if re.fullmatch(form.whole, text):
        return identifiers_in(form.identifier, text), True
    listed = form.mark.sub("", re.sub(r" ?\n[ \n]*", "\n", re.sub(r"[^\S\n]+", " ", text)))
    if form.chain.fullmatch(listed.removesuffix(".")):
        return identifiers_in(form.identifier, listed), False
    if form.listing.fullmatch(listed):
        found = identifiers_in(rf"{form.identifier}|({form.bare})", listed)
        ordered = ">" in listed or "≻" in listed or "=" not in listed
        if (_permutes(found, form) and ordered) or (_enough(found, form) and not re.search(r"[,;=\n]", listed)):
            return found, False
    elif found := _chain_inside(text, form, drafting=answer.blurred or (answer.cut and not answer.framed)):
        return found, False
    raise NoAnswerError(Outcome.MALFORMED, quoted("the reply names no order", text))


def _chain_inside(text: str, form: AnswerForm, *, drafting: bool) -> list[str]:
    """The longest chain inside other text, if there is one that is no example and no other contradicts it.

    Args:
        drafting: whether it may be a draft, since the text is cut or may be reasoning, unless the text begins with it.
    """
    matches = list(form.chain.finditer(text))
    if drafting and matches and matches[0].start():
        return []
    chains = {match.group(): identifiers_in(form.identifier, match.group()) for match in matches}
    counting = [found for found in chains.values() if _enough(found, form)]
    longest = max(counting, key=len, default=[])
    place = {identifier: index for index, identifier in reversed(list(enumerate(longest)))}
    for found in counting:
        places = [place.get(identifier, -1) for identifier in dict.fromkeys(found) if identifier in form.places]
        if places != sorted(places) or -1 in places:
            raise NoAnswerError(Outcome.MALFORMED, quoted("the reply names orders that differ", text))
    return [] if tuple(longest) in form.examples else longest


def _enough(found: list[str], form: AnswerForm) -> bool:
    """Whether this many identifiers are no accident: an echo of an instruction's example names two."""
    named = len(set(found) & form.places.keys())
    return named > 2 and 2 * named >= len(form.places)


def identifiers_in(pattern: str, text: str) -> list[str]:
    """The bare identifiers that `pattern` finds; "07" and "７" are 7, and a number of 100 digits is just unknown."""
    found = [match[match.lastindex or 0] for match in re.finditer(pattern, text)]
    known = {
        each: str(int(each)) if each.isdecimal() and len(each) < 9 else each.casefold() for each in dict.fromkeys(found)
    }
    return [known[each] for each in found]


def shown_in(prompt: str, identifier: str) -> frozenset[tuple[str, ...]]:
    """The answers that a prompt's own words show: its identifiers, and those that stand side by side as one."""
    one = _ungrouped(identifier)
    found = re.findall(rf"{one}(?:[^\w\0]{{1,9}}{one})*", prompt)
    return frozenset(tuple(identifiers_in(identifier, each)) for each in found)


def _ungrouped(pattern: str) -> str:
    """A pattern whose groups are not counted and have no name, so that it can be repeated."""
    return "(?:" + re.sub(r"(?<!\\)\((?:\?P<\w+>|(?!\?))", "(?:", pattern) + ")"


def quoted(what: str, text: str) -> str:
    """`what`, with the beginning of the text that it is about."""
    line = " ".join(text.split())
    return f"{what}: {line[:60]!r}{'…' if len(line) > 60 else ''}"
