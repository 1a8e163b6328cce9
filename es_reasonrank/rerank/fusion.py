"""The last step of a profile: the ranker's order joined with the first stage's.

Sources: reciprocal rank fusion, Cormack, Clarke and Buettcher, SIGIR 2009; weighted scores after min-max normalisation,
as Rank-R1 (2503.06034) reports its hybrid with BM25, and after z normalisation, as ERank (2509.00520) does; `rescore`
is Elasticsearch's own query rescorer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pstdev
from typing import Literal

from pydantic import Field

from es_reasonrank.validation import Checked

Scores = Sequence[float]


class Fusion(Checked):
    """How the two are joined. `method` decides which of the other numbers are used."""

    method: Literal["none", "rrf", "min_max", "z", "rescore"] = Field(
        "none", description="none, reciprocal ranks, weighted scores after normalisation, or Elasticsearch's rescore."
    )
    weight: float = Field(0.9, ge=0, le=1, description="min_max and z: weight of the ranker; the base has the rest.")
    k: int = Field(60, ge=0, description="rrf: added to every rank; larger numbers flatten.")
    query_weight: float = Field(1.0, description="rescore: factor of the base score.")
    rescore_query_weight: float = Field(1.0, description="rescore: factor of the ranker's score.")
    score_mode: Literal["total", "multiply", "avg", "max", "min"] = Field(
        "total", description="rescore: how the two are put together."
    )


def fused(fusion: Fusion, base: Sequence[float | None], new: Scores) -> tuple[float, ...]:
    """One score a candidate from its base score and the ranker's, both in the first stage's order, best first.

    A first stage that gives no scores, or not to all, counts by its ranks: (n - rank) / n, the best having rank 0.

    >>> fused(Fusion(method="min_max", weight=0.5), base=[10.0, 8.0, 2.0], new=[0.0, 1.0, 0.5])
    (0.5, 0.875, 0.25)
    """
    size = len(new)
    given = [score for score in base if score is not None]
    known = tuple(given) if len(given) == size else tuple((size - rank) / size for rank in range(size))
    if fusion.method == "none":
        return tuple(new)
    if fusion.method == "rrf":
        places = {item: rank for rank, item in enumerate(sorted(range(size), key=lambda item: -new[item]), start=1)}
        return tuple(1 / (fusion.k + rank) + 1 / (fusion.k + places[rank - 1]) for rank in range(1, size + 1))
    if fusion.method == "rescore":
        join = _MODES[fusion.score_mode]
        return tuple(
            join(fusion.query_weight * old, fusion.rescore_query_weight * score)
            for old, score in zip(known, new, strict=True)
        )
    scale = _min_max if fusion.method == "min_max" else _z
    pairs = zip(scale(known), scale(new), strict=True)
    return tuple((1 - fusion.weight) * old + fusion.weight * score for old, score in pairs)


_MODES: Mapping[str, Callable[[float, float], float]] = {
    "total": lambda old, new: old + new,
    "multiply": lambda old, new: old * new,
    "avg": lambda old, new: (old + new) / 2,
    "max": max,
    "min": min,
}


def _min_max(scores: Scores) -> list[float]:
    """Into 0 to 1; all equal scores become 0."""
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 0.0 for score in scores]


def _z(scores: Scores) -> list[float]:
    """Mean 0, standard deviation 1; all equal scores become 0."""
    mean, deviation = fmean(scores), pstdev(scores)
    return [(score - mean) / deviation if deviation > 0 else 0.0 for score in scores]
