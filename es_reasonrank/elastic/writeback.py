"""Results into an index: one document a query and run, under an id made of both, so that nothing stands there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import cause, mapped
from es_reasonrank.elastic.search import Searched
from es_reasonrank.errors import ElasticError

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_LOOKUP = 500
"""Ids that one request asks for."""


def result_id(run: str, query_id: str) -> str:
    """The id of a query's result in a run."""
    return hashlib.sha256(f"{run}\n{query_id}".encode()).hexdigest()[:32]


def result_document(run: str, query_id: str, query: str, index: str, searched: Searched) -> dict[str, Any]:
    """What is kept of a reranked search, as the results mapping has it."""
    ranking, hits = searched.ranking, searched.candidates.hits
    trace = ranking.trace
    placed = enumerate(zip(ranking.order, ranking.scores, strict=True), start=1)
    return {
        "run": run,
        "query_id": query_id,
        "query": query,
        "index": index,
        "profile": trace.profile,
        "model": trace.model,
        "status": str(trace.status),
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "ids": [candidate.id for candidate in ranking],
        "order": [
            {
                "id": hits[place]["_id"],
                "index": hits[place]["_index"],
                "rank": rank,
                "score": score,
                "base_rank": place + 1,
                "base_score": ranking.candidates[place].score,
            }
            for rank, (place, score) in placed
        ],
        "outcomes": {str(outcome): count for outcome, count in trace.outcomes.items()},
        "timings": {
            "search_ms": round(searched.search_seconds * 1000, 1),
            "rerank_ms": round(searched.rerank_seconds * 1000, 1),
            "total_ms": round((searched.search_seconds + searched.rerank_seconds) * 1000, 1),
        },
        "tokens": {"prompt": trace.prompt_tokens, "generated": trace.generated_tokens},
        "reasoning": [
            {"shown": [place + 1 for place in window.shown], "outcome": str(window.outcome), "text": window.reasoning}
            for window in trace.windows
            if window.reasoning
        ],
    }


async def write_results(client: AsyncElasticsearch, index: str, documents: Sequence[dict[str, Any]]) -> None:
    """Write results by bulk; writing one again replaces it.

    Raises:
        ElasticError: the server did not take all of them.
    """
    operations: list[dict[str, Any]] = []
    for document in documents:
        operations += [{"index": {"_id": result_id(document["run"], document["query_id"])}}, document]
    with mapped(index):
        answer = await client.bulk(index=index, operations=operations)
    failed = [item["index"] for item in answer["items"] if item["index"].get("error")]
    if failed:
        _, reason = cause({"error": failed[0]["error"]})
        raise ElasticError(
            f"{len(failed)} results were not written to index {index!r}: {reason}", status=failed[0]["status"]
        )


async def written(client: AsyncElasticsearch, index: str, run: str, queries: Iterable[tuple[str, str]]) -> set[str]:
    """Ids of the queries whose result of this run is in the index, for the very same text.

    Reads by id are real time: a result counts from the moment that it was acknowledged.
    """
    texts = dict(queries)
    names, found = list(texts), set()
    for start in range(0, len(names), _LOOKUP):
        ids = {result_id(run, name): name for name in names[start : start + _LOOKUP]}
        with mapped(index):
            answer = await client.mget(index=index, ids=list(ids), source_includes=["query"])
        for document in answer["docs"]:
            name = ids[document["_id"]]
            if document.get("found") and document["_source"]["query"] == texts[name]:
                found.add(name)
    return found
