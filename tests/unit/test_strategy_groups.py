"""Groups: random, seeded, all at once; scores are averaged, and a failed group keeps its places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies import Standing
from es_reasonrank.rerank.strategies.groups import GroupsOptions, GroupsStrategy
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Flaky, Hanging, Perfect, Waves, best, cancelled, ranked, unhurried


def groups(size: int = 20, rounds: int = 1, seed: int = 0) -> GroupsStrategy:
    return GroupsStrategy(GroupsOptions(size=size, rounds=rounds, seed=seed))


@unhurried
@given(
    st.lists(st.integers(0, 10), min_size=2, max_size=90),
    st.integers(2, 30),
    st.integers(1, 4),
    st.integers(),
)
async def test_true_scores_give_the_whole_order(grades: list[int], size: int, rounds: int, seed: int) -> None:
    """Equal ones keep the incoming order. Every draw covers the list once, in groups of equal size."""
    judge = Perfect(grades)
    assert await ranked(groups(size, rounds, seed), judge) == best(grades)
    count = ceil(len(grades) / size)
    assert len(judge.asked) == rounds * count
    for start in range(0, len(judge.asked), count):
        draw = judge.asked[start : start + count]
        assert sorted(item for group in draw for item in group) == list(range(len(grades)))
        sizes = list(map(len, draw))
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= size


async def test_all_groups_of_all_draws_at_once() -> None:
    judge = Waves(range(100))
    await ranked(groups(rounds=3), judge)
    assert judge.waves == [15]


async def test_draws_differ_and_are_seeded() -> None:
    async def asked(seed: int) -> list[tuple[int, ...]]:
        judge = Perfect(range(100))
        await ranked(groups(rounds=2, seed=seed), judge)
        return judge.asked

    first = await asked(7)
    assert first == await asked(7)
    assert first != await asked(8)
    assert set(first[:5]) != set(first[5:])
    assert set(first[:5]) != {tuple(range(start, start + 20)) for start in range(0, 100, 20)}


async def test_scores_are_averaged_over_the_draws() -> None:
    """Three draws of one group: a mean of those that were answered."""
    replies = [(9.0, 1.0, 5.0), None, (0.0, 2.0, 8.0)]

    class Wavering(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            scores = replies[len(self.asked) - 1]
            if scores is None:
                return Verdict.unchanged(len(items), Outcome.EMPTY)
            return Verdict((0, 1, 2), Outcome.OK, scores=scores)

    standing = Standing(3)
    await groups(rounds=3).rank(standing, Wavering([0, 0, 0]))
    assert standing.scores == {0: 4.5, 1: 1.5, 2: 6.5}
    assert standing.result() == (2, 0, 1)


async def test_a_failed_group_keeps_its_places() -> None:
    """Its passages are neither promoted nor put behind, and there are no scores for a part of the list."""
    grades = list(range(40))
    judge = Flaky(grades, lambda number: number == 0)
    standing = Standing(40)
    await groups().rank(standing, judge)
    failed, scored = judge.asked
    order = standing.result()
    assert [order[place] for place in failed] == list(failed)
    assert [order[place] for place in scored] == sorted(scored, reverse=True)
    assert standing.scores == {}


async def test_a_draw_that_failed_is_made_good_by_another() -> None:
    judge = Flaky(list(range(40)), lambda number: number == 0)
    standing = Standing(40)
    await groups(rounds=2).rank(standing, judge)
    assert standing.result() == tuple(range(39, -1, -1))
    assert len(standing.scores) == 40


async def test_a_group_counts_as_soon_as_it_is_answered() -> None:
    judge = Hanging(list(range(40)), 1)
    order = (await cancelled(groups(), judge)).result()
    (scored,) = judge.asked
    assert [order[place] for place in scored] == sorted(scored, reverse=True)
    assert all(order[place] == place for place in range(40) if place not in scored)


async def test_scores_of_a_failed_window_count_for_nothing() -> None:
    class Cut(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            return replace(Verdict.unchanged(len(items), Outcome.TRUNCATED), scores=tuple(map(float, items)))

    assert await ranked(groups(), Cut([0] * 30)) == tuple(range(30))


async def test_an_order_without_scores_is_not_used() -> None:
    class Orders(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            return Verdict(tuple(reversed(range(len(items)))), Outcome.OK)

    assert await ranked(groups(), Orders([0] * 30)) == tuple(range(30))


@pytest.mark.parametrize(("values", "least"), [({"size": 1}, 2), ({"rounds": 0}, 1)])
def test_impossible_numbers(values: dict[str, int], least: int) -> None:
    with pytest.raises(SettingsError, match=f"should be greater than or equal to {least}"):
        checked(GroupsOptions, values, where="strategy groups")
