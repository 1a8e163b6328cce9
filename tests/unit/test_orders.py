"""Incoming orders that are shuffled, and several of them joined."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank import Reranker, Status
from es_reasonrank.engines.base import Request
from es_reasonrank.rerank.orders import Orders, arrangements, borda
from tests.unit.fakes import ScriptedEngine, listwise

DOCUMENTS = [f"grade {grade}" for grade in (1, 3, 0, 2)]


@given(st.integers(0, 40), st.integers(0, 5), st.integers(1, 5))
def test_every_arrangement_is_a_permutation_and_the_same_again(size: int, seed: int, count: int) -> None:
    orders = Orders(shuffle_seed=seed, consistency=count, seed=seed)
    found = arrangements(orders, size)
    assert len(found) == count
    assert all(sorted(order) == list(range(size)) for order in found)
    assert found == arrangements(orders, size)


def test_seeds_differ_and_the_first_is_the_base_order() -> None:
    base, *others = arrangements(Orders(consistency=4), 20)
    assert base == list(range(20))
    assert len({tuple(order) for order in (base, *others)}) == 4
    assert arrangements(Orders(shuffle_seed=1), 20) != arrangements(Orders(shuffle_seed=2), 20)


@given(st.permutations(range(7)))
def test_borda_of_one_order_is_that_order(order: list[int]) -> None:
    means = borda([order], 7)
    assert sorted(range(7), key=lambda item: -means[item]) == order


def by_grade(request: Request) -> str:
    """The order of the window's grades, whatever order they are shown in."""
    grades = [int(grade) for grade in re.findall(r"^\[\d+\] grade (\d)", request.messages[-1]["content"], re.MULTILINE)]
    return " > ".join(f"[{place + 1}]" for place in sorted(range(len(grades)), key=lambda place: -grades[place]))


async def test_a_ranker_without_bias_is_not_moved_by_the_order_shown() -> None:
    engine = ScriptedEngine(by_grade)
    for orders in (Orders(), Orders(shuffle_seed=3), Orders(consistency=3)):
        profile = listwise().model_copy(update={"orders": orders})
        ranking = await Reranker.load(profile, engine=engine).arank("why", DOCUMENTS)
        assert ranking.order == (1, 3, 0, 2)
        assert len(ranking.trace.windows) == orders.consistency
    assert len({request.messages[-1]["content"] for request in engine.requests}) >= 4


async def test_an_order_that_failed_counts_for_nothing() -> None:
    replies = iter(["nothing", "[4] > [3] > [2] > [1]", "nothing"])
    profile = listwise().model_copy(update={"orders": Orders(consistency=3)})
    ranking = await Reranker.load(profile, engine=ScriptedEngine(lambda request: next(replies))).arank("why", DOCUMENTS)
    shown = ranking.trace.windows[1].shown
    assert ranking.order == shown[::-1]
    assert ranking.trace.status is Status.PARTIAL


async def test_where_all_fail_the_base_order_stays() -> None:
    profile = listwise().model_copy(update={"orders": Orders(shuffle_seed=1, consistency=2)})
    ranking = await Reranker.load(profile, engine=ScriptedEngine(lambda request: "no")).arank("why", DOCUMENTS)
    assert ranking.order == (0, 1, 2, 3)
    assert ranking.trace.status is Status.FAILED
