"""Documents into a real server: all of them, as they were, and the bad ones kept with their reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from es_reasonrank.errors import DataError
from tests.elastic.indexing.loading import Rows, count, loaded, numbered, rejected, written

TWO_MEGABYTES = 2 * 2**20


async def test_texts_come_back_as_they_were(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    texts = {
        "emoji": "\N{GRINNING FACE}\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-16} \N{CJK UNIFIED IDEOGRAPH-4E2D}",
        "control": "a\x00b\x01\x1b[31m\x7f\u2028\r\n\t",
        "long": "word " * (TWO_MEGABYTES // 5),
        "quotes": '"quoted" \\ {"_id": "x"}\n{"index": {}}',
        "ïd with späce/slash": "x",
    }
    path = tmp_path / "docs.jsonl"
    rows = "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items())
    path.write_text(rows, encoding="utf-8-sig")
    report = await loaded(es, path, index_name)
    assert (report.indexed, report.rejected, report.rejects) == (len(texts), 0, None)
    for name, text in texts.items():
        assert (await es.get(index=index_name, id=name))["_source"] == {"body": text}


async def test_documents_of_any_shape_are_taken(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    odd: list[Any] = [
        1,
        "text",
        None,
        True,
        [1, "a"],
        {"a": {"b": 1}},
        {"": 1},
        "x" * 40_000,
        10**30,
        {"a.b": 1, "a": 2},
    ]
    rows = [{"_id": f"d{number}", "text": "x", "odd": value} for number, value in enumerate(odd)]
    rows += [{"_id": f"date{number}", "text": "x", "date": value} for number, value in enumerate(["soon", "", 5, [1]])]
    report = await loaded(es, written(tmp_path / "docs.jsonl", rows), index_name)
    assert (report.indexed, report.rejected) == (len(rows), 0)


async def test_loading_again_replaces(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "docs.jsonl", [*numbered(50), *({"text": f"no id {n}"} for n in range(50))])
    first = await loaded(es, path, index_name)
    again = await loaded(es, path, index_name)
    assert (first.indexed, first.replaced) == (100, 0)
    assert (again.indexed, again.replaced, again.resumed) == (100, 100, 0)
    assert await count(es, index_name) == 100


async def test_of_documents_with_the_same_id_the_last_one_remains(
    es: AsyncElasticsearch, index_name: str, tmp_path: Path
) -> None:
    rows = [{"_id": f"d{number % 7}", "text": f"version {number // 7}"} for number in range(70)]
    report = await loaded(es, written(tmp_path / "docs.jsonl", rows), index_name, chunk=10)
    assert (report.indexed, report.replaced) == (70, 63)
    answer = await es.search(index=index_name, size=10)
    assert [hit["_source"]["body"] for hit in answer["hits"]["hits"]] == ["version 9"] * 7


async def test_a_source_without_documents(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no documents"):
        await loaded(es, written(tmp_path / "docs.jsonl", [""]), index_name)


async def test_progress_is_told(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    seen: list[int] = []
    path = written(tmp_path / "docs.jsonl", [*numbered(20), "{"])
    await loaded(es, path, index_name, on_progress=lambda ledger: seen.append(ledger.indexed + ledger.rejected))
    assert seen[0] == 0
    assert seen[-1] == 21


async def test_they_are_kept_with_reason_and_text_and_the_rest_is_loaded(
    es: AsyncElasticsearch, index_name: str, tmp_path: Path
) -> None:
    mappings = {
        "dynamic": "strict",
        "properties": {"body": {"type": "text"}, "published": {"type": "date"}, "title": {"type": "text"}},
    }
    await es.indices.create(index=index_name, mappings=mappings)
    bad_date, unknown = {"_id": "b", "text": "x", "date": "soon"}, {"_id": "c", "text": "x", "é": 1}
    rows: Rows = [*numbered(100), bad_date, unknown, "{broken", *numbered(3)]
    report = await loaded(es, written(tmp_path / "docs.jsonl", rows), index_name, chunk=10)
    assert (report.indexed, report.rejected) == (103, 3)
    assert report.rejects is not None
    kept = {row["line"]: row for row in rejected(report.rejects)}
    assert {line: row["row"] for line, row in kept.items()} == {
        101: json.dumps(bad_date), 102: json.dumps(unknown), 103: "{broken",
    }  # fmt: skip
    assert {row["id"] for row in kept.values()} == {"b", "c", ""}
    assert "failed to parse field [published] of type [date]" in kept[101]["reason"]
    assert "strict" in kept[102]["reason"]
    assert "is not valid JSON" in kept[103]["reason"]
    assert await count(es, index_name) == 100


async def test_bytes_that_are_no_text_can_be_had_back(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    line = b'{"_id":"a","text":"\xff caf\xe9"}'
    (tmp_path / "docs.jsonl").write_bytes(line + b'\n{"_id":"b","text":"x"}\n')
    rejects = tmp_path / "rejected.jsonl"
    report = await loaded(es, tmp_path / "docs.jsonl", index_name, rejects=rejects)
    assert report.rejects == rejects
    (row,) = rejected(rejects)
    assert row["row"].encode(errors="surrogateescape") == line


async def test_they_never_go_where_documents_are_read(es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "docs.jsonl", numbered(3))
    for source, rejects in ((path, path), (tmp_path, tmp_path / "new.jsonl")):
        with pytest.raises(DataError, match="rejected rows cannot go where documents are read from"):
            await loaded(es, source, index_name, rejects=rejects)
    assert len(path.read_text().splitlines()) == 3
