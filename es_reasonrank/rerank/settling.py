"""From what a strategy brought about to the ranking that its caller gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from es_reasonrank.rerank.fusion import Fusion, fused
from es_reasonrank.rerank.orders import borda
from es_reasonrank.rerank.session import Session
from es_reasonrank.rerank.strategies import Standing
from es_reasonrank.types import Candidate, Ranking, Trace


@dataclass
class Attempt:
    """The ranking from one incoming order: the session's item 3 is item `arrangement[3]` of the base order."""

    session: Session
    arrangement: Sequence[int]
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        self.standing = Standing(len(self.arrangement))

    async def run(self) -> None:
        """Let the strategy work."""
        await self.session.ranker.strategy.rank(self.standing, self.session)

    @property
    def ranked(self) -> bool:
        """Whether any window named an order."""
        return any(window.outcome.ranks for window in self.session.windows)

    @property
    def result(self) -> list[int]:
        """Items of the base order, best first."""
        return [self.arrangement[item] for item in self.standing.result()]

    @property
    def scores(self) -> dict[int, float]:
        """The judge's scores by items of the base order."""
        return {self.arrangement[item]: score for item, score in self.standing.scores.items()}


def settled(
    query: str,
    candidates: tuple[Candidate, ...],
    movable: Sequence[int],
    attempts: Sequence[Attempt],
    fusion: Fusion,
    trace: Trace,
) -> Ranking:
    """The movable candidates in their new order at the places they had; all others where they were.

    An attempt of which no window named an order counts for nothing; where none did, the base order stays.
    """
    result, scores = _joined([attempt for attempt in attempts if attempt.ranked], len(movable))
    if fusion.method != "none" and any(attempt.ranked for attempt in attempts):
        new = (
            [scores.get(item, 0.0) for item in range(len(movable))]
            if len(scores) == len(movable)
            else _by_place(result)
        )
        joined = fused(fusion, [candidates[place].score for place in movable], new)
        result = sorted(result, key=lambda item: -joined[item])
        scores = dict(enumerate(joined))
    order = list(range(len(candidates)))
    for place, item in zip(movable, result, strict=True):
        order[place] = movable[item]
    judged = {movable[item]: score for item, score in scores.items()}
    return Ranking(query, candidates, tuple(order), _descending(order, judged), trace)


def _joined(attempts: Sequence[Attempt], size: int) -> tuple[list[int], dict[int, float]]:
    """Items of the base order, best first, and their scores where there are any."""
    if not attempts:
        return list(range(size)), {}
    if len(attempts) == 1:
        return attempts[0].result, attempts[0].scores
    means = borda([attempt.result for attempt in attempts], size)
    return sorted(range(size), key=lambda item: -means[item]), dict(enumerate(means))


def _by_place(result: Sequence[int]) -> list[float]:
    """(size - place) / size for each item of the base order, the best place being 0."""
    scores = [0.0] * len(result)
    for place, item in enumerate(result):
        scores[item] = (len(result) - place) / len(result)
    return scores


def _descending(order: Sequence[int], judged: Mapping[int, float]) -> tuple[float, ...]:
    """One score a place, never increasing. One without a judge's score takes its upper neighbour's."""
    size = len(order)
    if not judged:
        return tuple((size - place) / size for place in range(size))
    level = max(judged.values())
    scores = []
    for index in order:
        level = min(level, judged.get(index, level))
        scores.append(level)
    return tuple(scores)
