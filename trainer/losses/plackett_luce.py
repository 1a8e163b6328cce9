"""The likelihood of an order: items are drawn one after the other, each by the softmax of those that are left.

Sources: Luce (1959), Plackett (1975).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.losses.padding import whole

if TYPE_CHECKING:
    from torch import Tensor

_OUT = -1e9
"""The score of what is not there."""


def log_likelihood(scores: Tensor, orders: Tensor, mask: Tensor | None = None) -> Tensor:
    """log p(order) = sum over places t of s_t - log sum_{u >= t} exp(s_u), s in the order's own sequence.

    Args:
        scores: of shape (lists, items).
        orders: of the same shape: places of items, the first one first; those that are not there stand last.
        mask: of the same shape, true where an item is there.

    Returns:
        Of shape (lists,). The likeliest order is that of the scores, highest first.
    """
    there = whole(scores, mask).gather(-1, orders)
    drawn = scores.gather(-1, orders).masked_fill(~there, _OUT)
    left = drawn.flip(-1).logcumsumexp(dim=-1).flip(-1)
    return (drawn - left).where(there, 0).sum(dim=-1)
