"""Small indices for tests of search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elasticsearch import AsyncElasticsearch

ARTICLES: dict[str, dict[str, Any]] = {
    "sky": {"title": "Sky", "body": "Air scatters blue light more than red light.", "tags": ["air", "light"]},
    "sea": {"title": "Sea", "body": "Water absorbs red light, and looks blue.", "tags": "water"},
    "cat": {"title": "Cat", "body": "Cats sleep most of the day, in any light."},
    "bare": {"title": "", "body": "", "tags": ["light"]},
    "talk": {
        "title": "Talk",
        "body": "What people say about light.",
        "comments": [{"by": {"name": "Ann"}, "text": "Blue is best."}, {"by": {"name": "Bo"}, "text": "Red is."}],
    },
}

MAPPING: dict[str, Any] = {
    "properties": {
        "title": {"type": "text"},
        "body": {"type": "text", "fields": {"english": {"type": "text", "analyzer": "english"}}},
        "tags": {"type": "keyword"},
        "summary": {"type": "alias", "path": "body"},
        "comments": {
            "type": "nested",
            "properties": {"by": {"properties": {"name": {"type": "keyword"}}}, "text": {"type": "text"}},
        },
    }
}


async def fill(
    es: AsyncElasticsearch,
    index: str,
    documents: Mapping[str, Mapping[str, Any]] = ARTICLES,
    *,
    mapping: Mapping[str, Any] = MAPPING,
    shards: int = 1,
) -> str:
    """Create an index with these documents; return its name."""
    await es.indices.create(
        index=index, mappings=mapping, settings={"number_of_shards": shards, "number_of_replicas": 0}
    )
    operations: list[Mapping[str, Any]] = []
    for name, document in documents.items():
        operations += [{"index": {"_id": name}}, document]
    answer = await es.bulk(index=index, operations=operations, refresh=True)
    assert not answer["errors"], answer
    return index


def numbered(size: int) -> dict[str, dict[str, Any]]:
    """Documents of falling relevance to "light": the more other words, the lower the score; some score the same."""
    return {f"d{number:03}": {"body": "light " + "other " * (number // 2)} for number in range(size)}


def ids(hits: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of hits."""
    return [hit["_id"] for hit in hits]
