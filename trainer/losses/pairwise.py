"""The pairwise loss: what is preferred has the higher score.

Source: Bradley and Terry (1952), as reward models use it: -log sigmoid(r+ - r-); with a margin, Llama 2 (2307.09288,
section 3.2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pairwise(preferred: Tensor, other: Tensor, margin: Tensor | float = 0.0) -> Tensor:
    """The mean of -log sigmoid(preferred - other - margin).

    Args:
        preferred: scores, of shape (pairs,).
        other: scores, of shape (pairs,).
        margin: by how much the preferred one has to be ahead, one number or of shape (pairs,).

    Returns:
        A scalar.
    """
    from torch.nn.functional import softplus

    return softplus(other - preferred + margin).mean()
