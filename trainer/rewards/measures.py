"""Measures of one window: an order of its places against their grades, or against another order.

They are ir_measures' own (nDCG with linear gains, recall of grades above 0), for roll-outs come by the thousand; tests
hold them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import log2

Order = Sequence[int]
"""Places of a window, best first."""


def ndcg(order: Order, grades: Sequence[float], k: int | None = 10) -> float:
    """nDCG@k (Jarvelin and Kekalainen, 2002); 0 where nothing is relevant. Without k, of the whole window."""
    ideal = _dcg(sorted(grades, reverse=True)[:k])
    return _dcg([grades[place] for place in order][:k]) / ideal if ideal else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def recall(order: Order, grades: Sequence[float], k: int = 10) -> float:
    """Share of what is relevant that stands in the first k; 0 where nothing is."""
    relevant = sum(grade > 0 for grade in grades)
    return sum(grades[place] > 0 for place in order[:k]) / relevant if relevant else 0.0


def relative_gain(order: Order, grades: Sequence[float], k: int | None = 10) -> float:
    """How much of the nDCG that can be gained over the order shown is gained.

    1 for a best order, 0 for the order shown, below 0 for a worse one. Where the order shown is a best one already,
    what is lost, as TFRank's released code has it.
    """
    shown, reached = ndcg(range(len(grades)), grades, k), ndcg(order, grades, k)
    best = 1.0 if any(grades) else 0.0
    return (reached - shown) / (best - shown) if best - shown > 1e-8 else reached - best


def rbo(order: Order, gold: Order, p: float) -> float:
    """Rank-biased overlap of two orders of n places, from 0 to 1.

    With p = 1, the average overlap: the mean over the depths 1 to n of the share that both orders have in common. With
    a smaller p, depth d counts (1 - p) p^(d-1), and what is behind depth n is left out (Webber, Moffat and Zobel,
    2010, truncated), so that equal orders reach 1 - p^n.
    """
    seen: set[int] = set()
    common, total = 0, 0.0
    for depth, pair in enumerate(zip(order, gold, strict=True), start=1):
        for place in pair:
            common += place in seen
            seen.add(place)
        total += common / depth * (1 / len(gold) if p == 1 else (1 - p) * p ** (depth - 1))
    return total


def kendall(scores: Sequence[float], grades: Sequence[float]) -> float:
    """Kendall's tau of scores over the pairs whose grades differ, from -1 to 1; 0 where there are none.

    A pair of equal scores counts for neither side.
    """
    agreed = pairs = 0
    for (score, grade), (other_score, other_grade) in combinations(zip(scores, grades, strict=True), 2):
        if grade != other_grade:
            pairs += 1
            agreed += _sign(score - other_score) * _sign(grade - other_grade)
    return agreed / pairs if pairs else 0.0


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
