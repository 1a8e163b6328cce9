"""The parser on replies that nobody would write: what must hold of every one of them, and in what time.

`python -m tests.benchmarks.fuzz_parse` runs the same without end.
"""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.rerank.parse import AnswerForm, parse
from es_reasonrank.types import Outcome, Verdict
from tests.benchmarks.fuzz_parse import (
    FRAGMENTS,
    TRACES,
    Case,
    case,
    letters,
    named_passages,
    numbers,
    styles,
    violations,
    written,
)
from tests.replay.published import REPLIES, SHARED

LONG = 1_000_000
CHAINS = ("[1] > [2] > [3]", "[4] > [3] > [2] > [1]", "2 > 1 > ５")
PIECES = st.sampled_from([*FRAGMENTS, *written(range(12), numbers(12)), *CHAINS])
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=40).map("".join))
FORMS = st.builds(
    lambda form, size: form(size), st.sampled_from([numbers, letters, named_passages]), st.integers(1, 20)
)


def read(one: Case) -> Verdict:
    return parse(one.reply, one.form, thinking=one.thinking)


@settings(max_examples=2000, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(Finish), st.integers(0, 9), FORMS, st.booleans())
def test_what_must_hold_of_any_reply(
    text: str, reasoning: str, finish: Finish, tokens: int, form: AnswerForm, thinking: bool
) -> None:
    one = Case(Completion(text, finish, reasoning, generated_tokens=tokens), form, thinking)
    assert violations(one, read(one)) == []


@pytest.mark.skipif(
    not (REPLIES.is_dir() and TRACES.is_dir()), reason=f"needs {REPLIES.name} and {TRACES.name} in {SHARED}"
)
@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**64))
def test_what_must_hold_of_recorded_replies_that_were_garbled(seed: int) -> None:
    one = case(Random(seed))
    assert violations(one, read(one)) == []


def test_violations_are_found() -> None:
    """A check that cannot fail would prove nothing."""
    good = Case(Completion("<think>a</think><answer>[2] > [1] > [3]</answer>", Finish.STOP), numbers(3), True)
    verdict = read(good)
    assert violations(good, verdict) == []
    unranked = replace(verdict, outcome=Outcome.MALFORMED, detail="why")
    open_one, cut = (replace(good.reply, text="<think>[2] > [1]"), replace(good.reply, text="a", finish=Finish.LENGTH))
    found = {
        what
        for one, told in (
            (good, replace(verdict, order=(1, 1, 2))),
            (good, replace(verdict, outcome=Outcome.DEADLINE, detail="why")),
            (good, unranked),
            (good, replace(unranked, order=(0, 1, 2), detail="")),
            (good._replace(reply=replace(good.reply, finish=Finish.REFUSED)), verdict),
            (good._replace(reply=open_one), verdict),
            (good._replace(reply=cut), verdict),
            (good, replace(verdict, order=(2, 0, 1))),
            (good._replace(form=numbers(9)), replace(verdict, order=(8, *range(8)))),
            (good._replace(thinking=False), verdict),
        )
        for what in violations(one, told)
    }
    assert found == {
        "the order is no permutation",
        "an outcome that no reply has",
        "an order changed and nothing ranks",
        "what is wrong is not said",
        "a refusal is taken for a reply",
        "unfinished reasoning ranks",
        "a reply ranks that was cut before its answer",
        "the best was never named",
        "another form than was asked for is ok",
    }


@settings(max_examples=500, deadline=None)
@given(FORMS, st.data())
def test_an_order_that_is_written_is_read_again(form: AnswerForm, data: st.DataObject) -> None:
    """Every order of every window in every way to write it; a window of two is too small for prose, one for a list."""
    order = tuple(data.draw(st.permutations(range(len(form.identifiers)))))
    style = data.draw(st.sampled_from(styles(form)))
    assume(style.asked or len(order) > 2)
    answer = style.write(written(order, form))
    for thinking, text in ((False, answer), (True, f"<think>[1], 2 or [3]?</think>\n<answer>{answer}</answer>\n")):
        verdict = parse(Completion(text, Finish.STOP), form, thinking=thinking)
        assert verdict.order == order
        assert verdict.outcome is (Outcome.OK if style.asked else Outcome.REPAIRED)


def test_an_example_in_the_prompt_only_takes_orders_away() -> None:
    """A reply that says what the prompt shows is read as without it, or not at all."""
    changed = 0
    for number in range(1000):
        chance = Random(f"examples-{number}")
        form = chance.choice([numbers, letters, named_passages])(chance.randint(1, 9))
        said = chance.sample(range(len(form.identifiers)), chance.randint(1, len(form.identifiers)))
        text = chance.choice(styles(form)).write(written(said, form))
        example = tuple(form.identifiers[place].casefold() for place in said[: chance.randint(1, 9)])
        one = Case(Completion(text, chance.choice([Finish.STOP, Finish.LENGTH])), form, chance.random() < 0.5)
        without, verdict = read(one), read(one._replace(form=replace(form, examples=frozenset({example}))))
        assert verdict.outcome.ranks <= without.outcome.ranks
        assert verdict == without or verdict.outcome in (Outcome.MALFORMED, Outcome.TRUNCATED)
        changed += verdict != without
    assert changed > 20


OPENINGS = st.sampled_from(
    [
        "<think>",
        "<THINK>",
        "<think >",
        '<think mode="x">',
        "<thinking>",
        "<reasoning>",
        "<thought>",
        "[THINK]",
        "◁think▷",
    ]
)


@settings(max_examples=1000, deadline=None)
@given(TEXTS, OPENINGS, TEXTS, st.sampled_from(Finish), st.booleans(), st.integers(1, 20))
def test_unfinished_reasoning_never_ranks(
    before: str, opening: str, chain: str, finish: Finish, thinking: bool, size: int
) -> None:
    """Whatever stands before it, in it, and however it is opened."""
    for end in ("</", "/think", "▷", "[/THINK]"):
        assume(end not in before + chain)
    answer = " > ".join(written(reversed(range(size)), numbers(size)))
    reply = Completion(f"{before}{opening}{chain}<answer>{answer}</answer>", finish, generated_tokens=9)
    assume("<" not in before[-100:])  # a tag that is begun there could swallow the opening
    verdict = parse(reply, numbers(size), thinking=thinking)
    assert not verdict.outcome.ranks
    assert verdict.order == tuple(range(size))


UNITS = [
    *("<answer>", "</answer>", "<answer></answer>", "<answer>[1] > [2]</answer>", "<answer", "<answer>[1] > "),
    *("<think>", "</think>", "<think></think>", "<think ", "<think", "</think ", "<thinking>", "[THINK]", "◁think▷"),
    *("[", "[1", "[1]", "[1] ", "[1] > ", "[1] >", "[1]>", "[1]\t", "] > [", "[]", "[1] > [2] > [3] , ", "PASSAGE1, "),
    *(
        "1",
        "１",
        "1,",
        "1 > ",
        "1\n",
        "- 1\n",
        "1. [1]\n",
        "1. ",
        "1. 1. ",
        "- ",
        "* ",
        "> ",
        " >",
        ">",
        "=",
        "A > ",
        "A,",
    ),
    *(" ", "\n", "\t", " \n", "\x1c", "\u2028", "\u200b", "<", "&", "i'm ", "sorry ", "ß", "\ud83d", "\x00"),
]


def seconds(text: str, form: AnswerForm) -> float:
    """The processor's time for a reply; the best of three tries where the first is slow, as on a busy machine."""
    times: list[float] = []
    while len(times) < 3 and (not times or min(times) > 0.5):
        started = time.process_time()
        parse(Completion(text, Finish.STOP), form, thinking=True)
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("unit", UNITS)
def test_the_time_is_linear_whatever_is_repeated(unit: str) -> None:
    """A million characters take less than a second."""
    for before, after in (("[1]x", "x[2]"), ("<think>a</think><answer>", "</answer>")):
        assert seconds(before + unit * (LONG // len(unit)) + after, numbers(20)) < 1


@pytest.mark.parametrize(
    "pattern",
    ["<answer>[{}] > [{}]</answer>", "[{}] > [2] > [{}], ", "[{}] > [{}]\n", "{}. [{}]\n", "<think>{}</think>{}"],
)
def test_the_time_is_linear_where_nothing_is_repeated(pattern: str) -> None:
    text = "".join(pattern.format(number, number + 1) for number in range(LONG // (len(pattern) + 8)))
    for form in (numbers(4), letters(20), named_passages(20)):
        assert seconds(text, form) < 1
