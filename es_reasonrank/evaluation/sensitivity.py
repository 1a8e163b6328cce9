"""How much a ranker's result depends on the order in which the candidates come in.

Source: RankGPT (Sun et al., 2304.09542), whose nDCG@10 falls from 65.80 to 25.17 on a random incoming order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from es_reasonrank.evaluation.measures import Measured

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class Sensitivity:
    """nDCG@10 from the base order and from shuffled ones."""

    base: float
    """From the base order."""
    shuffled: tuple[float, ...]
    """From each shuffled order."""
    moved: float
    """Mean over queries and shuffled orders of the absolute difference to the base order's value."""

    @property
    def mean(self) -> float:
        """Over the shuffled orders."""
        return fmean(self.shuffled)

    @property
    def deviation(self) -> float:
        """Standard deviation over the shuffled orders; 0 for a single one."""
        return stdev(self.shuffled) if len(self.shuffled) > 1 else 0.0


def sensitivity(base: Measured, shuffled: Sequence[Measured]) -> Sensitivity:
    """What the measured runs of one ranker come to; each must hold nDCG@10."""
    values = base.by_query[MEASURE]
    moves = [abs(run.by_query[MEASURE][query] - value) for run in shuffled for query, value in values.items()]
    return Sensitivity(base.means[MEASURE], tuple(run.means[MEASURE] for run in shuffled), fmean(moves))
