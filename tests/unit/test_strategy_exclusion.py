"""Exclusion: n - 1 calls, the whole order where the list fits a window."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies.exclusion import ExclusionOptions, ExclusionStrategy
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Flaky, Hanging, Perfect, best, cancelled, ranked, unhurried


def exclusion(window: int = 20, drop: int = 1) -> ExclusionStrategy:
    return ExclusionStrategy(ExclusionOptions(window=window, drop=drop))


class NamesTheWorst(Perfect):
    """The worst `drop` last, the worst of all at the very end, and all others as they were shown."""

    def __init__(self, grades: Sequence[float], drop: int) -> None:
        super().__init__(grades)
        self.drop = drop

    def verdict(self, items: Sequence[int]) -> Verdict:
        worst = sorted(range(len(items)), key=lambda place: -self.grades[items[place]])[-self.drop :]
        return Verdict((*(place for place in range(len(items)) if place not in worst), *worst), Outcome.OK)


@unhurried
@given(st.permutations(range(30)), st.integers(2, 40), st.data())
async def test_a_perfect_judges_head_comes_out_in_order(grades: list[int], window: int, data: st.DataObject) -> None:
    """The whole list where it fits the window, else the top (window - drop)."""
    drop = data.draw(st.integers(1, window - 1))
    judge = NamesTheWorst(grades, drop)
    order = await ranked(exclusion(window, drop), judge)
    head = 30 if window >= 30 else window - drop
    assert order[:head] == best(grades)[:head]
    assert len(judge.asked) == ceil(29 / drop)


@unhurried
@given(st.integers(2, 120))
async def test_as_many_calls_as_published(size: int) -> None:
    judge = NamesTheWorst(range(size), 1)
    await ranked(exclusion(), judge)
    assert len(judge.asked) == size - 1


async def test_each_step_shows_what_remains() -> None:
    judge = NamesTheWorst([3, 1, 4, 2], 1)
    assert await ranked(exclusion(), judge) == (2, 0, 3, 1)
    assert judge.asked == [(0, 1, 2, 3), (0, 2, 3), (0, 2)]


async def test_of_a_long_list_the_end_is_shown() -> None:
    judge = NamesTheWorst([1, 2, 3, 4, 5], 1)
    assert await ranked(exclusion(window=3), judge) == (4, 3, 0, 1, 2)
    assert judge.asked == [(2, 3, 4), (1, 3, 4), (0, 3, 4), (3, 4)]


async def test_a_failed_step_puts_the_last_aside() -> None:
    judge = Flaky([1, 2, 3], lambda number: number == 0)
    assert await ranked(exclusion(), judge) == (1, 0, 2)
    assert judge.asked == [(0, 1, 2), (0, 1)]


async def test_what_was_put_aside_stays_when_time_is_up() -> None:
    judge = Hanging([1, 5, 0, 2, 4], 2)
    judge.verdict = NamesTheWorst(judge.grades, 1).verdict  # type: ignore[method-assign]
    assert (await cancelled(exclusion(), judge)).result() == (1, 3, 4, 0, 2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"window": 1}, "key 'window': input should be greater than or equal to 2, not 1"),
        ({"drop": 0}, "key 'drop': input should be greater than or equal to 1, not 0"),
        ({"drop": 20}, "drop 20 must be smaller than window 20: nothing would remain"),
    ],
)
def test_impossible_numbers(values: dict[str, int], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(ExclusionOptions, values, where="strategy exclusion")
