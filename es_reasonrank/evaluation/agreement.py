"""How much two orders of the same items agree."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean


def overlap(one: Sequence[str], other: Sequence[str], depth: int) -> float:
    """Share of the first `depth` items that both orders have there."""
    size = min(depth, len(one))
    return len(set(one[:size]) & set(other[:size])) / size if size else 1.0


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], persistence: float = 0.9) -> float:
    """Agreement at every depth, the top weighing most: 1 for the same order.

    Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM TOIS 2010, extrapolated
    for two orders of the same items, whose agreement at full depth is 1. With a persistence of 0.9 the first ten
    places have 86 % of the weight.
    """
    seen_one: set[str] = set()
    seen_other: set[str] = set()
    common, total, weight = 0, 0.0, 1.0
    for depth, (left, right) in enumerate(zip(one, other, strict=True), start=1):
        seen_one.add(left)
        seen_other.add(right)
        common += (left in seen_other) + (right in seen_one) - (left == right)
        total += weight * common / depth
        weight *= persistence
    return (1 - persistence) * total + weight


def mean_move(one: Sequence[str], other: Sequence[str]) -> float:
    """By how many places an item moves, in the mean over all items."""
    places = {item: place for place, item in enumerate(other)}
    return fmean(abs(place - places[item]) for place, item in enumerate(one)) if one else 0.0
