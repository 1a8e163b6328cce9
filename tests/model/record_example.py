"""Writes the recording of the documentation's example again, after a change of its prompt.

python -m tests.model.record_example
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from es_reasonrank import Reranker
from es_reasonrank.demo import example
from es_reasonrank.engines.transformers import TransformersEngine, TransformersOptions
from tests.model.contract import MODEL


async def record(path: Path) -> None:
    """Rank the example's documents for each of its queries, with the real model."""
    engine = TransformersEngine(TransformersOptions(model=MODEL, dtype="float32", context=1024))
    async with Reranker.load(example.PROFILE, engine=engine, record=path) as reranker:
        for query in example.QUERIES:
            await reranker.arank(query, example.DOCUMENTS, on_failure="error")


if __name__ == "__main__":
    asyncio.run(record(example.RECORDING))
