"""Loads that meet an overloaded server, lose it, or are killed: nothing is lost, nothing stands twice."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic import checkpoints, indexing
from es_reasonrank.elastic.indexing import load
from es_reasonrank.elastic.mappings import Kind, create_index, recreate_index
from es_reasonrank.elastic.readers import open_source
from es_reasonrank.errors import ElasticError
from tests.elastic.indexing.loading import count, loaded, numbered, proxied, rejected, start, written


async def test_a_server_that_refuses_single_documents_is_waited_for(
    es: AsyncElasticsearch, index_name: str, tmp_path: Path
) -> None:
    """An index that has no room answers 429 for every document."""
    await create_index(es, index_name, Kind.PASSAGES)
    await es.indices.put_settings(index=index_name, settings={"index.blocks.read_only_allow_delete": True})
    path = written(tmp_path / "docs.jsonl", numbered(100))
    task = asyncio.create_task(load(es, open_source(path), index_name, chunk=10))
    await asyncio.sleep(1)
    assert not task.done()
    await es.indices.put_settings(index=index_name, settings={"index.blocks.read_only_allow_delete": None})
    report = await task
    assert (report.indexed, report.rejected, report.replaced) == (100, 0, 0)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_refuses_requests_is_waited_for(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path, status: int
) -> None:
    path = written(tmp_path / "docs.jsonl", numbered(60))
    async with proxied(elastic_url, lambda number: status if number in (0, 1, 3) else None) as client:
        report = await loaded(client, path, index_name, chunk=10)
    assert (report.indexed, report.rejected) == (60, 0)
    assert await count(es, index_name) == 60


@pytest.mark.parametrize(("block", "status"), [("read_only_allow_delete", 429), ("write", 403)])
async def test_a_server_that_takes_nothing_ends_the_load_and_rejects_no_document(
    es: AsyncElasticsearch,
    index_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: str,
    status: int,
) -> None:
    monkeypatch.setattr(indexing, "_RETRIES", 1)
    monkeypatch.setattr(indexing, "_FIRST_PAUSE", 0.01)
    await create_index(es, index_name, Kind.PASSAGES)
    await es.indices.put_settings(index=index_name, settings={f"index.blocks.{block}": True})
    with pytest.raises(ElasticError, match=r"blocked by.*0 documents are in") as raised:
        await load(es, open_source(written(tmp_path / "docs.jsonl", numbered(30))), index_name)
    assert raised.value.status == status
    assert checkpoints.location(tmp_path / "docs.jsonl", index_name).with_suffix(".rejected.jsonl").read_text() == ""


async def test_a_lost_connection_says_how_far_it_came_and_the_next_run_goes_on(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path
) -> None:
    rows = numbered(200)
    rows[5] = "{broken"
    path = written(tmp_path / "docs.jsonl", rows)
    async with proxied(elastic_url, lambda number: 0 if number >= 4 else None) as client:
        with pytest.raises(ElasticError, match=r"cannot be reached.* documents are in: .* to go on from there"):
            await loaded(client, path, index_name, chunk=10)
    before = (await es.options(ignore_status=404).indices.stats(index=index_name))["_all"]["total"]
    assert 0 < before["indexing"]["index_total"] < 199
    report = await loaded(es, path, index_name, chunk=10)
    assert report.resumed > 0
    assert (report.indexed, report.rejected) == (199, 1)
    assert report.rejects is not None
    assert [row["line"] for row in rejected(report.rejects)] == [6]
    assert await count(es, index_name) == 199


@pytest.mark.one_version
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
async def test_killed_in_the_middle_every_document_is_there_once(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    rows = numbered(12_000)
    for number in range(0, 12_000, 1_000):
        rows[number] = f"broken {number}"
    path = written(tmp_path / "docs.jsonl", rows)
    checkpoint = checkpoints.location(path, index_name)
    process = await start(elastic_url, path, index_name, "--chunk", "50")
    while not checkpoint.exists():
        assert process.returncode is None, "the load ended before its first checkpoint"
        await asyncio.sleep(0.02)
    process.send_signal(how)
    await process.communicate()
    assert process.returncode == code
    report = await loaded(es, path, index_name)
    assert 0 < report.resumed < report.indexed == 11_988
    assert report.rejects is not None
    assert [row["line"] for row in rejected(report.rejects)] == list(range(1, 12_001, 1_000))
    assert await count(es, index_name) == 11_988
    assert not checkpoint.exists()


async def test_only_the_same_source_and_the_same_index_go_on(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "docs.jsonl", numbered(100))

    async def cut_off() -> None:
        async with proxied(elastic_url, lambda number: 0 if number >= 4 else None) as client:
            with pytest.raises(ElasticError):
                await loaded(client, path, index_name, chunk=10)

    await cut_off()
    await recreate_index(es, index_name, Kind.PASSAGES)
    assert (await loaded(es, path, index_name)).resumed == 0
    await cut_off()
    written(path, numbered(101))
    report = await loaded(es, path, index_name)
    assert (report.resumed, report.indexed) == (0, 101)


async def test_rejected_rows_move_with_the_file_that_is_named_for_them(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "docs.jsonl", ["{broken", *numbered(100)])
    async with proxied(elastic_url, lambda number: 0 if number >= 4 else None) as client:
        with pytest.raises(ElasticError):
            await loaded(client, path, index_name, chunk=10)
    report = await loaded(es, path, index_name, rejects=tmp_path / "elsewhere.jsonl")
    assert report.rejected == 1
    assert [row["line"] for row in rejected(tmp_path / "elsewhere.jsonl")] == [1]
