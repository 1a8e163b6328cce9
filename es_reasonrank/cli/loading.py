"""Loading a model while the user watches."""

from __future__ import annotations

import time

from es_reasonrank.cli import output
from es_reasonrank.rerank.reranker import Reranker


async def load(reranker: Reranker) -> float:
    """Load the reranker's model, and return the seconds it took.

    Raises:
        MissingError: the model, or a package that runs it, is not there.
        EngineError: it is there, but cannot be loaded.
    """
    started = time.monotonic()
    with output.waiting(f"loading {reranker.engine.model}"):
        await reranker.start()
    return time.monotonic() - started
