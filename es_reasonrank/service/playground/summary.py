"""What reranking did to a list, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

HEAD = 10
"""Places that users see first."""


def summary(order: Sequence[int]) -> str:
    """How the head of a list changed.

    Args:
        order: base ranks from 1, in the new order.
    """
    size = min(HEAD, len(order))
    if size == 0:
        return "No hits."
    head = order[:size]
    changed = sum(rank != place for place, rank in enumerate(head, start=1))
    top = "only hit" if len(order) == 1 else f"top {size}"
    if not changed:
        return f"The order of the {top} did not change."
    parts = [f"{changed} of the {top} changed"]
    entered = sum(rank > size for rank in head)
    if entered:
        parts.append(f"{entered} came from below")
    place, rank = max(enumerate(head, start=1), key=lambda move: (move[1] - move[0], -move[0]))
    parts.append(f"result {rank} moved to {place}")
    return "; ".join(parts) + "."
