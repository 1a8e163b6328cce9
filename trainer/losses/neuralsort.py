"""Sorting that has a gradient: each rank is a distribution over items instead of one item.

Sources: NeuralSort (Grover et al., 1903.08850); its columns normalised by their own detached sums, and the
probability of being among the first q as the sum over q rows, as LCRON does (2503.09492, and its released code).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainer.losses.padding import whole

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST = 1e-6
_OUT = -1e9
"""The logit of what is not there."""


def soft_permutation(scores: Tensor, mask: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """Row i is softmax(((n + 1 - 2i) s - A 1) / temperature), A_jk = |s_j - s_k|, n counting the items that are there.

    Args:
        scores: of shape (lists, items).
        mask: of the same shape, true where an item is there.
        temperature: towards 0, rows become one-hot. Logits grow with n and with the scores' spread.

    Returns:
        Of shape (lists, ranks, items), as many ranks as items. Each row sums to 1; rows behind the last item, and
        columns of items that are not there, are 0.
    """
    import torch

    there = whole(scores, mask)
    known = scores.masked_fill(~there, 0)
    count = there.sum(dim=-1, keepdim=True)
    apart = (known.unsqueeze(2) - known.unsqueeze(1)).abs()
    spread = apart.where(there.unsqueeze(1), 0).sum(dim=-1)
    rank = torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    slope = (count + 1 - 2 * rank).unsqueeze(-1)
    logits = (slope * known.unsqueeze(1) - spread.unsqueeze(1)) / temperature
    rows = logits.masked_fill(~there.unsqueeze(1), _OUT).softmax(dim=-1)
    return rows.where(there.unsqueeze(1) & (rank <= count).unsqueeze(-1), 0)


def column_normalised(permutation: Tensor, *, stop_gradient: bool = True) -> Tensor:
    """Each column divided by its sum: an item is at one rank, all ranks together, as a rank holds one item.

    Args:
        permutation: of shape (lists, ranks, items), each row summing to 1.
        stop_gradient: take the sums as constants, as LCRON does.

    Returns:
        Of the same shape; a column that is 0 stays so.
    """
    sums = permutation.sum(dim=-2, keepdim=True)
    return permutation / (sums.detach() if stop_gradient else sums).clamp(min=_SMALLEST)


class Survival(NamedTuple):
    """The chances of items to be among the first q, and behind them. Shape (lists, items); 0 for who is not there.

    The two sum to 1. They are two because with sums that are taken as constants their gradients are not opposite: that
    of `kept` pulls an item towards the middle of the first q ranks, down if it stands higher. So what ought to be kept
    is told by the one, and what ought to be lost by the other.
    """

    kept: Tensor
    lost: Tensor


def survival(
    scores: Tensor, q: int, mask: Tensor | None = None, *, temperature: float = 1.0, stop_gradient: bool = True
) -> Survival:
    """The chance of each item to be among the first q: the sum of q rows of its normalised column, and of the others.

    Args:
        scores: of shape (lists, items).
        q: how many items survive; where a list holds no more, all do.
        mask: of the same shape, true where an item is there.
        temperature: as of `soft_permutation`.
        stop_gradient: as of `column_normalised`.
    """
    rows = column_normalised(soft_permutation(scores, mask, temperature=temperature), stop_gradient=stop_gradient)
    return Survival(rows[..., :q, :].sum(dim=-2), rows[..., q:, :].sum(dim=-2))
