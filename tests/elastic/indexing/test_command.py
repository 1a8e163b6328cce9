"""`es-reasonrank index`: what it prints, and the code that it ends with."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from elasticsearch import AsyncElasticsearch

from tests.elastic.indexing.loading import count, numbered, written
from tests.here import Ended, Here


async def run(here: Here, url: str, source: Path, index: str, *options: str) -> Ended:
    """Type it, to its end; it has an event loop of its own."""
    here.knowing(ES_REASONRANK_ELASTIC_URL=url)
    return await asyncio.to_thread(here.typed, "index", str(source), "--index", index, *options)


async def test_recreate_only_on_demand(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path, here: Here
) -> None:
    path = written(tmp_path / "docs.jsonl", numbered(3))
    await es.indices.create(index=index_name, mappings={"properties": {"body": {"type": "keyword"}}})
    await es.index(index=index_name, id="other", document={"body": "mine"}, refresh=True)
    kept = await run(here, elastic_url, path, index_name)
    assert (kept.code, kept.err) == (0, "")
    assert await count(es, index_name) == 4
    new = await run(here, elastic_url, path, index_name, "--recreate", "--json")
    assert new.code == 0
    values = json.loads(new.out)
    assert (values["indexed"], values["rejected"], values["rejects"]) == (3, 0, None)
    assert await count(es, index_name) == 3


async def test_rejected_rows_are_a_partial_success(
    elastic_url: str, es: AsyncElasticsearch, index_name: str, tmp_path: Path, here: Here
) -> None:
    path = written(tmp_path / "docs.jsonl", [*numbered(3), "{"])
    rejects = tmp_path / "bad.jsonl"
    ended = await run(here, elastic_url, path, index_name, "--rejects", str(rejects))
    assert ended.code == 7
    assert ended.err.startswith(f"error: 1 of 4 rows were rejected and stand in {rejects}")
    assert "docs.jsonl, line 4: is not valid JSON" in ended.err
    assert "3" in ended.out


async def test_wrong_input_is_one_sentence_and_touches_no_index(
    elastic_url: str, es: AsyncElasticsearch, index_name: str, tmp_path: Path, here: Here
) -> None:
    (tmp_path / "docs.csv").write_text("id;text\n1;x\n")
    for source in (tmp_path / "none.jsonl", tmp_path / "docs.csv"):
        ended = await run(here, elastic_url, source, index_name, "--recreate")
        assert ended.code == 2
        assert ended.err.startswith(f"error: {source}")
        assert len(ended.err.splitlines()) == 1
    assert not await es.indices.exists(index=index_name)


async def test_a_server_that_is_not_there(tmp_path: Path, here: Here) -> None:
    path = written(tmp_path / "docs.jsonl", numbered(3))
    started = time.monotonic()
    ended = await run(here, "http://127.0.0.1:9", path, "docs")
    assert ended.code == 6
    assert ended.err.startswith("error: Elasticsearch cannot be reached")
    assert time.monotonic() - started < 20
