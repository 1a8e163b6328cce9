"""Team-draft interleaving: two orders mixed into one, so that clicks tell which of them users prefer.

Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008, section 3.2.
The two orders draft like captains who choose their teams: in each round a coin says who picks first, then each puts
its best result that is not yet there. A click counts for the team that put the result. An order that is no better
than the other wins and loses the same number of clicks in the mean, wherever on the page users click.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from es_reasonrank.evaluation.rollout_log import Team


def team_draft(base: Sequence[int], reranked: Sequence[int], *, seed: str) -> tuple[tuple[int, ...], tuple[Team, ...]]:
    """The mixed order, and the team that put each of its places. The same seed gives the same mixture.

    Args:
        base: the first stage's order.
        reranked: the same items in the ranker's order.
        seed: what the coins are drawn from.

    Raises:
        ValueError: the two orders do not hold the same items, once each.
    """
    if len(set(base)) != len(base) or sorted(base) != sorted(reranked):
        raise ValueError("the two orders do not hold the same items")
    ranked: dict[Team, Sequence[int]] = {"base": base, "reranked": reranked}
    order: dict[int, Team] = {}
    for base_first in _coins(seed, (len(base) + 1) // 2):
        captains: tuple[Team, Team] = ("base", "reranked") if base_first else ("reranked", "base")
        for team in captains:
            _pick(order, team, ranked[team])
    return tuple(order), tuple(order.values())


def _pick(order: dict[int, Team], team: Team, ranked: Sequence[int]) -> None:
    """Put a team's best item that is not yet there, if any is left."""
    best = next((item for item in ranked if item not in order), None)
    if best is not None:
        order[best] = team


def _coins(seed: str, number: int) -> Iterator[bool]:
    """Fair coins. They come from a hash, so that every process, machine and release of Python tosses the same."""
    tossed = hashlib.shake_256(seed.encode()).digest((number + 7) // 8)
    return (bool(tossed[place // 8] >> place % 8 & 1) for place in range(number))
