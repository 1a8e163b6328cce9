"""Candidates from a real Elasticsearch, and a search team's own index with its judgments."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import AsyncElasticsearch

from es_reasonrank.elastic.judgments import query_id
from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.elastic.search import plan
from es_reasonrank.errors import DataError, SearchError
from es_reasonrank.service.feedback.protocol import Feedback
from es_reasonrank.service.feedback.serving import judgment
from es_reasonrank.validation import checked
from tests.elastic.documents import fill
from tests.trainer.synthesis.conftest import TeacherServer
from tests.trainer.synthesis.world import DOCUMENTS, QUERIES, beir, lines, working
from trainer.cli import root
from trainer.lists import read_lists
from trainer.synthesis.material import Material, Query
from trainer.synthesis.search import Bm25
from trainer.synthesis.stage import Options, run

pytestmark = pytest.mark.one_version


class TestBm25:
    @pytest.fixture
    async def bm25(self, es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> Bm25:
        return await Bm25.over(es, beir(tmp_path) / "corpus.jsonl", index_name)

    async def test_hits_come_best_first(self, bm25: Bm25) -> None:
        assert (await bm25.find(Query("q", QUERIES["cats?0"]), 3))[0] == "cats-0"

    async def test_equal_hits_come_by_their_ids(self, es: AsyncElasticsearch, index_name: str, tmp_path: Path) -> None:
        documents = {f"d{number:02}": "The same words in every document." for number in reversed(range(40))}
        bm25 = await Bm25.over(es, beir(tmp_path, documents=documents) / "corpus.jsonl", index_name)
        assert await bm25.find(Query("q", "same words"), 5) == ("d00", "d01", "d02", "d03", "d04")

    async def test_what_a_query_excludes_is_not_found_and_takes_no_place(self, bm25: Bm25) -> None:
        whole = await bm25.find(Query("q", QUERIES["cats?0"]), 5)
        rest = await bm25.find(Query("q", QUERIES["cats?0"], excluded=frozenset(whole[:1])), 4)
        assert rest == whole[1:]

    async def test_a_query_of_many_words_is_searched_for(self, bm25: Bm25) -> None:
        assert "sky-0" in await bm25.find(Query("q", "blue light scatters " + "and so on " * 5_000), 5)

    async def test_the_index_goes_when_it_is_not_needed(
        self, bm25: Bm25, es: AsyncElasticsearch, index_name: str
    ) -> None:
        await bm25.drop()
        await bm25.drop()
        assert not await es.indices.exists(index=index_name)


async def made(folder: Path, url: str, **config: Any) -> Any:
    options = checked(Options, {"elastic": {"url": url}, **config}, where="config")
    return await asyncio.to_thread(run, working(folder), options)


async def test_a_list_is_shown_in_bm25s_order(
    es: AsyncElasticsearch, elastic_url: str, index_name: str, tmp_path: Path
) -> None:
    candidates = {"embeddings": False, "size": 5, "depth": 10}
    sources = [{"kind": "beir", "path": beir(tmp_path / "toy")}]
    result = await made(tmp_path / "work", elastic_url, sources=sources, candidates=candidates)
    await fill(es, index_name, {name: {"title": "", "body": text} for name, text in DOCUMENTS.items()})
    planned = await plan(es, index_name, ("body",))
    lists = list(read_lists(result.artifacts["lists"]))
    assert len(lists) == len(QUERIES)
    for one in lists:
        answer = await es.search(index=index_name, body={**planned.body(one.query), "size": 10})
        scores = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
        shown = [scores[passage.id] for passage in one.passages if passage.id in scores]
        assert shown == sorted(shown, reverse=True)
    assert not await es.indices.exists(index="es-reasonrank-synthesis-*", allow_no_indices=False)


class TestJudged:
    @pytest.fixture
    async def judgments(self, es: AsyncElasticsearch, index_name: str) -> AsyncIterator[str]:
        await fill(es, index_name, {name: {"title": "", "body": text} for name, text in DOCUMENTS.items()})
        name = f"{index_name}-judgments"
        await create_index(es, name, Kind.JUDGMENTS)
        yield name
        await es.indices.delete(index=name)

    async def keep(self, es: AsyncElasticsearch, judgments: str, *events: dict[str, Any]) -> None:
        """As the service writes what users do."""
        for event in events:
            document = judgment(Feedback.model_validate(event), datetime.now(UTC))
            await es.index(index=judgments, document=document)
        await es.indices.refresh(index=judgments)

    def rating(self, index: str, query: str, document: str, grade: int) -> dict[str, Any]:
        return {"event": "rating", "query": QUERIES[query], "index": index, "document": document, "grade": grade}

    def source(self, index: str, judgments: str, **more: Any) -> dict[str, Any]:
        return {"kind": "judged", "index": index, "judgments": judgments, "depth": 10, **more}

    async def loaded(self, es: AsyncElasticsearch, **source: Any) -> Material:
        async def connect() -> AsyncElasticsearch:
            return es

        return await checked(Options, {"sources": [source]}, where="test").sources[0].load(connect)

    async def test_ratings_and_clicks_become_grades_and_hits_the_pool(
        self, es: AsyncElasticsearch, index_name: str, judgments: str
    ) -> None:
        click = {"event": "click", "query": QUERIES["bees?0"], "document": "bees-0", "position": 3}
        await self.keep(
            es,
            judgments,
            self.rating(index_name, "sky?0", "sky-0", 3),
            self.rating(index_name, "sky?0", "iron-1", 0),
            self.rating("another-index", "cats?0", "cats-0", 3),
            self.rating(index_name, "iron?0", "iron-2", 0),
            {**click, "search_id": "s1", "index": index_name},
            {**click, "search_id": "s2"},
        )
        material = await self.loaded(es, **self.source(index_name, judgments))
        found = {query.text: query for query in material.queries}
        assert found.keys() == {QUERIES["sky?0"], QUERIES["bees?0"]}
        sky = found[QUERIES["sky?0"]]
        assert (sky.id, sky.grades) == (query_id(sky.text), {"sky-0": 3, "iron-1": 0})
        assert sky.pool
        assert "iron-1" not in sky.pool
        assert material.corpus["iron-1"].text == DOCUMENTS["iron-1"]
        assert found[QUERIES["bees?0"]].grades == {"bees-0": 1}
        assert material.left_out == {"no grade above 0": 1}

    async def test_an_alias_is_the_indices_behind_it(
        self, es: AsyncElasticsearch, index_name: str, judgments: str
    ) -> None:
        await es.indices.put_alias(index=index_name, name=f"{index_name}-alias")
        await self.keep(es, judgments, self.rating(index_name, "sky?0", "sky-0", 3))
        material = await self.loaded(es, **self.source(f"{index_name}-alias", judgments))
        assert [query.grades for query in material.queries] == [{"sky-0": 3}]

    async def test_lists_come_of_it(
        self, es: AsyncElasticsearch, elastic_url: str, index_name: str, judgments: str, tmp_path: Path
    ) -> None:
        await self.keep(
            es,
            judgments,
            self.rating(index_name, "sky?0", "sky-0", 3),
            self.rating(index_name, "sky?0", "sky-1", 1),
            self.rating(index_name, "sky?0", "iron-1", 0),
        )
        config = {"candidates": {"size": 6, "depth": 10}, "sources": [self.source(index_name, judgments)]}
        (one,) = read_lists((await made(tmp_path, elastic_url, **config)).artifacts["lists"])
        assert one.order[:2] == ("sky-0", "sky-1")
        assert {passage.id: passage.origin for passage in one.passages}["iron-1"] == "hard"

    async def test_nothing_was_judged(self, es: AsyncElasticsearch, index_name: str, judgments: str) -> None:
        with pytest.raises(DataError, match="no query has a rating above 0 or enough clicks"):
            await self.loaded(es, **self.source(index_name, judgments))

    async def test_no_such_index(self, es: AsyncElasticsearch, judgments: str) -> None:
        with pytest.raises(SearchError, match="'nothing-here'"):
            await self.loaded(es, **self.source("nothing-here", judgments))


class TestCommand:
    @pytest.fixture
    def config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elastic_url: str) -> Path:
        monkeypatch.setenv("ES_REASONRANK_ELASTIC_URL", elastic_url)
        held = lines(tmp_path / "test.jsonl", [{"_id": "t", "text": QUERIES["sky?0"]}])
        config = {
            "sources": [{"kind": "beir", "path": str(beir(tmp_path / "toy"))}],
            "candidates": {"size": 6, "depth": 8},
            "leaks": {"sets": [{"path": str(held)}]},
        }
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(config))
        return path

    def test_it_makes_the_file_and_tells_what_became_of_each_source(self, config: Path, tmp_path: Path) -> None:
        target = tmp_path / "lists.jsonl"
        result = CliRunner().invoke(root, ["synthesize", str(config), "--output", str(target)], catch_exceptions=False)
        assert len(list(read_lists(target))) == 11
        assert "11 lists in" in result.output.replace("\n", "")
        assert "toy" in result.output

    def test_json(self, config: Path, tmp_path: Path) -> None:
        target = tmp_path / "lists.jsonl"
        result = CliRunner().invoke(
            root, ["synthesize", str(config), "--output", str(target), "--json"], catch_exceptions=False
        )
        told = json.loads(result.stdout)
        assert (told["lists"], told["leaks"]) == (11, 1)
        assert Path(told["artifacts"]["leaks"]).is_file()


async def test_kill_9_and_start_again(
    teacher: TeacherServer, elastic_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under way when it is killed are 2 questions at most; all others are asked once."""
    monkeypatch.setenv("ES_REASONRANK_ELASTIC_URL", elastic_url)
    config = {
        "sources": [{"kind": "beir", "path": str(beir(tmp_path / "toy"))}],
        "candidates": {"embeddings": False, "size": 6, "depth": 8},
        "teacher": teacher.options,
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    code = "from trainer.commands.synthesize import command; command()"
    arguments = [str(tmp_path / "config.yaml"), "--output", str(tmp_path / "lists.jsonl")]

    async def started() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments)

    killed = await started()
    while len(teacher.asked) < 5:
        await asyncio.sleep(0.001)
        assert killed.returncode is None
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    assert not (tmp_path / "lists.jsonl").exists()
    assert await (await started()).wait() == 0
    assert len(set(teacher.asked)) == 12
    assert len(teacher.asked) <= 14
    straight = await made(tmp_path / "straight", elastic_url, **config)
    assert list(read_lists(tmp_path / "lists.jsonl")) == list(read_lists(straight.artifacts["lists"]))
