"""The orders in which candidates are shown: shuffled to measure what that changes, or several to even it out.

Sources: RankGPT (Sun et al., 2304.09542) shows how much a random incoming order costs; permutation self-consistency,
Tang et al., 2310.07712.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from es_reasonrank.validation import Checked


class Orders(Checked):
    """How often a list is ranked, and from which incoming orders."""

    shuffle_seed: int | None = Field(None, description="Seed that shuffles the candidates first; unset: base order.")
    consistency: int = Field(
        1, ge=1, le=64, description="Orders that are ranked at once and joined; those behind the first are shuffled."
    )
    seed: int = Field(0, description="Seed of these other orders.")


def arrangements(orders: Orders, size: int) -> list[list[int]]:
    """The incoming orders of `size` items: each a permutation, the first one the base order unless it is shuffled.

    >>> arrangements(Orders(), 3)
    [[0, 1, 2]]
    """
    first = None if orders.shuffle_seed is None else f"first {orders.shuffle_seed}"
    seeds = [first, *(f"{orders.seed} {number}" for number in range(1, orders.consistency))]
    return [list(range(size)) if seed is None else random.Random(seed).sample(range(size), size) for seed in seeds]


def borda(results: Sequence[Sequence[int]], size: int) -> list[float]:
    """Each item's mean of (size - place) / size over several orders of all items; the best place is 0.

    >>> borda([[0, 1], [0, 1]], 2)
    [1.0, 0.5]
    """
    sums = [0.0] * size
    for result in results:
        for place, item in enumerate(result):
            sums[item] += (size - place) / size
    return [total / len(results) for total in sums]
