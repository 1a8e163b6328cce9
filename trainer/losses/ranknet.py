"""FIRST's weighted RankNet on the logits of identifiers, and its joint loss with the language model's own.

Source: FIRST (2406.15657): over pairs with r_i < r_j, log(1 + exp(s_j - s_i)) / (r_i + r_j); the whole is
LM + 10 * RankNet. The paper writes a sum over pairs; its released code takes their mean, and 10 belongs to that: of
20 passages there are 190 pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainer.losses.padding import mean_over, whole

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = 10.0
"""FIRST's weight of the ranking loss beside the language model's; its ListNet variant has 0.1."""


def weighted_ranknet(
    scores: Tensor, ranks: Tensor, mask: Tensor | None = None, *, pairs: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """RankNet, in which a pair counts the more the nearer it is to the top.

    Args:
        scores: of shape (lists, items): the logit of each passage's identifier.
        ranks: of the same shape, from 1, the best: the order to learn. Equal ranks make no pair.
        mask: of the same shape, true where an item is there.
        pairs: the mean over all pairs of the batch, as the released code has it, or the mean over lists of the sums
            over their pairs, as the paper writes it.

    Returns:
        A scalar, 0 where there is no pair.
    """
    from torch.nn.functional import softplus

    there = whole(scores, mask)
    ordered = ranks.unsqueeze(2) < ranks.unsqueeze(1)
    counted = ordered & there.unsqueeze(2) & there.unsqueeze(1)
    behind = scores.masked_fill(~there, 0)
    losses = softplus(behind.unsqueeze(1) - behind.unsqueeze(2)) / (ranks.unsqueeze(2) + ranks.unsqueeze(1)).clamp(
        min=1
    )
    if pairs == "mean":
        return mean_over(losses, counted)
    return losses.where(counted, 0).sum() / scores.shape[0]


def joint(language: Tensor, ranking: Tensor, weight: float = WEIGHT) -> Tensor:
    """FIRST's whole loss: the language model's on the teacher's order, and `weight` times the ranking loss."""
    return language + weight * ranking
