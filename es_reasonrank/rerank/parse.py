"""Replies in, orders out. A reply that names no order promotes nothing.

The grammar is strict on purpose: identifiers are read only from a chain such as ``[2] > [1] > [3]``, never scraped from
prose, from unfinished reasoning or from an error's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.types import Outcome, Verdict

_REFUSAL = re.compile(
    r"\s*(i['’]?m (very )?sorry|sorry[,.]|i (can(no|['’]?)t|am unable to)\b|as an ai\b)", re.IGNORECASE
)
_OPEN = re.compile(r"<think>", re.IGNORECASE)
_CLOSE = re.compile(r"</think>", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_CUT_ANSWER = re.compile(r"<answer>((?:(?!<answer>).)*)\Z", re.DOTALL | re.IGNORECASE)
_LIST_MARK = re.compile(r"^[ \t]*(?:\d+[.):]|[-*•])[ \t]+", re.MULTILINE)


@dataclass(frozen=True)
class AnswerForm:
    """The form that a window's answer is asked for in.

    Attributes:
        identifiers: the window's identifiers, in the order shown.
        whole: pattern of a well-formed answer.
        identifier: pattern of one identifier; its only group is the bare identifier.
    """

    identifiers: tuple[str, ...]
    whole: str = r"\[\d+\]( > \[\d+\])*"
    identifier: str = r"\[(\d+)\]"

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

    @property
    def _unit(self) -> str:
        return "(?:" + re.sub(r"(?<!\\)\((?!\?)", "(?:", self.identifier) + ")"


class _NoOrderError(Exception):
    """The reply names no order."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        self.outcome = outcome
        self.detail = detail


def parse(completion: Completion, form: AnswerForm, *, thinking: bool) -> Verdict:
    """The verdict that a reply stands for.

    Args:
        form: what was asked for; its identifiers give the window's size.
        thinking: whether ``<think>…</think> <answer>…</answer>`` was asked for, or the bare answer.

    Returns:
        A verdict whose order is a permutation of the window whatever the reply holds: named identifiers first, each
        once, then the others in their incoming order.
    """
    reasoning, rest = _split(completion)
    try:
        named, mended = _named(rest, completion, form, thinking)
        outcome, detail = (Outcome.REPAIRED, mended) if mended else (Outcome.OK, "")
    except _NoOrderError as failure:
        cut = failure.outcome is Outcome.MALFORMED and completion.finish is Finish.LENGTH
        named, outcome, detail = [], Outcome.TRUNCATED if cut else failure.outcome, failure.detail
    return Verdict(
        order=(*named, *(index for index in range(len(form.identifiers)) if index not in named)),
        outcome=outcome,
        detail=detail,
        reasoning=reasoning.strip(),
        reply=completion.text,
        prompt_tokens=completion.prompt_tokens,
        generated_tokens=completion.generated_tokens,
    )


def _split(completion: Completion) -> tuple[str, str | None]:
    """The reasoning, and what follows it: None where the reasoning is never closed."""
    text = completion.text
    closes = list(_CLOSE.finditer(text))
    if closes:
        before = _OPEN.sub("", _CLOSE.sub("", text[: closes[-1].start()]))
        return completion.reasoning + before, text[closes[-1].end() :]
    if _OPEN.match(text.lstrip()):
        return completion.reasoning + _OPEN.sub("", text), None
    before, tag, _ = text.partition("<answer>")
    return completion.reasoning + (before if tag else ""), text


def _named(rest: str | None, completion: Completion, form: AnswerForm, thinking: bool) -> tuple[list[int], str]:
    """The named positions, best first, and what had to be mended."""
    answer, framed = _answer(rest, completion, thinking)
    found, tidy = _identifiers(answer, form)
    places = {identifier.casefold(): place for place, identifier in enumerate(form.identifiers)}
    known = [places[identifier] for identifier in found if identifier in places]
    named = list(dict.fromkeys(known))
    if not named:
        raise _NoOrderError(Outcome.MALFORMED, _quoted("the answer names no passage of the window", answer))
    missing = len(places) - len(named)
    if missing and completion.finish is Finish.LENGTH and not framed:
        raise _NoOrderError(Outcome.TRUNCATED, f"the answer was cut after {len(named)} of {len(places)} identifiers")
    notes = [
        f"{count} {what}"
        for count, what in (
            (missing, "missing"),
            (len(known) - len(named), "repeated"),
            (len(found) - len(known), "unknown"),
        )
        if count
    ]
    if not (tidy and framed == thinking):
        notes.append("not in the form asked for")
    return named, ", ".join(notes)


def _answer(rest: str | None, completion: Completion, thinking: bool) -> tuple[str, bool]:
    """The answer's text, and whether it stood between answer tags."""
    cut = completion.finish is Finish.LENGTH
    if completion.finish is Finish.REFUSED:
        raise _NoOrderError(Outcome.REFUSED, _quoted("the server refused", completion.text))
    if rest is None or (cut and not rest.strip() and completion.generated_tokens):
        outcome = Outcome.TRUNCATED if cut else Outcome.MALFORMED
        raise _NoOrderError(
            outcome, "the reasoning was cut by the token limit" if cut else "the reasoning is never closed"
        )
    if not rest.strip():
        raise _NoOrderError(Outcome.EMPTY, "the reply holds no answer")
    closed = _ANSWER.findall(rest)
    if closed:
        return closed[-1], True
    opened = _CUT_ANSWER.search(rest)
    if opened and cut:
        raise _NoOrderError(Outcome.TRUNCATED, "the answer was cut by the token limit")
    if opened:
        return opened.group(1), True
    if thinking and cut:
        raise _NoOrderError(Outcome.TRUNCATED, "the reply was cut before its answer")
    if _REFUSAL.match(rest):
        raise _NoOrderError(Outcome.REFUSED, _quoted("the model refused", rest))
    return rest, False


def _identifiers(answer: str, form: AnswerForm) -> tuple[list[str], bool]:
    """The identifiers that an answer names, in order, and whether it is of the form asked for.

    A chain inside other text counts only where it names at least half of the window: an echo of the instruction's
    example names two.
    """
    text = answer.strip()
    if re.fullmatch(form.whole, text):
        return _found(form.identifier, text), True
    listed = _LIST_MARK.sub("", re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", text)))
    if form.listing.fullmatch(listed):
        return _found(rf"{form.identifier}|({form.bare})", listed), False
    chains = [_found(form.identifier, match.group()) for match in form.chain.finditer(text)]
    longest = max(chains, key=len, default=[])
    if 2 * len(set(longest)) >= len(form.identifiers):
        return longest, False
    raise _NoOrderError(Outcome.MALFORMED, _quoted("the reply names no order", answer))


def _found(pattern: str, text: str) -> list[str]:
    """The bare identifiers that `pattern` finds; "07" and "７" are 7, and a number of 100 digits is just unknown."""
    groups = (next(group for group in match.groups() if group is not None) for match in re.finditer(pattern, text))
    return [str(int(group)) if group.isdecimal() and len(group) < 9 else group.casefold() for group in groups]


def _quoted(what: str, text: str) -> str:
    """`what`, with the beginning of the text that it is about."""
    line = " ".join(text.split())
    return f"{what}: {line[:60]!r}{'…' if len(line) > 60 else ''}"
