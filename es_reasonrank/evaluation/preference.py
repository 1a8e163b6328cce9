"""What clicks tell of two orders: tests that say how sure one may be, and sentences that say no more than that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, variance

LEVEL = 0.05
POWER = 0.8
PREFERENCE = 0.55
"""The smallest preference that is worth finding: the share of decided searches that one order wins."""
LIFT = 0.1
"""The smallest change of click-through that is worth finding, as a part of base's."""
LEAST_USERS = 30
"""Users that an arm must have for a mean over them to be nearly normal."""


@dataclass(frozen=True)
class Duel:
    """Interleaved searches with clicks. A search is what one user asked: repeats and further pages belong to it."""

    won: int
    """Searches where more clicks went to results that the reranked order had put there."""
    lost: int
    """Searches where more went to those of the base order."""
    tied: int
    clicks_won: int
    clicks_lost: int
    same: int = 0
    """Searches with clicks where both orders were the same, so that clicks tell nothing; not counted above."""
    share: float | None = None
    """Share of the decided searches that the reranked order won."""
    low: float | None = None
    high: float | None = None
    """Ends of the share's 95 % interval (Clopper and Pearson)."""
    p: float | None = None
    """Two-sided p of the sign test. Coins are tossed for each search apart, so searches are independent."""
    more: int = 0
    """About how many more decided searches would show a preference of 55 % four times in five."""

    @property
    def decided(self) -> int:
        """Searches that one order won."""
        return self.won + self.lost


def duel(won: int, lost: int, tied: int, *, clicks_won: int, clicks_lost: int, same: int = 0) -> Duel:
    """Put counted searches to the test."""
    from scipy import stats

    decided = won + lost
    counts = Duel(won, lost, tied, clicks_won, clicks_lost, same, more=max(0, decided_needed() - decided))
    if not decided:
        return counts
    tested = stats.binomtest(won, decided)
    interval = tested.proportion_ci(1 - LEVEL)
    share, p = won / decided, float(tested.pvalue)
    return replace(counts, share=share, low=float(interval.low), high=float(interval.high), p=p)


def decided_needed() -> int:
    """How many decided searches show a preference of `PREFERENCE` with `POWER` (normal approximation)."""
    sure, strong = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)
    spread = sure * 0.5 + strong * math.sqrt(PREFERENCE * (1 - PREFERENCE))
    return math.ceil((spread / (PREFERENCE - 0.5)) ** 2)


@dataclass(frozen=True)
class Difference:
    """A measure of users of two arms: each user counts once, however much he searches."""

    base: float
    reranked: float
    base_users: int
    reranked_users: int
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval of reranked less base."""
    p: float | None = None
    """Two-sided p of Welch's t-test over users; None where there are too few of them."""
    more: int | None = None
    """About how many more users each arm needs to show a change by a tenth; None where it cannot be estimated."""

    @property
    def difference(self) -> float:
        """Reranked less base."""
        return self.reranked - self.base


def difference(base: Sequence[float], reranked: Sequence[float]) -> Difference | None:
    """Put the values of two arms' users to the test; None where an arm has none."""
    if not base or not reranked:
        return None
    found = Difference(fmean(base), fmean(reranked), len(base), len(reranked))
    if min(len(base), len(reranked)) < LEAST_USERS or len({*base, *reranked}) == 1:
        return found
    from scipy import stats

    tested = stats.ttest_ind(reranked, base, equal_var=False)
    interval = tested.confidence_interval(1 - LEVEL)
    needed = users_needed(found.base, (variance(base) + variance(reranked)) / 2)
    more = None if needed is None else max(0, needed - min(len(base), len(reranked)))
    return replace(found, low=float(interval.low), high=float(interval.high), p=float(tested.pvalue), more=more)


def users_needed(mean: float, spread: float) -> int | None:
    """How many users of variance `spread` an arm needs to show a change of `mean` by `LIFT` with `POWER`."""
    if not mean:
        return None
    sure, strong = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)
    return math.ceil(2 * spread * ((sure + strong) / (LIFT * mean)) ** 2)
