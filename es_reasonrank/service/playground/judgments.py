"""Judgments: a rating in, a query's grades out, and what they say of two orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.judgments import SOURCE, judgment_id, query_id
from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.service.playground.protocol import (
    Document,
    Grade,
    JudgedQuery,
    JudgmentRequest,
    Measured,
    MeasuresRequest,
    MeasuresResponse,
)
from es_reasonrank.service.playground.summary import HEAD

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_TRUSTED = (SOURCE, "model")
"""Whose grades count, the first before the second. Clicks are none: they say as much of a place as of a document."""
_MOST = 10_000
_MOST_INDICES = 100
_MOST_QUERIES = 1_000
_NDCG = "nDCG@10"


async def rate(client: AsyncElasticsearch, judgments: str, rating: JudgmentRequest) -> None:
    """Write a rating; its index is created where it is not there.

    Raises:
        ElasticError: the server failed, or the login may not write.
    """
    query = rating.query.strip()
    document = {
        "query_id": query_id(query),
        "query": query,
        "document": rating.document.id,
        "index": rating.document.index,
        "grade": rating.grade,
        "source": SOURCE,
        "created": datetime.now(UTC).isoformat(),
    }
    await create_index(client, judgments, Kind.JUDGMENTS)
    name = judgment_id(query, rating.document.index, rating.document.id, SOURCE)
    with mapped(judgments):
        await client.index(index=judgments, id=name, document=document, refresh=True)


async def measures(client: AsyncElasticsearch, judgments: str, asked: MeasuresRequest) -> MeasuresResponse:
    """The grades of a query's documents, and both orders measured against them.

    Raises:
        ElasticError: the server failed.
    """
    indices = {document.index for document in (*asked.base, *asked.reranked)}
    grades = [grade for grade in await _grades(client, judgments, asked.query.strip()) if grade.index in indices]
    if not grades:
        return MeasuresResponse(grades=[])
    # The measures' package takes a moment to load at the first call.
    base, reranked = await asyncio.to_thread(measured, grades, [asked.base, asked.reranked])
    return MeasuresResponse(grades=grades, base=base, reranked=reranked)


def measured(grades: Iterable[Grade], orders: Sequence[Sequence[Document]]) -> list[Measured]:
    """Each order's value. A document without a grade counts as not relevant."""
    known = {_key(grade.index, grade.id): grade.grade for grade in grades}
    values = []
    for order in orders:
        names = [_key(document.index, document.id) for document in order]
        ndcg = measure({"q": known}, by_place({"q": names}), (_NDCG,)).means[_NDCG]
        values.append(Measured(ndcg=ndcg, judged=sum(name in known for name in names[:HEAD])))
    return values


async def judged_queries(client: AsyncElasticsearch, judgments: str) -> list[JudgedQuery]:
    """Every query that has judgments that count, with how many.

    Raises:
        ElasticError: the server failed.
    """
    by_query = {
        "terms": {"field": "query_id", "size": _MOST_QUERIES},
        "aggs": {"one": {"top_hits": {"size": 1, "_source": ["query"]}}},
    }
    by_index = {"terms": {"field": "index", "size": _MOST_INDICES}, "aggs": {"queries": by_query}}
    with mapped(judgments):
        answer = await client.search(
            index=judgments,
            query={"terms": {"source": list(_TRUSTED)}},
            aggs={"indices": by_index},
            size=0,
            ignore_unavailable=True,
        )
    found: dict[tuple[str, str], int] = {}
    for index in answer.get("aggregations", {}).get("indices", {}).get("buckets", []):
        for bucket in index["queries"]["buckets"]:
            query = bucket["one"]["hits"]["hits"][0]["_source"].get("query")
            if query:
                found[query, index["key"]] = found.get((query, index["key"]), 0) + bucket["doc_count"]
    return [JudgedQuery(query=query, index=index, judged=count) for (query, index), count in sorted(found.items())]


async def _grades(client: AsyncElasticsearch, judgments: str, query: str) -> list[Grade]:
    """One grade a document: the one of the most trusted source."""
    same = [{"term": {"query_id": query_id(query)}}, {"term": {"query.keyword": query}}]
    filters = [{"terms": {"source": list(_TRUSTED)}}, {"bool": {"should": same}}]
    with mapped(judgments):
        answer = await client.search(
            index=judgments, query={"bool": {"filter": filters}}, size=_MOST, ignore_unavailable=True
        )
    sources = [hit["_source"] for hit in answer["hits"]["hits"]]
    best: dict[tuple[str, str], Grade] = {}
    for source in sorted(sources, key=lambda source: -_TRUSTED.index(source["source"])):
        grade = _grade(source)
        best[grade.index, grade.id] = grade
    return list(best.values())


def _grade(source: Mapping[str, Any]) -> Grade:
    return Grade(
        index=source.get("index", ""), id=source["document"], grade=round(source["grade"]), source=source["source"]
    )


def _key(index: str, document: str) -> str:
    return json.dumps([index, document])
