"""What logits at the answer's first token say: a probability of yes, or an expected grade.

Sources: Rank1 (2502.18418): p(true) / (p(true) + p(false)); TFRank (2508.09539): the expectation over the grades'
tokens; ERank (2509.00520): the likeliest grade times its probability among all tokens. They are what the judges
`relevance` and `graded` compute when they serve, here so that they can be trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def log_odds(logits: Tensor, yes: int, no: int) -> Tensor:
    """The score of a passage that is asked about by itself: logit of `yes` minus logit of `no`.

    Args:
        logits: of shape (..., vocabulary).
        yes: id of the token that says relevant.
        no: id of the token that says not.

    Returns:
        Of shape (...).
    """
    return logits[..., yes] - logits[..., no]


def probability(logits: Tensor, yes: int, no: int) -> Tensor:
    """The probability of `yes` among the two, e^yes / (e^yes + e^no): the sigmoid of `log_odds`. Shapes as there."""
    return log_odds(logits, yes, no).sigmoid()


def expectation(logits: Tensor, tokens: Sequence[int], grades: Sequence[float] | None = None) -> Tensor:
    """The expected grade, by the probabilities of the grades' tokens alone.

    Args:
        logits: of shape (..., vocabulary).
        tokens: each grade's token.
        grades: what each token stands for; 0, 1, 2... by default.

    Returns:
        Of shape (...), between the lowest and the highest grade.
    """
    import torch

    values = torch.as_tensor(list(grades or range(len(tokens))), dtype=logits.dtype, device=logits.device)
    return logits[..., list(tokens)].softmax(dim=-1) @ values


def likeliest(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """The likeliest grade times its probability among all tokens; which grade that is has no gradient.

    Args:
        logits: of shape (..., vocabulary).
        tokens: the tokens of grades 0, 1, 2...

    Returns:
        Of shape (...).
    """
    best, grade = logits.log_softmax(dim=-1)[..., list(tokens)].max(dim=-1)
    return grade * best.exp()
