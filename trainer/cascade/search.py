"""BM25 candidates for a whole set of queries, by the bridge's own search."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.readers import open_source
from es_reasonrank.elastic.search import plan
from es_reasonrank.evaluation.runs import Run, Scored
from es_reasonrank.settings import ElasticSettings

_AT_ONCE = 8
"""Searches that the server is asked at the same time."""


async def bm25(corpus: Path, queries: Mapping[str, str], *, depth: int, elastic: ElasticSettings) -> Run:
    """The top `depth` documents of each query. The corpus is loaded into an index of its own, deleted afterwards.

    Raises:
        DataError: the corpus cannot be read.
        MissingError: there is no server.
        ElasticError: the server failed.
    """
    from es_reasonrank.elastic.indexing import load

    index = f"es-reasonrank-cascade-{uuid4().hex}"
    async with connected(elastic) as client:
        try:
            await load(client, open_source(corpus), index)
            searched = await plan(client, index, ())
            places = asyncio.Semaphore(_AT_ONCE)

            async def hits(text: str) -> list[Scored]:
                async with places:
                    response = await client.search(index=index, source=False, size=depth, **searched.body(text))
                return [Scored(hit["_id"], hit["_score"]) for hit in response["hits"]["hits"]]

            with mapped(index):
                return dict(zip(queries, await asyncio.gather(*map(hits, queries.values())), strict=True))
        finally:
            await client.indices.delete(index=index, ignore_unavailable=True)
