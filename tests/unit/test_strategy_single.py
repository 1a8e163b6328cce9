"""The whole list in one window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.rerank.strategies import Standing
from es_reasonrank.rerank.strategies.single import SingleOptions, SingleStrategy
from es_reasonrank.types import Outcome, Verdict
from tests.unit.strategy_judges import Flaky, Perfect, best, ranked, unhurried


@unhurried
@given(st.lists(st.integers(0, 9), min_size=2, max_size=200))
async def test_a_perfect_judges_whole_order_in_one_call(grades: list[int]) -> None:
    judge = Perfect(grades)
    assert await ranked(SingleStrategy(SingleOptions()), judge) == best(grades)
    assert judge.asked == [tuple(range(len(grades)))]


async def test_the_judges_scores_are_kept() -> None:
    standing = Standing(3)
    await SingleStrategy(SingleOptions()).rank(standing, Perfect([0.5, 0.1, 0.9]))
    assert standing.scores == {0: 0.5, 1: 0.1, 2: 0.9}


async def test_an_order_without_scores_is_an_order() -> None:
    class Orders(Perfect):
        def verdict(self, items: object) -> Verdict:
            return Verdict((2, 0, 1), Outcome.REPAIRED)

    standing = Standing(3)
    await SingleStrategy(SingleOptions()).rank(standing, Orders([0, 0, 0]))
    assert standing.result() == (2, 0, 1)
    assert standing.scores == {}


async def test_scores_of_a_failed_window_count_for_nothing() -> None:
    class Confused(Flaky):
        async def __call__(self, items: object) -> Verdict:
            return Verdict((0, 1, 2), Outcome.TRUNCATED, scores=(0.0, 1.0, 2.0))

    standing = Standing(3)
    await SingleStrategy(SingleOptions()).rank(standing, Confused([0, 0, 0]))
    assert standing.result() == (0, 1, 2)
    assert standing.scores == {}
