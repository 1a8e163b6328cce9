"""Indices of the project's own kinds, by template and by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.mappings import (
    Kind,
    create_index,
    index_body,
    index_templates,
    install_templates,
    recreate_index,
)
from es_reasonrank.errors import SearchError
from tests.elastic.indexing.loading import loaded, written


async def test_an_index_of_any_name_gets_the_mapping(es: AsyncElasticsearch, index_name: str) -> None:
    assert await create_index(es, index_name, Kind.PASSAGES)
    mapping = (await es.indices.get_mapping(index=index_name))[index_name]["mappings"]
    assert mapping["dynamic"] == "false"
    assert mapping["properties"].keys() == index_body(Kind.PASSAGES)["mappings"]["properties"].keys()
    health = await es.cluster.health(index=index_name, wait_for_status="green", timeout="10s")
    assert health["status"] == "green"


async def test_an_index_that_is_there_stays_as_it_is(es: AsyncElasticsearch, index_name: str) -> None:
    await es.indices.create(index=index_name, mappings={"properties": {"body": {"type": "keyword"}}})
    assert not await create_index(es, index_name, Kind.PASSAGES)
    mapping = (await es.indices.get_mapping(index=index_name))[index_name]["mappings"]
    assert mapping == {"properties": {"body": {"type": "keyword"}}}


async def test_an_alias_is_never_deleted_for_an_index(es: AsyncElasticsearch, index_name: str) -> None:
    alias = f"{index_name}-alias"
    await es.indices.create(index=index_name, aliases={alias: {}})
    assert not await create_index(es, alias, Kind.PASSAGES)
    with pytest.raises(SearchError, match="alias"):
        await recreate_index(es, alias, Kind.PASSAGES)
    assert await es.indices.exists(index=index_name)


async def test_a_name_that_the_server_does_not_accept(es: AsyncElasticsearch) -> None:
    with pytest.raises(SearchError, match="must be lowercase"):
        await create_index(es, "Docs", Kind.PASSAGES)


@pytest.mark.parametrize("kind", Kind)
async def test_templates_reach_indices_of_their_names(es: AsyncElasticsearch, kind: Kind) -> None:
    await install_templates(es)
    await install_templates(es)
    name = f"es-reasonrank-{kind}-test"
    try:
        await es.indices.create(index=name)
        by_template = (await es.indices.get_mapping(index=name))[name]["mappings"]
        await es.indices.delete(index=name)
        await create_index(es, name, kind)
        assert (await es.indices.get_mapping(index=name))[name]["mappings"] == by_template
    finally:
        await es.indices.delete(index=name, ignore_unavailable=True)
        for template in index_templates():
            await es.indices.delete_index_template(name=template)


async def test_passages_are_found_by_stem_language_date_and_metadata(
    es: AsyncElasticsearch, index_name: str, tmp_path: Path
) -> None:
    row = {
        "_id": "a", "title": "Moons", "text": "They were eclipsing", "lang": "en", "date": "2020-05-01",
        "tags": ["sky"], "deep": {"year": 1999},
    }  # fmt: skip
    await loaded(es, written(tmp_path / "docs.jsonl", [row]), index_name)
    for query in (
        {"match": {"title.english": "moon"}},
        {"match": {"body.english": "eclipse"}},
        {"term": {"language": "en"}},
        {"range": {"published": {"gte": "2020-01-01", "lt": "2021-01-01"}}},
        {"term": {"metadata.tags": "sky"}},
        {"term": {"metadata.deep.year": "1999"}},
    ):
        assert (await es.count(index=index_name, query=query))["count"] == 1, query
