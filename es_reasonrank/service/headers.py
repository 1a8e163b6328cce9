"""The headers that tell a caller what became of a reranking. Pure; every answer that was to be reranked has them."""

from __future__ import annotations

from es_reasonrank.service.ranking import Answer

STATUS = "X-Rerank-Status"
"""`ok`, or `partial; reason=deadline`."""
TOOK = "X-Rerank-Took"
"""Milliseconds that the service spent on reranking, the wait for its turn included."""
WINDOWS = "X-Rerank-Windows"
"""How many windows the model was asked about, and how they ended: `9; ok=8; truncated=1`."""


def rerank_headers(answer: Answer, took_ms: float) -> list[tuple[str, str]]:
    """The headers of one answer."""
    outcomes = answer.ranking.trace.outcomes
    counts = [f"{outcome}={count}" for outcome, count in sorted(outcomes.items())]
    return [
        (STATUS, rerank_status(answer.status, answer.reason)),
        (TOOK, f"{took_ms:.1f}"),
        (WINDOWS, "; ".join([str(outcomes.total()), *counts])),
    ]


def rerank_status(status: str, reason: str) -> str:
    """The value of `X-Rerank-Status`: the status, and the reason where there is one."""
    return f"{status}; reason={reason}" if reason else status
