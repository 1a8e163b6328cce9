"""The cascade: the small ranker over all, the large one once over the head, in an adjusted order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import DataError, SettingsError
from es_reasonrank.rerank.adjuster import Adjuster
from es_reasonrank.rerank.strategies.cascade import CascadeOptions, CascadeStrategy, Order
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Flaky, Hanging, Perfect, best, cancelled, ranked, unhurried


def cascade(head: int = 20, adjuster: Order = "small", seed: int = 0) -> CascadeStrategy:
    return CascadeStrategy(CascadeOptions(small="encoder", head=head, adjuster=adjuster, seed=seed))


adjusters = st.sampled_from(["small", "reversed", "incoming", "random"])


@unhurried
@given(st.permutations(range(40)), st.permutations(range(40)), st.integers(2, 50), adjusters)
async def test_the_large_ranker_decides_on_the_head(
    grades: list[int], small: list[int], head: int, adjuster: Order
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
async def test_orders_in_which_the_head_is_shown(adjuster: Order, shown: tuple[int, ...]) -> None:
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


LONGEST = Adjuster(("length",), ((1.0, 0.0), (-1.0, 0.0)), (1.0, -1.0))
"""Its score is the logarithm of a passage's words, less the mean: what is longest is shown first."""
WORST = Adjuster(("score",), ((-1.0, 1.0),), (1.0,))
"""Its score is 1 - the small ranker's."""


def learned(adjuster: Adjuster, folder: Path, head: int = 20) -> CascadeStrategy:
    adjuster.save(folder)
    return CascadeStrategy(CascadeOptions(small="encoder", head=head, adjuster="learned", learned=folder))


@pytest.mark.parametrize(("adjuster", "shown"), [(LONGEST, (4, 3, 1)), (WORST, (3, 1, 4))])
async def test_the_learned_order_goes_by_lengths_and_the_small_rankers_scores(
    adjuster: Adjuster, shown: tuple[int, ...], tmp_path: Path
) -> None:
    """The small ranker's best are 4, 1 and 3, and an item has as many words as its number says."""
    judge = Perfect([0] * 5, small=[1, 4, 2, 3, 5])
    await ranked(learned(adjuster, tmp_path, head=3), judge)
    assert judge.asked == [shown]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> CascadeStrategy:
    return learned(LONGEST, tmp_path_factory.mktemp("adjuster"))


@unhurried
@given(grades=st.permutations(range(40)), small=st.permutations(range(40)))
async def test_whatever_is_learned_the_large_ranker_decides(
    trained: CascadeStrategy, grades: list[int], small: list[int]
) -> None:
    judge = Perfect(grades, small)
    order = await ranked(trained, judge)
    head = best(small)[:20]
    assert order == (*sorted(head, key=lambda item: -grades[item]), *best(small)[20:])
    assert judge.asked == [tuple(sorted(head, reverse=True))]


@unhurried
@given(small=st.permutations(range(30)))
async def test_a_learned_order_promotes_nothing_by_itself(trained: CascadeStrategy, small: list[int]) -> None:
    """Where the large ranker fails, or time is up while it reads, the small one's order stands."""
    failing, hanging = Flaky([0] * 30), Hanging([0] * 30, 0)
    failing.small = hanging.small = small
    assert await ranked(trained, failing) == best(small)
    assert (await cancelled(trained, hanging)).result() == best(small)


def test_an_adjuster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: cannot be read: No such file"):
        CascadeStrategy(CascadeOptions(small="encoder", adjuster="learned", learned=tmp_path / "nowhere"))


@unhurried
@given(st.permutations(range(30)), adjusters)
async def test_where_the_large_ranker_fails_the_small_ones_order_stands(small: list[int], adjuster: Order) -> None:
    class Failing(Perfect):
        def verdict(self, items: Sequence[int]) -> Verdict:
            return Verdict.unchanged(len(items), Outcome.TRUNCATED)

    assert await ranked(cascade(adjuster=adjuster), Failing([0] * 30, small)) == best(small)


@unhurried
@given(st.permutations(range(30)), adjusters)
async def test_where_time_is_up_the_small_ones_order_stands(small: list[int], adjuster: Order) -> None:
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
            {"small": "encoder", "adjuster": "best"},
            "key 'adjuster': input should be 'small', 'reversed'",
        ),
        ({"small": "encoder", "adjuster": "learned"}, "adjuster: learned and the key 'learned'"),
        ({"small": "encoder", "learned": "adjuster"}, "adjuster: learned and the key 'learned'"),
    ],
)
def test_impossible_options(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(CascadeOptions, values, where="strategy cascade")
