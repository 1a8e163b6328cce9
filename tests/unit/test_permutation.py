"""Paths through tokens: whatever is drawn from what is allowed, the reply is a permutation, and each can be drawn."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.engines.permutation import Permutation, is_permutation

END = 0


def spelled(text: str) -> tuple[int, ...]:
    """A token a character."""
    return tuple(map(ord, text))


def path_of(texts: list[str]) -> Permutation:
    return Permutation([spelled(text) for text in texts], [spelled(f" > {text}") for text in texts], END)


def drawn(path: Permutation, choose: random.Random) -> str:
    generated: list[int] = []
    while (token := choose.choice(path.allowed(generated))) != END:
        generated.append(token)
    return "".join(map(chr, generated))


@given(st.integers(1, 25), st.integers(0, 10**6))
def test_whatever_is_drawn_is_a_permutation(size: int, seed: int) -> None:
    texts = [f"[{number}]" for number in range(1, size + 1)]
    assert is_permutation(drawn(path_of(texts), random.Random(seed)), texts)


def test_every_permutation_can_be_drawn() -> None:
    texts = ["[1]", "[2]", "[12]", "[3]"]
    path = path_of(texts)
    for order in itertools.permutations(texts):
        reply = spelled(" > ".join(order))
        for place, token in enumerate((*reply, END)):
            assert token in path.allowed(reply[:place])


def test_at_its_end_and_off_its_path_there_is_only_the_end() -> None:
    path = path_of(["A", "B"])
    for tokens in ("A > B", "A > B and so on", "x", "A > A", "A >> B"):
        assert path.allowed(spelled(tokens)) == (END,)


def test_tokens_may_span_the_separator() -> None:
    """As byte-pair encodings have it: " >", " [" in front of all but the first identifier."""
    first, later = [(10, 1), (10, 2)], [(20, 30, 1), (20, 30, 2)]
    path = Permutation(first, later, END)
    steps = [(), (10,), (10, 2), (10, 2, 20), (10, 2, 20, 30), (10, 2, 20, 30, 1)]
    assert [path.allowed(step) for step in steps] == [(10,), (1, 2), (20,), (30,), (1,), (END,)]


@pytest.mark.parametrize("texts", [["1", "12"], ["12", "2", "1"], ["A", ""], ["A", "A"]])
def test_texts_that_cannot_be_told_apart(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"the beginning of another"):
        path_of(texts)


@pytest.mark.parametrize("reply", ["", "A", "A > A", "A > B > C", "A>B", "B > A > "])
def test_what_is_no_permutation(reply: str) -> None:
    assert not is_permutation(reply, ["A", "B"])
    assert is_permutation("B > A", ["A", "B"])
