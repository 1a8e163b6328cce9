"""The cascade's two scorers, and the order that they make together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Columns = tuple[Sequence[int], Sequence[int]]
"""The features that the pre-ranker sees, and those that the ranker sees."""


@dataclass(frozen=True)
class Cascade:
    """A pre-ranker and a ranker, each on its own columns."""

    pre: Module
    ranker: Module
    columns: Columns
    mean: Tensor
    deviation: Tensor

    def scores(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Both scorers' scores of all candidates.

        Args:
            features: of shape (lists, items, features).

        Returns:
            Twice shape (lists, items).
        """
        scaled = (features - self.mean) / self.deviation
        first, second = (scaled[..., list(seen)] for seen in self.columns)
        return self.pre(first).squeeze(-1), self.ranker(second).squeeze(-1)

    def parameters(self) -> list[Tensor]:
        """All weights of both."""
        return [*self.pre.parameters(), *self.ranker.parameters()]


def cascade(features: Tensor, mask: Tensor, *, columns: Columns, hidden: tuple[int, int]) -> Cascade:
    """A cascade with new weights, from torch's random numbers, that scales features as these are.

    Args:
        features: what it will be trained on, of shape (lists, items, features).
        mask: of shape (lists, items), true where an item is there.
        columns: what each of the two sees.
        hidden: width of the pre-ranker's hidden layer and of the ranker's; 0 makes a linear scorer.
    """
    known = features[mask]
    deviation = known.std(dim=0, correction=0).clamp(min=1e-6)
    pre, ranker = (_scorer(len(seen), width) for seen, width in zip(columns, hidden, strict=True))
    return Cascade(pre, ranker, columns, known.mean(dim=0), deviation)


def _scorer(inputs: int, hidden: int) -> Module:
    from torch import nn

    if not hidden:
        return nn.Linear(inputs, 1)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def order(pre: Tensor, ranker: Tensor, mask: Tensor, keep: int) -> Tensor:
    """What comes out: the pre-ranker's best `keep` by the ranker's score, behind them the rest by the pre-ranker's.

    Args:
        pre: scores, of shape (lists, items).
        ranker: scores, of shape (lists, items).
        mask: of the same shape, true where an item is there.

    Returns:
        Places of items, best first, of shape (lists, items); those that are not there stand last. Equal scores keep
        their incoming order.
    """
    first = _ranks(pre.masked_fill(~mask, float("-inf")))
    second = _ranks(ranker.masked_fill(first >= keep, float("-inf")))
    return second.where(first < keep, first + keep).argsort(dim=-1)


def _ranks(scores: Tensor) -> Tensor:
    """Each item's rank, from 0."""
    return scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
