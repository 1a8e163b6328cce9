"""Cuts by tokens that read no more of a text than they must, and what a text adds to the one before it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.engines.tokens import Offsets, added, cut_by, head_size, single
from es_reasonrank.errors import EngineError


def words(heads: list[str]) -> list[Offsets]:
    """A token a word, with the space before it."""
    return [[match.span() for match in re.finditer(r"\s*\S+", head)] for head in heads]


@given(
    st.lists(st.lists(st.sampled_from(["a", "bb", "c" * 40, "d" * 3000]), max_size=300), max_size=4), st.integers(1, 90)
)
def test_a_cut_is_the_same_as_if_all_were_read(rows: list[list[str]], limit: int) -> None:
    texts = [" ".join(row) for row in rows]
    assert cut_by(words, texts, limit) == [" ".join(row[:limit]) for row in rows]


def test_no_more_is_read_than_a_cut_takes() -> None:
    read = 0

    def counted(heads: list[str]) -> list[Offsets]:
        nonlocal read
        read += sum(map(len, heads))
        return words(heads)

    assert cut_by(counted, ["word " * 1_000_000, "short"], 28) == [("word " * 28).strip(), "short"]
    assert read <= head_size(28) + len("short")


def test_what_a_text_adds() -> None:
    assert added([1, 2], [1, 2, 3], [9]) == [3]
    assert added([1, 2], [1, 7], [9]) == [9]
    assert added([], [4, 5], [4, 5]) == [4, 5]


@pytest.mark.parametrize("tokens", [[], [1, 2]])
def test_a_choice_is_one_token(tokens: list[int]) -> None:
    assert single("A", [7]) == 7
    with pytest.raises(EngineError, match=rf"'A' is {len(tokens)} tokens of this model, not one"):
        single("A", tokens)
