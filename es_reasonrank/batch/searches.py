"""Many reranked searches with their results in an index: every query exactly once, however often the job is started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from es_reasonrank.batch.outcomes import final
from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.elastic.search import Plan, Searched, search
from es_reasonrank.elastic.writeback import result_document, write_results, written
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.reranker import Reranker

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


@dataclass(frozen=True)
class Job:
    """What is to be searched, and where the results go.

    `run` names one configuration's work: results of the same run and query replace one another.
    """

    run: str
    index: str
    results: str
    plan: Plan
    size: int = 0
    """Hits that a result has at least, be the reranked depth smaller."""


async def open_job(client: AsyncElasticsearch, job: Job, queries: Mapping[str, str]) -> dict[str, str]:
    """Make sure that the results index is there, and return the queries that are not in it yet.

    Raises:
        SearchError: the index's name is none.
        ElasticError: the server failed.
    """
    await create_index(client, job.results, Kind.RESULTS)
    done = await written(client, job.results, job.run, queries.items())
    return {name: text for name, text in queries.items() if name not in done}


async def run_job(
    client: AsyncElasticsearch, reranker: Reranker, job: Job, queries: Mapping[str, str], *, at_once: int
) -> AsyncIterator[tuple[str, Searched | ReasonRankError]]:
    """Search and rerank queries side by side, and write each one's result as it is done."""

    async def work(item: tuple[str, str]) -> Searched:
        name, query = item
        found = await search(client, reranker, job.index, query, plan=job.plan, size=job.size)
        final(found.ranking)
        await write_results(client, job.results, [result_document(job.run, name, query, job.index, found)])
        return found

    async for (name, _), result in run_all(queries.items(), work, at_once=at_once):
        yield name, result
