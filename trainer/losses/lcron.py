"""LCRON: the stages of a cascade trained as one network. For scorers with a gradient, not for models that write text.

Source: Learning Cascade Ranking as One Network (2503.09492). An item comes out of a cascade with a probability of at
least the product of its chances to survive each stage over all candidates; binary cross-entropy holds that bound, and
each stage by itself, to what is relevant. Their weights are learned, as Kendall et al. (1705.07115) weigh tasks by
their uncertainty:

    L = L_e2e / (2 alpha^2) + sum_i L_i / (2 beta_i^2) + log(alpha * beta_1 * ...)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.losses.neuralsort import Survival
from trainer.losses.padding import mean_over, whole

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = 1e-6


def single_stage(survival: Survival, relevant: Tensor, mask: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of surviving against being relevant, the mean over items.

    Args:
        survival: of shape (lists, items).
        relevant: of the same shape, 0 or 1.
        mask: of the same shape, true where an item is there.

    Returns:
        A scalar. Probabilities count as at least 1e-6, so that a lost item costs 13.8 and not infinity.
    """
    kept, lost = (survival.kept + _SMALLEST).log(), (survival.lost + _SMALLEST).log()
    return mean_over(-(relevant * kept + (1 - relevant) * lost), whole(survival.kept, mask))


def end_to_end(survivals: Sequence[Survival], relevant: Tensor, mask: Tensor | None = None) -> Tensor:
    """The same of the whole cascade, an item's chance being the product of its chances at the stages.

    Args:
        survivals: of each stage, of shape (lists, items).
        relevant: of the same shape, 0 or 1.
        mask: of the same shape, true where an item is there.

    Returns:
        A scalar.
    """
    kept = math.prod(stage.kept for stage in survivals)
    lost = 1 - math.prod(1 - stage.lost for stage in survivals)
    return single_stage(Survival(kept, lost), relevant, mask)


def uncertainties(stages: int) -> Tensor:
    """Parameters to learn beside the stages': log alpha and each log beta, all 0. Shape (1 + stages,).

    Their logarithms are learned, so that no step makes one of them negative.
    """
    import torch

    return torch.zeros(1 + stages, requires_grad=True)


def combined(end_to_end: Tensor, single: Sequence[Tensor], uncertainties: Tensor) -> Tensor:
    """The whole loss.

    Args:
        end_to_end: the cascade's, a scalar.
        single: each stage's, scalars.
        uncertainties: log alpha and each stage's log beta, of shape (1 + stages,).

    Returns:
        A scalar; it can be negative.
    """
    import torch

    losses = torch.stack([end_to_end, *single])
    return (losses * (-2 * uncertainties).exp() / 2 + uncertainties).sum()
