"""The cascade: the small ranker over all, the large one once over the head, in an adjusted order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies.cascade import Adjuster, CascadeOptions, CascadeStrategy
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Hanging, Perfect, best, cancelled, ranked, unhurried


def cascade(head: int = 20, adjuster: Adjuster = "small", seed: int = 0) -> CascadeStrategy:
    return CascadeStrategy(CascadeOptions(small="encoder", head=head, adjuster=adjuster, seed=seed))


adjusters = st.sampled_from(["small", "reversed", "incoming", "random"])


@unhurried
@given(st.permutations(range(40)), st.permutations(range(40)), st.integers(2, 50), adjusters)
async def test_the_large_ranker_decides_on_the_head(
    grades: list[int], small: list[int], head: int, adjuster: Adjuster
) -> None:
    """Its order for the small one's best, whatever order they are shown in; behind them the small one's."""
    judge = Perfect(grades, small)
    order = await ranked(cascade(head, adjuster), judge)
    by_small = best(small)
    assert order[:head] == tuple(sorted(by_small[:head], key=lambda item: -grades[item]))
    assert order[head:] == by_small[head:]
    assert judge.staged == [("small", tuple(range(40)))]
    assert len(judge.asked) == 1
    assert set(judge.asked[0]) == set(by_small[:head])


@pytest.mark.parametrize(
    ("adjuster", "shown"),
    [("small", (4, 1, 3)), ("reversed", (3, 1, 4)), ("incoming", (1, 3, 4))],
)
async def test_orders_in_which_the_head_is_shown(adjuster: Adjuster, shown: tuple[int, ...]) -> None:
    judge = Perfect([0] * 5, small=[1, 4, 2, 3, 5])
    await ranked(cascade(3, adjuster), judge)
    assert judge.asked == [shown]


async def test_the_random_order_is_seeded() -> None:
    async def shown(seed: int) -> tuple[int, ...]:
        judge = Perfect(range(40))
        await ranked(cascade(adjuster="random", seed=seed), judge)
        return judge.asked[0]

    assert await shown(1) == await shown(1)
    assert await shown(1) != await shown(2)
    assert sorted(await shown(1)) == list(range(20, 40))


@unhurried
@given(st.permutations(range(30)), adjusters)
async def test_where_the_large_ranker_fails_the_small_ones_order_stands(small: list[int], adjuster: Adjuster) -> None:
    class Failing(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            return Verdict.unchanged(len(items), Outcome.TRUNCATED)

    assert await ranked(cascade(adjuster=adjuster), Failing([0] * 30, small)) == best(small)


@unhurried
@given(st.permutations(range(30)), adjusters)
async def test_where_time_is_up_the_small_ones_order_stands(small: list[int], adjuster: Adjuster) -> None:
    judge = Hanging([0] * 30, 0)
    judge.small = small
    assert (await cancelled(cascade(adjuster=adjuster), judge)).result() == best(small)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "key 'small' is missing"),
        ({"small": ""}, "key 'small': string should have at least 1 character"),
        ({"small": "encoder", "head": 1}, "key 'head': input should be greater than or equal to 2, not 1"),
        (
            {"small": "encoder", "adjuster": "learned"},
            "key 'adjuster': input should be 'small', 'reversed'",
        ),
    ],
)
def test_impossible_options(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(CascadeOptions, values, where="strategy cascade")
