"""Setwise heapsort: the top k with a perfect judge, and the published number of calls."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies.heapsort import HeapsortOptions, HeapsortStrategy, levels
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Hanging, Perfect, Waves, best, cancelled, ranked, unhurried


def heapsort(children: int = 19, k: int = 10) -> HeapsortStrategy:
    return HeapsortStrategy(HeapsortOptions(children=children, k=k))


class NamesTheBest(Perfect):
    """A setwise judge: the best first, and all others as they were shown."""

    def verdict(self, items: Sequence[int]) -> Verdict:
        first = max(range(len(items)), key=lambda place: self.grades[items[place]])
        return Verdict((first, *(place for place in range(len(items)) if place != first)), Outcome.OK)


def below(node: int, size: int, children: int) -> int:
    """Levels under a node of a heap of `size`."""
    levels_below = 0
    while children * node + 1 < size:
        node = children * node + 1
        levels_below += 1
    return levels_below


def most_calls(size: int, children: int, k: int) -> int:
    """Build: each node that has children sinks to a leaf. Extract: so does the root, in a heap that gets smaller."""
    build = sum(below(node, size, children) for node in range(size))
    return build + sum(below(0, size - taken, children) for taken in range(1, min(k, size)))


@unhurried
@given(
    st.integers(0, 80).flatmap(lambda size: st.permutations(range(size))),
    st.integers(1, 25),
    st.integers(1, 90),
)
async def test_a_perfect_judges_top_k_comes_out_in_order(grades: list[int], children: int, k: int) -> None:
    judge = NamesTheBest(grades)
    order = await ranked(heapsort(children, k), judge)
    assert order[:k] == best(grades)[:k]
    assert all(2 <= len(items) <= children + 1 for items in judge.asked)
    inner = ceil(max(0, len(grades) - 1) / children)
    assert inner <= len(judge.asked) <= most_calls(len(grades), children, k)


@unhurried
@given(st.permutations(range(100)))
async def test_calls_at_depth_100_as_published(grades: list[int]) -> None:
    """(N - 1) / 19 for the heap, then 10 times the logarithm of N to base 19, each rounded up: 6 + 20."""
    judge = NamesTheBest(grades)
    await ranked(heapsort(), judge)
    assert len(judge.asked) <= ceil(99 / 19) + 10 * 2
    assert len(judge.asked) >= 6 + 9


async def test_calls_where_the_incoming_order_is_right() -> None:
    """A window for each node that has children, then one for each of 9, and one more for each whose node has any.

    Those are the items 1 to 4: the last leaves have been taken away from the fifth.
    """
    judge = NamesTheBest(range(100, 0, -1))
    await ranked(heapsort(), judge)
    assert len(judge.asked) == 6 + 9 + 4
    assert judge.asked[:6] == [
        (1, *range(20, 39)),
        (2, *range(39, 58)),
        (3, *range(58, 77)),
        (4, *range(77, 96)),
        (5, *range(96, 100)),
        tuple(range(20)),
    ]
    assert judge.asked[6] == (*range(1, 20), 99)


async def test_a_level_is_asked_at_once() -> None:
    judge = Waves(range(100, 0, -1))
    await ranked(heapsort(), judge)
    assert judge.waves[:2] == [5, 1]
    assert set(judge.waves[1:]) == {1}


async def test_only_the_head_moves() -> None:
    """What lost keeps its incoming order; what won a window on the way stands before what it beat."""
    judge = NamesTheBest([5, 1, 1, 1, 9, 1, 1, 1, 1, 1])
    assert await ranked(heapsort(3, 1), judge) == (4, 0, 1, 2, 3, 5, 6, 7, 8, 9)


async def test_the_best_is_first_once_the_heap_is_built() -> None:
    """100 items, the best at the end: 6 windows bring it to the head, with 9 others still to be found."""
    standing = await cancelled(heapsort(), Hanging([*range(99), 500], 6))
    assert standing.result()[0] == 99


@pytest.mark.parametrize(
    ("size", "children", "expected"),
    [
        (0, 19, []),
        (1, 19, []),
        (2, 19, [[0]]),
        (20, 19, [[0]]),
        (21, 19, [[1], [0]]),
        (100, 19, [[1, 2, 3, 4, 5], [0]]),
        (8, 2, [[3], [1, 2], [0]]),
        (4, 1, [[2], [1], [0]]),
    ],
)
def test_levels(size: int, children: int, expected: list[list[int]]) -> None:
    assert [list(level) for level in levels(size, children)] == expected


@pytest.mark.parametrize("values", [{"children": 0}, {"k": 0}])
def test_impossible_numbers(values: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="should be greater than or equal to 1, not 0"):
        checked(HeapsortOptions, values, where="strategy heapsort")
