"""Heads shown to the large ranker in several orders, and which of two orders it did better after."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from es_reasonrank.errors import EngineError, InputError
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.rerank.adjuster import Adjuster, Seen
from es_reasonrank.types import Candidate, Outcome, Verdict

NDCG = "nDCG@10"
Policy = Literal["small", "reversed", "random", "learned"]


class Large(Protocol):
    """The large ranker: a judge."""

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """Its verdict on the passages, in the order shown."""


@dataclass(frozen=True)
class Head:
    """What the small ranker put ahead, its best first."""

    query: str
    candidates: tuple[Candidate, ...]
    seen: tuple[Seen, ...]
    """What an adjuster goes by, of each candidate."""
    grades: tuple[int, ...]
    """Each candidate's judged grade."""


@dataclass(frozen=True)
class Trial:
    """An order that a head was shown in, and what came of it."""

    head: int
    shown: tuple[int, ...]
    value: float
    """nDCG@10 of the large ranker's order, over the head's own grades."""


@dataclass(frozen=True)
class Preference:
    """Two orders of a head, the better one first."""

    head: int
    preferred: tuple[int, ...]
    other: tuple[int, ...]


async def values(heads: Sequence[Head], orders: Sequence[Sequence[int]], large: Large) -> list[float]:
    """nDCG@10 after the large ranker was shown each head in an order of its own.

    A window that fails counts as it is served: in the small ranker's order.

    Args:
        heads: one for each order; a head may stand there more than once.
        orders: places of each head as they are shown.

    Raises:
        EngineError: the large ranker's engine failed, which says nothing of an order.
    """

    async def ranked(head: Head, order: Sequence[int]) -> list[str]:
        verdict = await large.judge(head.query, [head.candidates[place] for place in order])
        if verdict.outcome is Outcome.ENGINE_ERROR:
            raise EngineError(verdict.detail, engine="large ranker")
        made = [order[place] for place in verdict.order] if verdict.outcome.ranks else range(len(order))
        return [str(place) for place in made]

    results = await asyncio.gather(*(ranked(head, order) for head, order in zip(heads, orders, strict=True)))
    names = [str(number) for number in range(len(heads))]
    qrels = {
        name: {str(place): grade for place, grade in enumerate(head.grades)}
        for name, head in zip(names, heads, strict=True)
    }
    by_query = measure(qrels, by_place(dict(zip(names, results, strict=True))), [NDCG]).by_query[NDCG]
    return [by_query[name] for name in names]


async def trials(
    number: int, head: Head, large: Large, *, orders: int, seed: int, adjuster: Adjuster | None = None
) -> list[Trial]:
    """Show a head in several orders: the small ranker's, the same reversed, and others by lot.

    Args:
        number: the head's, which the lot depends on.
        orders: how many, at least 2.
        adjuster: one that was trained before: the others are then drawn by its likelihood instead.
    """
    chosen = _orders(head, orders, Random(f"{seed} {number}"), adjuster)
    found = await values([head] * len(chosen), chosen, large)
    return [Trial(number, order, value) for order, value in zip(chosen, found, strict=True)]


def shown(
    policy: Policy, head: Sequence[Seen], *, random: Random | None = None, adjuster: Adjuster | None = None
) -> tuple[int, ...]:
    """Places of a head, given in the small ranker's order, in the order in which a policy shows them.

    Raises:
        InputError: the policy lacks its random numbers or its adjuster.
    """
    places = tuple(range(len(head)))
    match policy:
        case "small":
            return places
        case "reversed":
            return places[::-1]
        case "random" if random is not None:
            return tuple(random.sample(places, len(places)))
        case "learned" if adjuster is not None:
            return adjuster.order(head)
    raise InputError(f"policy {policy!r} needs {'random numbers' if policy == 'random' else 'a trained adjuster'}")


def _orders(head: Head, count: int, random: Random, adjuster: Adjuster | None) -> list[tuple[int, ...]]:
    """Different orders of a head, as many as there are or are wanted."""
    size = len(head.seen)
    found = dict.fromkeys([shown("small", head.seen), shown("reversed", head.seen)])
    scores = adjuster.scores(head.seen) if adjuster else [0.0] * size
    wanted = min(count, math.factorial(size) if size < 9 else count)
    for _ in range(20 * count):
        if len(found) >= wanted:
            break
        # Gumbel noise on the scores draws from their Plackett-Luce distribution.
        keys = [score - math.log(-math.log(random.random() or 1e-12)) for score in scores]
        found[tuple(sorted(range(size), key=lambda place: -keys[place]))] = None
    return list(found)[:count]


def preferences(tried: Sequence[Trial], *, margin: float = 0.01) -> list[Preference]:
    """All pairs of orders of one head whose values differ by more than the margin."""
    groups: dict[int, list[Trial]] = {}
    for trial in tried:
        groups.setdefault(trial.head, []).append(trial)
    return [
        Preference(number, better.shown, worse.shown)
        for number, group in groups.items()
        for better in group
        for worse in group
        if better.value - worse.value > margin
    ]
