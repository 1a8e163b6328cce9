"""What holds for every strategy: nothing is lost, a failure promotes nothing, a deadline may strike at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.rerank.strategies import Standing, Strategy
from es_reasonrank.rerank.strategies.cascade import CascadeStrategy
from es_reasonrank.rerank.strategies.exclusion import ExclusionStrategy
from es_reasonrank.rerank.strategies.groups import GroupsStrategy
from es_reasonrank.rerank.strategies.heapsort import HeapsortStrategy
from es_reasonrank.rerank.strategies.partition import PartitionStrategy
from es_reasonrank.rerank.strategies.pointwise import PointwiseStrategy
from es_reasonrank.rerank.strategies.single import SingleStrategy
from es_reasonrank.rerank.strategies.sliding import SlidingStrategy
from es_reasonrank.rerank.strategies.tournament import TournamentStrategy
from tests.unit.strategy_judges import Flaky, Hanging, Lawful, Perfect, cancelled, ranked, unhurried

CLASSES: list[type[Strategy]] = [
    SlidingStrategy,
    SingleStrategy,
    PartitionStrategy,
    HeapsortStrategy,
    ExclusionStrategy,
    PointwiseStrategy,
    TournamentStrategy,
    GroupsStrategy,
    CascadeStrategy,
]
every = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
reruns = pytest.mark.parametrize("kind", [each for each in CLASSES if each is not CascadeStrategy])


@st.composite
def plans(draw: st.DrawFn) -> list[dict[str, int]]:
    sizes = draw(st.lists(st.integers(3, 9), min_size=1, max_size=3))
    return [{"size": size, "advance": draw(st.integers(1, size - 1))} for size in sizes]


@st.composite
def partitions(draw: st.DrawFn) -> dict[str, Any]:
    window = draw(st.integers(2, 12))
    k = draw(st.integers(1, window - 1))
    return {"window": window, "k": k, "budget": draw(st.none() | st.integers(k, 2 * window))}


@st.composite
def steps(draw: st.DrawFn, name: str, most: int) -> dict[str, Any]:
    window = draw(st.integers(2, 12))
    return {"window": window, name: draw(st.integers(1, window - 1 + most))}


small = st.integers(1, 4)
OPTIONS: dict[type[Strategy], st.SearchStrategy[dict[str, Any]]] = {
    SlidingStrategy: steps("stride", 1),
    SingleStrategy: st.just({}),
    PartitionStrategy: partitions(),
    HeapsortStrategy: st.fixed_dictionaries({"children": st.integers(1, 12), "k": st.integers(1, 50)}),
    ExclusionStrategy: steps("drop", 0),
    PointwiseStrategy: st.just({}),
    TournamentStrategy: st.fixed_dictionaries({"plan": plans(), "rounds": small, "seed": st.integers()}),
    GroupsStrategy: st.fixed_dictionaries({"size": st.integers(2, 12), "rounds": small, "seed": st.integers()}),
    CascadeStrategy: st.fixed_dictionaries(
        {
            "small": st.just("encoder"),
            "head": st.integers(2, 12),
            "adjuster": st.sampled_from(["small", "reversed", "incoming", "random"]),
        }
    ),
}


def made(kind: type[Strategy], data: st.DataObject) -> Strategy:
    return kind(kind.options_model.model_validate(data.draw(OPTIONS[kind], label="options")))


def failing(data: st.DataObject) -> Callable[[int], bool]:
    pattern = data.draw(st.lists(st.booleans(), min_size=1, max_size=20), label="fails")
    return lambda number: pattern[number % len(pattern)]


lists = st.lists(st.integers(0, 9), max_size=60)


@every
@unhurried
@given(lists, st.data())
async def test_nothing_is_lost_whatever_fails(kind: type[Strategy], grades: list[int], data: st.DataObject) -> None:
    await ranked(made(kind, data), Flaky(grades, failing(data)))


@every
@unhurried
@given(st.lists(st.integers(0, 9), max_size=60), st.data())
async def test_where_all_fails_the_incoming_order_comes_out(
    kind: type[Strategy], grades: list[int], data: st.DataObject
) -> None:
    """The small ranker of a cascade is no window: here it keeps the incoming order itself."""
    judge = Flaky(grades)
    judge.small = [0] * len(grades)
    assert await ranked(made(kind, data), judge) == tuple(range(len(grades)))


@reruns
@unhurried
@given(lists, st.data())
async def test_what_no_window_judged_keeps_its_order(
    kind: type[Strategy], grades: list[int], data: st.DataObject
) -> None:
    """A window that failed moves none of its items: those that were in no other stay in line."""
    judge = Flaky(grades, failing(data))
    order = await ranked(made(kind, data), judge)
    untouched = [item for item in order if item not in judge.judged]
    assert untouched == sorted(untouched)


@every
@unhurried
@given(lists, st.integers(0, 40), st.data())
async def test_a_deadline_at_any_moment_leaves_a_complete_order(
    kind: type[Strategy], grades: list[int], answers: int, data: st.DataObject
) -> None:
    judge = Hanging(grades, answers)
    judge.small = [0] * len(grades)
    standing = await cancelled(made(kind, data), judge)
    assert sorted(standing.result()) == list(range(len(grades)))
    untouched = [item for item in standing.result() if item not in judge.judged]
    assert untouched == sorted(untouched)
    if not answers:
        assert standing.result() == tuple(range(len(grades)))


@pytest.mark.parametrize("kind", [each for each in CLASSES if each is not TournamentStrategy])
@unhurried
@given(lists, st.integers(0, 40), st.data())
async def test_a_window_that_fails_is_as_if_it_was_not_asked(
    kind: type[Strategy], grades: list[int], answers: int, data: st.DataObject
) -> None:
    """Failures from some call on leave what a deadline at that call leaves.

    A stage of a tournament whose other groups have failed counts; one that time has cut does not.
    """
    strategy = made(kind, data)
    order = await ranked(strategy, Flaky(grades, lambda number: number >= answers))
    assert order == (await cancelled(strategy, Hanging(grades, answers))).result()


@reruns
@unhurried
@given(lists, st.data())
async def test_windows_are_shown_in_the_standing_order(
    kind: type[Strategy], grades: list[int], data: st.DataObject
) -> None:
    """Several tournaments share one standing; each shows its own, so here there is one."""
    options = data.draw(OPTIONS[kind], label="options")
    if kind is TournamentStrategy:
        options |= {"rounds": 1}
    standing = Standing(len(grades))
    judge = Lawful(standing, grades, failing(data))
    await kind(kind.options_model.model_validate(options)).rank(standing, judge)


@every
@pytest.mark.parametrize("size", [0, 1])
async def test_nothing_is_asked_about_less_than_two(kind: type[Strategy], size: int) -> None:
    options = {"small": "encoder"} if kind is CascadeStrategy else {}
    judge = Perfect([1] * size)
    assert await ranked(kind(kind.options_model.model_validate(options)), judge) == tuple(range(size))
    assert not judge.asked
    assert not judge.staged


@every
async def test_two_candidates_are_enough(kind: type[Strategy]) -> None:
    options = {"small": "encoder"} if kind is CascadeStrategy else {}
    judge = Perfect([1, 2])
    assert await ranked(kind(kind.options_model.model_validate(options)), judge) == (1, 0)
    assert len(judge.asked) == (2 if kind is PointwiseStrategy else 1)


def test_only_the_cascade_asks_another_ranker() -> None:
    assert [kind for kind in CLASSES if kind.stages] == [CascadeStrategy]
    assert all(name in kind.options_model.model_fields for kind in CLASSES for name in kind.stages)
