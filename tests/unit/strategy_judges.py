"""Judges that know every item's grade, and fail or hang as told: for tests of strategies, which never see a text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hypothesis import settings

from es_reasonrank.rerank.strategies import Staged, Standing, Strategy
from es_reasonrank.types import Outcome, Verdict

unhurried = settings(deadline=None)
"""For properties whose examples are long lists: how long one takes says nothing."""


class Perfect:
    """Orders a window by the items' grades, the highest first, and scores each with its grade."""

    def __init__(self, grades: Sequence[float], small: Sequence[float] | None = None) -> None:
        self.grades = grades
        self.small = grades if small is None else small
        self.asked: list[tuple[int, ...]] = []
        self.staged: list[tuple[str, tuple[int, ...]]] = []

    async def __call__(self, items: Sequence[int]) -> Verdict:
        self.asked.append(tuple(items))
        return self.verdict(items)

    async def stage(self, name: str, items: Sequence[int]) -> Staged:
        self.staged.append((name, tuple(items)))
        order = tuple(sorted(items, key=lambda item: -self.small[item]))
        return Staged(order, {item: self.small[item] for item in items})

    def words(self, items: Sequence[int]) -> tuple[int, ...]:
        """An item's number is how long it is."""
        return tuple(items)

    def verdict(self, items: Sequence[int]) -> Verdict:
        order = sorted(range(len(items)), key=lambda place: -self.grades[items[place]])
        return Verdict(tuple(order), Outcome.OK, scores=tuple(self.grades[item] for item in items))


class Flaky(Perfect):
    """Fails where it is told to, by the number of the call; `judged` are the items of windows that did not fail."""

    def __init__(self, grades: Sequence[float], fails: Callable[[int], bool] = lambda number: True) -> None:
        super().__init__(grades)
        self.fails = fails
        self.judged: set[int] = set()

    async def __call__(self, items: Sequence[int]) -> Verdict:
        number = len(self.asked)
        self.asked.append(tuple(items))
        await asyncio.sleep(0)
        if self.fails(number):
            return Verdict.unchanged(len(items), Outcome.MALFORMED)
        self.judged.update(items)
        return self.verdict(items)


class Hanging(Flaky):
    """Answers `answers` calls, then never again; `stuck` is set by the first that it leaves without an answer."""

    def __init__(self, grades: Sequence[float], answers: int) -> None:
        super().__init__(grades, lambda number: False)
        self.answers = answers
        self.stuck = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Verdict:
        if len(self.asked) >= self.answers:
            self.stuck.set()
            await asyncio.Event().wait()
        return await super().__call__(items)


class Lawful(Flaky):
    """Looks at the standing whenever it is asked: a permutation, and the window in its order."""

    def __init__(self, standing: Standing, grades: Sequence[float], fails: Callable[[int], bool]) -> None:
        super().__init__(grades, fails)
        self.standing = standing

    async def __call__(self, items: Sequence[int]) -> Verdict:
        order = self.standing.order
        assert sorted(order) == list(range(len(self.grades)))
        places = [order.index(item) for item in items]
        assert places == sorted(places), "a window is not shown in the standing order"
        assert len(set(items)) == len(items) > 0
        return await super().__call__(items)


class Waves(Perfect):
    """Counts the calls that are under way at the same time: `waves` has one number for each time there were any."""

    def __init__(self, grades: Sequence[float]) -> None:
        super().__init__(grades)
        self.waves: list[int] = []
        self.under_way = 0

    async def __call__(self, items: Sequence[int]) -> Verdict:
        if not self.under_way:
            self.waves.append(0)
        self.waves[-1] += 1
        self.under_way += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.under_way -= 1
        return await super().__call__(items)


async def ranked(strategy: Strategy, judge: Perfect) -> tuple[int, ...]:
    """The order that comes out, best first, checked to be a permutation."""
    standing = Standing(len(judge.grades))
    await strategy.rank(standing, judge)
    assert sorted(standing.order) == list(range(len(judge.grades)))
    assert sorted(standing.result()) == list(range(len(judge.grades)))
    return standing.result()


async def cancelled(strategy: Strategy, judge: Hanging) -> Standing:
    """The standing when nothing more is answered, and the strategy has been cancelled."""
    standing = Standing(len(judge.grades))
    task = asyncio.create_task(strategy.rank(standing, judge))
    waiting = asyncio.create_task(judge.stuck.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    for _ in range(10):  # what was asked before the judge hung is still answered
        await asyncio.sleep(0)
        assert sorted(standing.order) == list(range(len(judge.grades)))
    waiting.cancel()
    task.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)
    assert task.cancelled() or task.exception() is None
    return standing


def best(grades: Sequence[float]) -> tuple[int, ...]:
    """The items by their grades, the highest first; equal ones in the incoming order."""
    return tuple(sorted(range(len(grades)), key=lambda item: -grades[item]))
