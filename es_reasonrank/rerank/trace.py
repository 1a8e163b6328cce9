"""A trace for programs: the same keys on the command line, in the batch's files and in the service's answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from es_reasonrank.types import Trace


def trace_json(trace: Trace, explain: bool) -> dict[str, Any]:
    """The trace for programs; windows and their reasoning only with `explain`."""
    summary: dict[str, Any] = {
        "status": trace.status,
        "profile": trace.profile,
        "model": trace.model,
        "seconds": round(trace.seconds, 4),
        "windows": len(trace.windows),
        "cached": trace.cached,
        "outcomes": {str(outcome): count for outcome, count in sorted(trace.outcomes.items())},
        "prompt_tokens": trace.prompt_tokens,
        "generated_tokens": trace.generated_tokens,
    }
    return summary | ({"trace": [asdict(window) for window in trace.windows]} if explain else {})
