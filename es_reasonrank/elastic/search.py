"""A reranked search, end to end: candidates from the server, an order from the reranker, the time of each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.candidates import Candidates, fetch
from es_reasonrank.elastic.fields import searched_fields, text_fields
from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.errors import InputError
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Ranking

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


@dataclass(frozen=True)
class Searched:
    """One search: what the server gave, and what the reranker made of it."""

    candidates: Candidates
    ranking: Ranking
    search_seconds: float
    rerank_seconds: float


@dataclass(frozen=True)
class Plan:
    """How an index is searched: the fields that a text is looked for in, and those that it is read from."""

    searched: tuple[str, ...]
    source: TextSource

    def body(self, query: str) -> dict[str, Any]:
        """A search for a text: the best field counts, the others by half (the tie breaker of BEIR's BM25 baseline)."""
        match = {"query": query, "fields": list(self.searched), "type": "best_fields", "tie_breaker": 0.5}
        return {"query": {"multi_match": match}}


async def plan(client: AsyncElasticsearch, index: str, fields: Sequence[str], source: TextSource | None = None) -> Plan:
    """A plan for an index; without fields, those that most probably hold title and text.

    Raises:
        SearchError: there is no such index, or no text field in it.
    """
    chosen = source or TextSource(fields=tuple(fields) or await text_fields(client, index))
    if not chosen.names:
        chosen = chosen.model_copy(update={"fields": tuple(fields) or await text_fields(client, index)})
    return Plan(tuple(await searched_fields(client, index, chosen.names)), chosen)


async def search(
    client: AsyncElasticsearch,
    reranker: Reranker,
    index: str,
    query: str,
    *,
    plan: Plan,
    body: Mapping[str, Any] | None = None,
    size: int = 10,
    deadline: float | None = None,
) -> Searched:
    """Search an index and rerank its top hits.

    Args:
        query: what the hits are judged by.
        plan: how the index is searched and its hits are read.
        body: any search body, instead of a search for `query`.
        size: hits to bring at least, be the depth smaller.
        deadline: seconds that reranking may take.

    Raises:
        InputError: the query is empty.
        SearchError: the index, a field or the body is wrong.
        ElasticError: the server failed.
    """
    if not query.strip():
        raise InputError("the query is empty; give a query to search and rank by")
    started = time.monotonic()
    depth = max(reranker.profile.depth, size)
    found = await fetch(client, index, body or plan.body(query), query=query, depth=depth, source=plan.source)
    searched = time.monotonic()
    ranking = await reranker.arank(query, found.items, deadline=deadline)
    return Searched(found, ranking, searched - started, time.monotonic() - searched)
