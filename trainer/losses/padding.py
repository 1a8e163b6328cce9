"""What losses over padded lists share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def whole(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mask, or one that is true everywhere. Shape as `values`: (lists, items)."""
    import torch

    return torch.ones_like(values, dtype=torch.bool) if mask is None else mask.bool()


def mean_over(values: Tensor, where: Tensor) -> Tensor:
    """The mean of the `values` at the places where `where`, of the same shape, is true; 0 where there is none."""
    return values.where(where, 0).sum() / where.sum().clamp(min=1)
