"""Candidates of many queries: by BM25 from an index of the corpus, by embeddings, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from es_reasonrank.elastic import embedded
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.readers import open_source
from es_reasonrank.elastic.search import Plan, plan
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.settings import ElasticSettings
from trainer.synthesis.candidates import CandidateOptions, Pool
from trainer.synthesis.material import Query
from trainer.synthesis.similarity import Vectors

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_WORDS = 200
"""Words of a query that BM25 searches for: a whole coding problem has more, and a server bounds a search's clauses."""
_TIES = 100
"""Hits behind the last that is wanted: what scores the same as that one is among them."""
_AT_ONCE = 8


class Elastic:
    """Elasticsearch, connected to when it is first needed.

    Args:
        stack: ends the connection, and the server where it was started for it.
    """

    def __init__(self, settings: ElasticSettings, stack: AsyncExitStack, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._stack = stack
        self._say = say
        self._client: AsyncElasticsearch | None = None

    async def client(self) -> AsyncElasticsearch:
        """The cluster of the settings, else the embedded server: the one that runs, or a new one.

        Raises:
            MissingError: Java, Maven or memory is missing to start the embedded one.
            ElasticError: the server fails.
        """
        if self._client is None:
            if self._settings.url is None and embedded.status() is None:
                self._say("starting the embedded Elasticsearch")
                embedded.up(say=self._say)
                self._stack.callback(embedded.down)
            self._client = await self._stack.enter_async_context(connected(self._settings))
        return self._client


class Bm25:
    """An index of one corpus, for the time that it is needed."""

    def __init__(self, client: AsyncElasticsearch, index: str, planned: Plan) -> None:
        self._client = client
        self._index = index
        self._plan = planned

    @classmethod
    async def over(cls, client: AsyncElasticsearch, corpus: Path, index: str) -> Bm25:
        """Index the documents of a file; where that was cut off, it goes on.

        Raises:
            ElasticError: the server failed.
        """
        from es_reasonrank.elastic.indexing import load

        await load(client, open_source(corpus), index)
        return cls(client, index, await plan(client, index, ()))

    async def find(self, query: Query, depth: int) -> tuple[str, ...]:
        """The hits of a query, best first, without those that it excludes.

        Hits of equal scores are ordered by their ids: the server's own order of them changes with every load.

        Raises:
            ElasticError: the server failed.
        """
        body = self._plan.body(" ".join(query.text.split()[:_WORDS]))
        size = depth + len(query.excluded) + _TIES
        with mapped(self._index):
            answer = await self._client.search(index=self._index, body={**body, "size": size, "_source": False})
        hits = sorted(answer["hits"]["hits"], key=lambda hit: (-hit["_score"], hit["_id"]))
        return kept([hit["_id"] for hit in hits], query, depth)

    async def drop(self) -> None:
        """Delete the index."""
        with mapped(self._index):
            await self._client.indices.delete(index=self._index, ignore_unavailable=True)


def kept(names: Sequence[str], query: Query, depth: int) -> tuple[str, ...]:
    """The best `depth` of some documents, without those that the query excludes."""
    return tuple(name for name in names if name not in query.excluded)[:depth]


async def pools(
    queries: Sequence[Query], options: CandidateOptions, bm25: Bm25 | None, vectors: Vectors | None
) -> dict[str, Pool]:
    """What the searches find for each query; a query that brings its pool along is not searched by BM25.

    Raises:
        ElasticError: the server failed.
    """
    found: dict[str, tuple[str, ...]] = {query.id: query.pool for query in queries}
    if bm25 is not None:
        found |= await _searched([query for query in queries if not query.pool], options.depth, bm25)
    near: Mapping[str, tuple[str, ...]] = {}
    if vectors is not None:
        most = options.depth + max((len(query.excluded) for query in queries), default=0)
        rows = vectors.nearest([query.text for query in queries], most)
        near = {query.id: kept(row, query, options.depth) for query, row in zip(queries, rows, strict=True)}
    return {query.id: Pool(found[query.id], near.get(query.id, ())) for query in queries}


async def _searched(queries: Sequence[Query], depth: int, bm25: Bm25) -> dict[str, tuple[str, ...]]:
    async def work(query: Query) -> tuple[str, ...]:
        return await bm25.find(query, depth)

    found: dict[str, tuple[str, ...]] = {}
    async for query, result in run_all(queries, work, at_once=_AT_ONCE):
        if isinstance(result, ReasonRankError):
            raise result
        found[query.id] = result
    return found
