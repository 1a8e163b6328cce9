"""Top-down partitioning: the top k with a perfect judge, the published number of calls, and all chunks at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies import Standing
from es_reasonrank.rerank.strategies.partition import PartitionOptions, PartitionStrategy
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Flaky, Hanging, Perfect, Waves, best, cancelled, ranked, unhurried


def partition(window: int = 20, k: int = 10, budget: int | None = None) -> PartitionStrategy:
    return PartitionStrategy(PartitionOptions(window=window, k=k, budget=budget))


def descending(size: int) -> list[int]:
    return list(range(size, 0, -1))


def hidden(size: int, count: int) -> list[int]:
    """The incoming order is right but for the `count` best, which stand last."""
    return [*range(size - count, 0, -1), *range(size, size - count, -1)]


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, int]:
    window = draw(st.integers(2, 30))
    return window, draw(st.integers(1, window - 1))


@unhurried
@given(st.integers(0, 120).flatmap(lambda size: st.permutations(range(size))), numbers())
async def test_a_perfect_judges_top_k_comes_out_in_order(grades: list[int], options: tuple[int, int]) -> None:
    window, k = options
    judge = Perfect(grades)
    order = await ranked(partition(window, k), judge)
    head = len(grades) if len(grades) <= window else k
    assert order[:head] == best(grades)[:head]
    assert all(2 <= len(items) <= window for items in judge.asked)


@unhurried
@given(st.integers(2, 300), numbers())
async def test_calls_where_nothing_beats_the_pivot(size: int, options: tuple[int, int]) -> None:
    """The first window, and the rest in chunks of window - 1."""
    window, k = options
    judge = Perfect(descending(size))
    await ranked(partition(window, k), judge)
    assert len(judge.asked) == 1 + ceil(max(0, size - window) / (window - 1))


@unhurried
@given(st.integers(1, 11))
async def test_calls_at_depth_100_as_published(count: int) -> None:
    """6 where nothing beats the pivot, 7 where the candidates, it excluded, fit a window; sliding takes 9."""
    judge = Perfect(descending(100))
    await ranked(partition(), judge)
    assert len(judge.asked) == 6
    judge = Perfect(hidden(100, count))
    await ranked(partition(), judge)
    assert len(judge.asked) == 7
    assert len(judge.asked[-1]) == 9 + count


@unhurried
@given(st.permutations(range(100)), st.integers(10, 20))
async def test_a_budget_holds_the_calls_to_7_at_depth_100(grades: list[int], budget: int) -> None:
    judge = Perfect(grades)
    await ranked(partition(budget=budget), judge)
    assert len(judge.asked) <= 7


@unhurried
@given(st.permutations(range(60)), numbers(), st.data())
async def test_with_a_budget_the_top_k_where_the_candidates_fit_it(
    grades: list[int], options: tuple[int, int], data: st.DataObject
) -> None:
    window, k = options
    budget = data.draw(st.integers(k, window))
    judge = Perfect(grades)
    order = await ranked(partition(window, k, budget), judge)
    if len(grades) > window:
        pivot = sorted(grades[:window], reverse=True)[k - 1]
        if sum(grade > pivot for grade in grades) <= budget:
            assert order[:k] == best(grades)[:k]


async def test_what_exceeds_the_budget_stays_ahead_of_the_pivot() -> None:
    """Window 4, k 2: items 4 to 9 beat the pivot, item 1; the budget takes 0 and the first two of them."""
    grades = [9, 8, 0, 0, 20, 21, 22, 23, 24, 25]
    judge = Perfect(grades)
    order = await ranked(partition(4, 2, 3), judge)
    assert judge.asked == [(0, 1, 2, 3), (1, 4, 5, 6), (1, 7, 8, 9), (0, 6, 5)]
    assert order == (6, 5, 0, 4, 9, 8, 7, 1, 2, 3)


class Enthusiast(Perfect):
    """Finds everything better than what it is shown first."""

    def verdict(self, items: Sequence[int]) -> Verdict:
        return Verdict(tuple(range(len(items) - 1, -1, -1)), Outcome.OK)


@unhurried
@given(st.integers(0, 80), numbers())
async def test_no_judge_makes_it_go_on_for_ever(size: int, options: tuple[int, int]) -> None:
    """A round leaves at least the pivot and the window behind it: window - k + 1 passages."""
    window, k = options
    judge = Enthusiast([0] * size)
    await ranked(partition(window, k), judge)
    rounds = range(size, 1, -(window - k + 1))
    assert len(judge.asked) <= sum(1 + ceil(max(0, left - window) / (window - 1)) for left in rounds)


async def test_the_rest_is_compared_at_once() -> None:
    judge = Waves(hidden(100, 3))
    await ranked(partition(), judge)
    assert judge.waves == [1, 5, 1]


async def test_chunks_as_published() -> None:
    """The pivot, which stands at place 10, in front of 19 others; the last chunk is what is left."""
    judge = Perfect(descending(62))
    await ranked(partition(), judge)
    assert judge.asked == [
        tuple(range(20)),
        (9, *range(20, 39)),
        (9, *range(39, 58)),
        (9, *range(58, 62)),
    ]


async def test_a_failed_chunk_stays_behind_and_the_others_count() -> None:
    judge = Flaky(hidden(30, 1), lambda number: number == 1)
    order = await ranked(partition(10, 3), judge)
    assert order == (29, *range(29))
    judge = Flaky(hidden(30, 1), lambda number: number == 3)
    assert await ranked(partition(10, 3), judge) == tuple(range(30))


async def test_a_chunk_counts_as_soon_as_it_is_answered() -> None:
    """Two chunks; the second is never answered."""
    standing = await cancelled(partition(10, 3), Hanging([*hidden(19, 1), *range(9)], 2))
    assert standing.result() == (0, 1, 18, *range(2, 18), *range(19, 28))


async def test_random_lists_cost_more_than_typical_ones() -> None:
    """Where the first stage tells nothing, half of the list beats the first pivot, and is partitioned again."""
    counts = []
    for seed in range(50):
        judge = Perfect(random.Random(seed).sample(range(100), 100))
        await partition().rank(Standing(100), judge)
        counts.append(len(judge.asked))
    assert 7 < sum(counts) / len(counts) < 13


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"window": 1}, "key 'window': input should be greater than or equal to 2, not 1"),
        ({"k": 0}, "key 'k': input should be greater than or equal to 1, not 0"),
        ({"k": 20}, "k 20 must be smaller than window 20: a pivot needs passages behind it"),
        ({"budget": 9}, "budget 9 is smaller than k 10: the head would be cut"),
        ({"pivot": 3}, "unknown key 'pivot'"),
    ],
)
def test_impossible_numbers(values: dict[str, int], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(PartitionOptions, values, where="strategy partition")
