"""What the losses' tests share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor

# Apart by at least a fiftieth, so that no order hangs on rounding.
SCORES = st.lists(st.integers(-150, 150), min_size=2, max_size=8, unique=True).map(
    lambda numbers: [number / 50 for number in numbers]
)


def rows(*values: list[float]) -> Tensor:
    """Lists as a batch in double precision."""
    return torch.tensor(values, dtype=torch.float64)


def padded(scores: Tensor, beside: float) -> tuple[Tensor, Tensor]:
    """The same lists with two places more that hold a number that must not matter, and their mask."""
    more = torch.full((scores.shape[0], 2), beside, dtype=scores.dtype)
    mask = torch.cat([torch.ones_like(scores), torch.zeros_like(more)], dim=1).bool()
    return torch.cat([scores, more], dim=1), mask


def has_gradient(loss: Callable[[Tensor], Tensor], scores: Tensor) -> bool:
    """Whether the analytic gradient is the numeric one, at these scores."""
    return bool(torch.autograd.gradcheck(loss, (scores.clone().requires_grad_(),)))
