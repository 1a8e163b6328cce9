"""Logits: how a row of them is held to some tokens, and what it means where they are not numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from es_reasonrank.errors import EngineError

if TYPE_CHECKING:
    import torch


def keep(logits: torch.Tensor, allowed: Sequence[int], end: int) -> None:
    """Leave only the `allowed` tokens of one row of logits, of shape (vocabulary,), in place.

    Where one of theirs is not a number, the row is held to its end instead: whatever would be drawn from it would look
    like an answer and be none.
    """
    places = list(allowed)
    kept = logits[places].clone()
    logits.fill_(float("-inf"))
    if kept.isnan().any():
        logits[end] = 0.0
    else:
        logits[places] = kept


def finite(logprobs: Sequence[float], engine: str) -> tuple[float, ...]:
    """Log-probabilities that are numbers.

    Raises:
        EngineError: one is not.
    """
    if not all(math.isfinite(value) for value in logprobs):
        raise not_numbers(engine)
    return tuple(logprobs)


def not_numbers(engine: str) -> EngineError:
    """The error of a model that computes NaN."""
    message = "the model's logits are not numbers; its weights are broken, or too large for their data type"
    return EngineError(f"{engine}: {message}", engine=engine)
