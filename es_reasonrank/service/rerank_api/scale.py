"""From a ranker's own scale to scores that every caller can read: from 0 to 1, each lower than the one before it.

Elasticsearch wants no negative score, Cohere's clients expect 0 to 1, and equal scores would leave the order of two
documents to chance. By the profile's judge and its options:

    places (a judge that orders, a failed ranking)   (n - place) / n, as they are
    probabilities (relevance, expected grades)       as they are
    grades from 0 to the highest                     divided by the highest
    log-probabilities (first_token)                  the probability
    cosines (a bi-encoder)                           as they are; those below 0 stand at 0
    anything else (a cross-encoder's logits, fused   as they are where all of a list are from 0 to 1, else
    scores, another package's judge)                 1 / (1 + exp(-score))

Then neighbours that are nearer than a millionth are moved apart, which a 32-bit float still tells apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from es_reasonrank.rerank.profile import Profile

_STEPS = 1_000_000


def unit_scores(profile: Profile, raw: Sequence[float]) -> list[float]:
    """The scores of a list, best first, from 0 to 1 and strictly decreasing.

    Args:
        raw: on the ranker's own scale, or places where no judge gave any; never increasing.
    """
    size = len(raw)
    places = [(size - place) / size for place in range(size)]
    to_unit = _as_is if list(raw) == places else _scale(profile, raw)
    return separated([to_unit(score) for score in raw])


def separated(scores: Sequence[float]) -> list[float]:
    """Scores cut to 0 to 1 and rounded to steps, each at least a step below the one before it.

    >>> separated([0.5, 0.5, -1.0, -2.0])
    [0.500001, 0.5, 1e-06, 0.0]
    """
    steps = max(_STEPS, len(scores))
    levels = [round(min(max(score, 0.0), 1.0) * steps) for score in scores]
    for place in range(len(levels) - 2, -1, -1):
        levels[place] = max(levels[place], levels[place + 1] + 1)
    ceiling = steps
    for place, level in enumerate(levels):
        levels[place] = min(level, ceiling)
        ceiling = levels[place] - 1
    return [level / steps for level in levels]


def _scale(profile: Profile, raw: Sequence[float]) -> Callable[[float], float]:
    judge = profile.judge
    if profile.fusion.method == "none" and profile.orders.consistency == 1:
        if judge["name"] == "graded" and judge.get("read", "integer") != "expectation":
            highest = float(judge.get("highest", 10))
            return lambda score: score / highest
        if judge["name"] == "first_token":
            return lambda score: math.exp(min(score, 0.0))
        if judge["name"] == "encoder" and profile.engine.get("kind", "bi-encoder") == "bi-encoder":
            return _as_is
    return _as_is if all(0.0 <= score <= 1.0 for score in raw) else _logistic


def _as_is(score: float) -> float:
    return score


def _logistic(score: float) -> float:
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))
