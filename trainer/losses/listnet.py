"""Cross-entropy over a list: the scores' softmax against a distribution that relevance makes.

Sources: ListNet (Cao et al., ICML 2007), top-one probabilities: the softmax of the grades; the softmax cross-entropy
(Bruch et al., ICTIR 2019), which bounds nDCG for binary relevance: the grades, normalised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.losses.padding import mean_over, whole

if TYPE_CHECKING:
    from torch import Tensor

_OUT = -1e9
"""The logit of what is not there; with an infinite one, a list without items would give NaN."""


def listnet(scores: Tensor, grades: Tensor, mask: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Cross-entropy against the softmax of grades / temperature, the mean over lists.

    Args:
        scores: of shape (lists, items).
        grades: of the same shape; higher is more relevant.
        mask: of the same shape, true where an item is there.
        temperature: the smaller, the more the best grade counts alone.

    Returns:
        A scalar.
    """
    there = whole(scores, mask)
    target = (grades / temperature).masked_fill(~there, _OUT).softmax(dim=-1)
    return mean_over(_cross_entropy(scores, target, there), there.any(dim=-1))


def softmax_cross_entropy(scores: Tensor, grades: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross-entropy against grades / sum of grades, the mean over the lists that hold something relevant.

    Args:
        scores: of shape (lists, items); `log_odds` of a model that is asked about one passage at a time.
        grades: of the same shape, from 0; 0 is not relevant.
        mask: of the same shape, true where an item is there.

    Returns:
        A scalar, 0 where nothing is relevant.
    """
    there = whole(scores, mask)
    gains = grades.to(scores.dtype).where(there, 0)
    total = gains.sum(dim=-1, keepdim=True)
    return mean_over(_cross_entropy(scores, gains / total.clamp(min=1e-12), there), total.squeeze(-1) > 0)


def _cross_entropy(scores: Tensor, target: Tensor, there: Tensor) -> Tensor:
    """Of shape (lists,). What is not there takes no part in the softmax; an empty list gives 0."""
    filled = scores.masked_fill(~there, _OUT)
    return -(target * filled.log_softmax(dim=-1)).where(there, 0).sum(dim=-1)
