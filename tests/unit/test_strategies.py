"""Strategies over a perfect judge: the windows they ask for, and the order that comes out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies import Standing
from es_reasonrank.rerank.strategies.pointwise import PointwiseOptions, PointwiseStrategy
from es_reasonrank.rerank.strategies.sliding import SlidingOptions, SlidingStrategy, windows
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Perfect


def sliding(window: int = 20, stride: int = 10, passes: int = 1) -> SlidingStrategy:
    return SlidingStrategy(SlidingOptions(window=window, stride=stride, passes=passes))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, [(0, 1)]),
        (9, [(0, 9)]),
        (10, [(0, 10)]),
        (11, [(0, 11)]),
        (20, [(0, 20)]),
        (21, [(1, 21), (0, 11)]),
        (25, [(5, 25), (0, 15)]),
        (30, [(10, 30), (0, 20)]),
        (35, [(15, 35), (5, 25), (0, 15)]),
        (100, [(start, start + 20) for start in range(80, -1, -10)]),
        (0, []),
    ],
)
def test_windows_as_published(size: int, expected: list[tuple[int, int]]) -> None:
    """Window 20, stride 10; the published loop leaves exactly 10 candidates out, ours does not."""
    assert list(windows(size, 20, 10)) == expected


@given(st.integers(1, 300), st.integers(2, 40), st.integers(1, 40))
def test_windows_cover_everything_and_overlap(size: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    found = list(windows(size, window, stride))
    assert set().union(*(range(start, end) for start, end in found)) == set(range(size))
    assert found[0][1] == size
    assert found[-1][0] == 0
    assert all(later[1] - earlier[0] == window - stride for earlier, later in itertools.pairwise(found))


@given(st.permutations(range(57)), st.integers(3, 25), st.data())
async def test_sliding_with_a_perfect_judge_brings_up_the_best(
    grades: list[int], window: int, data: st.DataObject
) -> None:
    """One pass brings the overlap's worth of the best to the head, in order."""
    stride = data.draw(st.integers(1, window - 1))
    standing, judge = Standing(len(grades)), Perfect(grades)
    await sliding(window, stride).rank(standing, judge)
    head = window - stride
    assert [grades[item] for item in standing.result()[:head]] == sorted(grades, reverse=True)[:head]
    assert sorted(standing.result()) == list(range(len(grades)))


async def test_sliding_asks_as_often_as_published() -> None:
    judge = Perfect(range(100))
    await sliding().rank(Standing(100), judge)
    assert len(judge.asked) == 9
    judge = Perfect(range(100))
    await sliding(10, 5).rank(Standing(100), judge)
    assert len(judge.asked) == 19
    judge = Perfect(range(100))
    await sliding(passes=3).rank(Standing(100), judge)
    assert len(judge.asked) == 27


@pytest.mark.parametrize("values", [{"stride": 0}, {"window": 5, "stride": 6}, {"window": 1}, {"passes": 0}])
def test_numbers_that_make_no_window(values: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        checked(SlidingOptions, values, where="strategy sliding")


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40))
async def test_pointwise_sorts_by_score_and_keeps_equals_in_order(grades: list[int]) -> None:
    standing, judge = Standing(len(grades)), Perfect(grades)
    await PointwiseStrategy(PointwiseOptions()).rank(standing, judge)
    assert standing.result() == tuple(sorted(range(len(grades)), key=lambda item: -grades[item]))
    assert sorted(judge.asked) == [(item,) for item in range(len(grades))]


async def test_pointwise_asks_all_at_once() -> None:
    """Every call is under way before the first one ends."""
    arrived = asyncio.Event()
    waiting = 0

    class Barrier(Perfect):
        async def __call__(self, items: Sequence[int]) -> Verdict:
            nonlocal waiting
            waiting += 1
            if waiting == 30:
                arrived.set()
            await asyncio.wait_for(arrived.wait(), timeout=5)
            return await super().__call__(items)

    standing = Standing(30)
    await PointwiseStrategy(PointwiseOptions()).rank(standing, Barrier(range(30)))
    assert standing.result() == tuple(range(29, -1, -1))


async def test_pointwise_puts_what_has_no_score_behind() -> None:
    class Gone(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            return Verdict.unchanged(1, Outcome.ENGINE_ERROR, "gone") if items[0] == 0 else super().verdict(items)

    standing = Standing(4)
    await PointwiseStrategy(PointwiseOptions()).rank(standing, Gone(range(4)))
    assert standing.result() == (3, 2, 1, 0)
