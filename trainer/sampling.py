"""Which roll-outs are trained on: group-normalised advantages, and Shuffle-R1's two ways of choosing by them.

Source: Shuffle-R1 (Zhu et al., 2508.05612, and its released code). Roll-outs are numbered as they come, group by
group; a group is all roll-outs of one prompt.

Published settings: 16 roll-outs a prompt, of which pairwise trajectory sampling keeps half (ratio 0.5); a pair's weight
is the sum of both advantages' sizes. The draws of a batch and the power are for a recipe to set. To compare with plain
GRPO, give it the same number of roll-outs and train it on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, stdev

from es_reasonrank.errors import InputError

_NOTHING = 1e-8
"""Below it, a deviation or an advantage is rounding: what trl takes for zero as well."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two roll-outs of one group, from opposite ends."""

    best: int
    worst: int
    weight: float
    """Sum of both advantages' sizes."""

    @property
    def rollouts(self) -> tuple[int, int]:
        """Both numbers."""
        return self.best, self.worst


def still(rewards: Sequence[float]) -> bool:
    """Whether a group's rewards do not vary, so that nothing can be learned from it."""
    return len(rewards) < 2 or stdev(rewards) < _NOTHING


def advantages(rewards: Sequence[float], size: int) -> list[float]:
    """Each reward's distance from its group's mean, by the group's standard deviation (of a sample, as trl takes it).

    Args:
        size: roll-outs of a group. In a group that does not vary, all advantages are 0.

    Raises:
        InputError: the rewards are no whole number of groups.
    """
    found: list[float] = []
    for group in _groups(rewards, size):
        mean, deviation = fmean(group), 0.0 if still(group) else stdev(group)
        found += [(reward - mean) / deviation if deviation else 0.0 for reward in group]
    return found


def silent(advantages: Sequence[float]) -> float:
    """The share of roll-outs without an advantage: they are paid for, and teach nothing."""
    return sum(abs(advantage) < _NOTHING for advantage in advantages) / max(len(advantages), 1)


def pairwise(advantages: Sequence[float], size: int, *, ratio: float = 0.5) -> list[Pair]:
    """Pairwise trajectory sampling: the pairs of highest contrast of each group.

    A group's best roll-out is paired with its worst, the second best with the second worst, and so on; of equal
    advantages, the earlier one counts as the better.

    Args:
        size: roll-outs of a group.
        ratio: share of a group's pairs that is left out; one pair is always kept.

    Returns:
        Group by group, as many of each, those of high contrast first.

    Raises:
        InputError: a group cannot be paired, or the ratio is none.
    """
    if size % 2 or not 0 <= ratio < 1:
        raise InputError(
            f"groups of {size} roll-outs cannot be paired with ratio {ratio}; take an even size, and a ratio below 1"
        )
    kept = max(1, round(size // 2 * (1 - ratio)))
    found: list[Pair] = []
    for number, group in enumerate(_groups(advantages, size)):
        order = sorted(range(size), key=lambda place: -group[place])
        found += [
            Pair(number * size + best, number * size + worst, abs(group[best]) + abs(group[worst]))
            for best, worst in zip(order[:kept], reversed(order), strict=False)
        ]
    return found


def reshuffled(pairs: Sequence[Pair], *, replay_times: int, random: Random, power: float = 1.0) -> list[Pair]:
    """Advantage-based batch shuffle: as many pairs as came, drawn so that those of high weight recur.

    There are `replay_times` draws, independent of one another, and in each of them a pair is drawn at most once, with a
    probability proportional to weight^power among those left. With one draw, each pair comes once.

    Raises:
        InputError: there are no draws.
    """
    if replay_times < 1:
        raise InputError(f"a batch cannot be drawn {replay_times} times; take 1 or more")
    size, more = divmod(len(pairs), replay_times)
    draws = (size + (draw < more) for draw in range(replay_times))
    return [pair for count in draws for pair in _draw(pairs, count, power, random)]


def _draw(pairs: Sequence[Pair], count: int, power: float, random: Random) -> list[Pair]:
    """`count` different pairs, one after the other.

    The largest log(u) / weight are what successive draws would give (Efraimidis and Spirakis, 2006); pairs of weight 0
    come last, in any order.
    """

    def key(pair: Pair) -> tuple[float, float]:
        weight, drawn = pair.weight**power, math.log(1 - random.random())
        return drawn / weight if weight else -math.inf, drawn

    return sorted(pairs, key=key, reverse=True)[:count]


def _groups(values: Sequence[float], size: int) -> list[Sequence[float]]:
    if size < 1 or len(values) % size:
        raise InputError(f"{len(values)} roll-outs are no whole number of groups of {size}")
    return [values[start : start + size] for start in range(0, len(values), size)]
