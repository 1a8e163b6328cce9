"""Mutated replies without end for the parser: recorded ones and made ones, cut, spliced, repeated and garbled.

    python -m tests.benchmarks.fuzz_parse
    python -m tests.benchmarks.fuzz_parse --replies 20000 --seed 3

Prints what was run, how many replies ended in which outcome, the rate, and every violation of what must hold of any
reply (`violations`); it exits with 1 where there is one. The recorded replies are read in place; without them, the made
ones are mutated alone. tests/unit/test_parse_fuzz.py runs the same on a small scale.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import NamedTuple

import click

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.rerank.parse import AnswerForm, parse
from es_reasonrank.types import Outcome, Verdict
from tests.replay.published import RANKVICUNA, REPLIES, SHARED, UNTRAINED, logged

TRACES = SHARED / "tfrank_listwise_reasoning"
SIZES = (1, 2, 3, 4, 5, 8, 10, 20, 26)
SLOW = 1.0
"""Seconds of the processor that no reply may take."""
OUTCOMES = frozenset(Outcome) - {Outcome.ENGINE_ERROR, Outcome.DEADLINE}
"""How a reply can end. The other two are windows without one."""

FRAGMENTS = (
    "<think>", "</think>", "<answer>", "</answer>", "<THINK >", "</Answer>", "< /think>", "<think", "<thinking>",
    "[THINK]", "[1]", "[2]", "[20]", "[21]", "[0]", "[007]", "[A]", "[]", "[] > []", "[1-4]", "(3)", "[３]", "[४]",
    "【3】", "[③]", " > ", ">", "≻", ",", ";", "=", "<", "[", "]", "\n", "\n\n", "\t", " ", "\x00", "\u200b", "\u2028",
    "\ud83d", "😊", "�", "1.", "3", "- ", "PASSAGE3", "passage 3", "2019", "9" * 40, "null", '{"ranking": [3, 1, 2]}',
    "<html>", "</s>", "I'm sorry", "sorry, ", "Rate limit: retry after 3 seconds", "[2] > [1]", "e.g., [4] > [2]",
    "User:", "<|im_end|>",
)  # fmt: skip


class Case(NamedTuple):
    """A reply, and what had been asked for."""

    reply: Completion
    form: AnswerForm
    thinking: bool


class Style(NamedTuple):
    """A way to write an order."""

    name: str
    asked: bool
    """Whether it is the form asked for."""
    write: Callable[[Sequence[str]], str]
    """From the identifiers as they stand in the prompt, best first."""


def numbers(size: int) -> AnswerForm:
    """The form of our own templates."""
    return AnswerForm(tuple(str(number) for number in range(1, size + 1)))


def letters(size: int) -> AnswerForm:
    """The same with letters."""
    names = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:size])
    return AnswerForm(names, r"\[[A-Z]\]( > \[[A-Z]\])*", r"\[([A-Z])\]")


def named_passages(size: int) -> AnswerForm:
    """A form of another kind, as rank_llm's LRL template has it."""
    return AnswerForm(numbers(size).identifiers, r"\[PASSAGE\d+(, PASSAGE\d+)*\]", r"PASSAGE(\d+)")


FORMS = (numbers, letters, named_passages)


def bare(names: Iterable[str]) -> list[str]:
    """Identifiers without their brackets."""
    return [name.strip("[]") for name in names]


IN_BRACKETS = (
    Style("asked for", True, " > ".join),
    Style("without spaces", False, ">".join),
    Style("with a full stop", False, lambda names: " > ".join(names) + "."),
    Style("without brackets", False, lambda names: " > ".join(bare(names))),
    Style("with commas", False, ", ".join),
    Style("as a JSON list", False, lambda names: f"[{', '.join(bare(names))}]"),
    Style("a line each", False, "\n".join),
    Style("a numbered list", False, lambda names: "\n".join(f"{n}. {name}" for n, name in enumerate(names, 1))),
    Style("a list", False, lambda names: "\n".join(f"- {name}" for name in names)),
    Style("in a sentence", False, lambda names: f"The order is {' > '.join(names)}, I think."),
)
AS_PASSAGES = (Style("asked for", True, lambda names: f"[{', '.join(names)}]"),)


def styles(form: AnswerForm) -> Sequence[Style]:
    """The ways to write an order that are read in this form."""
    return AS_PASSAGES if "PASSAGE" in form.identifier else IN_BRACKETS


def written(order: Iterable[int], form: AnswerForm) -> list[str]:
    """The identifiers of an order as they stand in the prompt."""
    pattern = "PASSAGE{}" if "PASSAGE" in form.identifier else "[{}]"
    return [pattern.format(form.identifiers[place]) for place in order]


@cache
def recorded() -> tuple[str, ...]:
    """Two rerankers' replies on TREC DL19 and a third one's reasoning traces; none where the files are not there."""
    if not (REPLIES.is_dir() and TRACES.is_dir()):
        return ()
    replies = {window.reply: None for name in (RANKVICUNA, UNTRAINED) for window in logged(name)}
    lines = [line for file in sorted(TRACES.glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()]
    traces = [str(json.loads(line)["messages"][-1]["content"]) for line in lines]
    return (*replies, *traces)


def made(form: AnswerForm, chance: Random) -> str:
    """A reply that names an order, with tags or without."""
    order = chance.sample(range(len(form.identifiers)), len(form.identifiers))
    answer = chance.choice(styles(form)).write(written(order, form))
    reasoning = chance.choice(("", "<think>first [1], then the others</think> ", "<think>[2] > [1]?\n", "so </think>"))
    return reasoning + (f"<answer>{answer}</answer>" if chance.random() < 0.5 else answer)


def case(chance: Random) -> Case:
    """A reply with up to four mutations, and what it was the answer to; one time in ten, what it was not."""
    seeds = recorded()
    if seeds and chance.random() < 0.5:
        form, text = numbers(20), chance.choice(seeds)
    else:
        form = chance.choice(FORMS)(chance.choice(SIZES))
        text = made(form, chance)
    if chance.random() < 0.1:
        form = chance.choice(FORMS)(chance.choice(SIZES))
    if len(text) > 2000 and chance.random() < 0.9:  # the middle of a long chain of thought, for speed
        text = text[: chance.randrange(400)] + text[-chance.randrange(1, 600) :]
    for _ in range(chance.choice((0, 1, 1, 2, 3, 4))):
        text = chance.choice(MUTATIONS)(text, chance)
    reply = Completion(
        text=text,
        finish=chance.choices(tuple(Finish), (70, 25, 5))[0],
        reasoning=chance.choice(("", "", "[3] > [1] > [2]")),
        generated_tokens=chance.choice((0, 1, 100)),
    )
    return Case(reply, form, chance.random() < 0.5)


def _cut(text: str, chance: Random) -> str:
    place = chance.randint(0, len(text))
    return text[:place] if chance.random() < 0.7 else text[place:]


def _splice(text: str, chance: Random) -> str:
    seeds = recorded()
    other = chance.choice(seeds) if seeds and chance.random() < 0.5 else made(numbers(chance.choice(SIZES)), chance)
    return text[: chance.randint(0, len(text))] + other[chance.randint(0, len(other)) :][-2000:]


def _repeat(text: str, chance: Random) -> str:
    start = chance.randint(0, len(text))
    end = min(len(text), start + chance.randint(0, 60))
    return text[:end] + text[start:end] * chance.randint(1, 5) + text[end:]


def _move_a_tag(text: str, chance: Random) -> str:
    tags = list(re.finditer(r"</?[A-Za-z]+>", text))
    if not tags:
        return _insert(text, chance)
    tag = chance.choice(tags)
    rest = text[: tag.start()] + text[tag.end() :]
    place = chance.randint(0, len(rest))
    return rest[:place] + tag.group() + rest[place:]


def _change_an_identifier(text: str, chance: Random) -> str:
    found = list(re.finditer(r"\d+|(?<=\[)[A-Z](?=\])", text))
    if not found:
        return _insert(text, chance)
    one = chance.choice(found)
    other = chance.choice((str(chance.randint(0, 30)), "", "A", "Z", "٣", "³", "x", f"{one.group()}, {one.group()}"))
    return text[: one.start()] + other + text[one.end() :]


def _flip_a_bit(text: str, chance: Random) -> str:
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data.decode("utf-8", chance.choice(("replace", "ignore", "surrogateescape", "backslashreplace")))


def _insert(text: str, chance: Random) -> str:
    place = chance.choice((0, len(text), chance.randint(0, len(text))))
    return text[:place] + chance.choice(FRAGMENTS) + text[place:]


def _shuffle(text: str, chance: Random) -> str:
    parts = re.split(r"(\s+)", text)
    start = chance.randrange(len(parts))
    middle = parts[start : start + 12]
    chance.shuffle(middle)
    return "".join((*parts[:start], *middle, *parts[start + 12 :]))


def _other_case(text: str, chance: Random) -> str:
    return text.upper() if chance.random() < 0.5 else text.swapcase()


MUTATIONS = (
    *(_cut, _splice, _repeat, _move_a_tag, _change_an_identifier, _flip_a_bit, _insert, _insert, _shuffle, _other_case),
)


def violations(case: Case, verdict: Verdict) -> list[str]:
    """What must hold of every reply, and does not of this one."""
    reply, form, thinking = case
    shown = tuple(range(len(form.identifiers)))
    ranks, fine = verdict.outcome.ranks, verdict.outcome is Outcome.OK
    cut = reply.finish is Finish.LENGTH and "</answer>" not in reply.text.lower()
    broken = {
        "the order is no permutation": tuple(sorted(verdict.order)) != shown,
        "an outcome that no reply has": verdict.outcome not in OUTCOMES,
        "an order changed and nothing ranks": not ranks and verdict.order != shown,
        "what is wrong is not said": fine == bool(verdict.detail),
        "a refusal is taken for a reply": (reply.finish is Finish.REFUSED) and verdict.outcome is not Outcome.REFUSED,
        "unfinished reasoning ranks": ranks and _is_open(reply.text),
        "a reply ranks that was cut before its answer": ranks and thinking and cut,
        "the best was never named": ranks and not _names(_behind_the_reasoning(reply.text), form, verdict.order[0]),
        "another form than was asked for is ok": fine and not _is_asked_for(reply.text, form, thinking),
    }
    return [what for what, holds in broken.items() if holds]


def _is_open(text: str) -> bool:
    """Whether the last plain ``<think>`` has no end behind it."""
    lower = text.lower()
    return lower.find("<think>", lower.rfind("</think>") + 1) >= 0


def _behind_the_reasoning(text: str) -> str:
    """What follows the last tag that can end reasoning."""
    return re.split(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷", text, flags=re.IGNORECASE)[-1]


def _names(text: str, form: AnswerForm, place: int) -> bool:
    """Whether a passage's identifier stands in a text, in digits of any script."""
    digits = "".join(str(int(char)) if char.isdecimal() else char for char in text)
    return bool(re.search(rf"(?<!\d)0*{form.identifiers[place]}(?!\d)", digits, re.IGNORECASE))


def _is_asked_for(text: str, form: AnswerForm, thinking: bool) -> bool:
    if thinking:
        return bool(re.search(rf"<answer>\s*(?:{form.whole})\s*(?:</answer>|\Z)", text, re.IGNORECASE))
    return bool(re.fullmatch(form.whole, _behind_the_reasoning(text).strip()))


class Totals(NamedTuple):
    """What came of a run."""

    outcomes: Counter[Outcome]
    violations: list[str]
    slowest: float
    """The processor's seconds for the reply that took the parser longest."""
    seconds: float
    """The processor's seconds for the parser on all replies."""
    letters: int
    """Characters of all replies."""


def run(count: int, seed: int) -> Totals:
    """Parse `count` mutated replies. Every reply has a seed of its own, so that one can be made again."""
    outcomes: Counter[Outcome] = Counter()
    found, slowest, seconds, size = [], 0.0, 0.0, 0
    for number in range(count):
        one = case(Random(f"{seed}-{number}"))
        started = time.process_time()
        verdict = parse(one.reply, one.form, thinking=one.thinking)
        took = time.process_time() - started
        outcomes[verdict.outcome] += 1
        seconds, slowest, size = seconds + took, max(slowest, took), size + len(one.reply.text)
        broken = violations(one, verdict) + (["a reply took too long"] if took > SLOW else [])
        found += [f"{seed}-{number}: {what}: {one.reply.text[:200]!r}" for what in broken]
    return Totals(outcomes, found, slowest, seconds, size)


def main() -> None:
    """Read the command line, run, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=1_000_000, help="how many to parse")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    click.echo(f"settings      {vars(options)}")
    click.echo(f"machine       {platform.platform()}, {platform.machine()}, {os.cpu_count()} cores, one process")
    click.echo(f"versions      es-reasonrank {version('es-reasonrank')}, Python {platform.python_version()}")
    click.echo(f"seeds         {len(recorded()):,} recorded replies from {Path(SHARED).name}, and made ones")
    started = time.perf_counter()
    totals = run(options.replies, options.seed)
    elapsed = time.perf_counter() - started
    for outcome, count in totals.outcomes.most_common():
        click.echo(f"{outcome:13} {count:9,} ({count / options.replies:.2%})")
    mean = totals.letters / options.replies
    click.echo(
        f"rate          {options.replies / elapsed:,.0f} replies/s of {mean:,.0f} characters, making them included"
    )
    click.echo(
        f"parser alone  {options.replies / totals.seconds:,.0f} replies/s; slowest {totals.slowest * 1000:.1f} ms"
    )
    click.echo(f"violations    {len(totals.violations):,}")
    for violation in totals.violations[:50]:
        click.echo(f"  {violation}")
    sys.exit(1 if totals.violations else 0)


if __name__ == "__main__":
    main()
