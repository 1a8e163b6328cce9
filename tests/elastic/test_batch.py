"""Many queries with their results in an index: each is there exactly once, whatever stops the job."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import AsyncElasticsearch

from es_reasonrank import Reranker
from es_reasonrank.batch.searches import Job, open_job, run_job
from es_reasonrank.cli import root
from es_reasonrank.elastic.search import plan
from es_reasonrank.elastic.writeback import result_id, written
from es_reasonrank.errors import ReasonRankError
from tests.elastic.documents import fill, numbered
from tests.unit.fakes import Reply, ScriptedEngine, listwise, reverse

START = "from es_reasonrank.cli import main; main()"


async def all_results(es: AsyncElasticsearch, index: str) -> list[dict[str, Any]]:
    await es.indices.refresh(index=index)
    answer = await es.search(index=index, size=1000, query={"match_all": {}}, seq_no_primary_term=True, version=True)
    return list(answer["hits"]["hits"])


@pytest.fixture
async def filled(es: AsyncElasticsearch, index_name: str) -> str:
    return await fill(es, index_name, numbered(12))


@pytest.fixture
async def results(es: AsyncElasticsearch, index_name: str):  # type: ignore[no-untyped-def]
    name = f"{index_name}-results"
    yield name
    await es.indices.delete(index=name, ignore_unavailable=True)


class TestJob:
    """The job over a scripted engine: what is written, what is not, and what is done again."""

    async def run(
        self, es: AsyncElasticsearch, index: str, results: str, queries: dict[str, str], script=reverse
    ) -> dict[str, Any]:  # type: ignore[no-untyped-def]
        reranker = Reranker.load(listwise(depth=4), engine=ScriptedEngine(script))
        job = Job("run-1", index, results, await plan(es, index, ("body",)), size=6)
        todo = await open_job(es, job, queries)
        return {name: result async for name, result in run_job(es, reranker, job, todo, at_once=3)}

    async def test_a_result_holds_order_scores_and_what_happened(
        self, es: AsyncElasticsearch, filled: str, results: str
    ) -> None:
        await self.run(es, filled, results, {"q1": "light"})
        (hit,) = await all_results(es, results)
        source = hit["_source"]
        assert hit["_id"] == result_id("run-1", "q1")
        assert (source["run"], source["query_id"], source["query"]) == ("run-1", "q1", "light")
        assert (source["profile"], source["status"], source["outcomes"]) == ("small", "ok", {"ok": 1})
        assert [row["base_rank"] for row in source["order"]] == [4, 3, 2, 1, 5, 6]
        assert [row["rank"] for row in source["order"]] == [1, 2, 3, 4, 5, 6]
        assert source["ids"] == [row["id"] for row in source["order"]]
        assert source["timings"]["total_ms"] >= source["timings"]["rerank_ms"]
        assert source["order"][0]["base_score"] < source["order"][3]["base_score"]

    async def test_a_second_run_adds_and_changes_nothing(
        self, es: AsyncElasticsearch, filled: str, results: str
    ) -> None:
        queries = {f"q{number}": f"light {number}" for number in range(7)}
        assert len(await self.run(es, filled, results, queries)) == 7
        before = await all_results(es, results)
        assert await self.run(es, filled, results, queries) == {}
        assert await all_results(es, results) == before

    async def test_a_query_of_another_text_is_done_again_in_its_place(
        self, es: AsyncElasticsearch, filled: str, results: str
    ) -> None:
        await self.run(es, filled, results, {"q1": "light", "q2": "light"})
        assert list(await self.run(es, filled, results, {"q1": "other light", "q2": "light"})) == ["q1"]
        found = {hit["_source"]["query_id"]: hit["_source"]["query"] for hit in await all_results(es, results)}
        assert found == {"q1": "other light", "q2": "light"}

    async def test_a_query_whose_engine_failed_is_not_done(
        self, es: AsyncElasticsearch, filled: str, results: str
    ) -> None:
        from es_reasonrank.errors import EngineError

        def script(request: Any) -> Reply:
            broken = "broken" in request.messages[-1]["content"]
            return EngineError("the model is gone", engine="x") if broken else reverse(request)

        queries = {"q1": "light", "q2": "broken light", "q3": "light"}
        done = await self.run(es, filled, results, queries, script)
        assert isinstance(done["q2"], ReasonRankError)
        assert await written(es, results, "run-1", queries.items()) == {"q1", "q3"}
        assert list(await self.run(es, filled, results, queries)) == ["q2"]
        assert len(await all_results(es, results)) == 3

    async def test_a_reply_without_an_order_is_a_result(
        self, es: AsyncElasticsearch, filled: str, results: str
    ) -> None:
        """Asking again would give the same; the result says that the base order was kept."""
        await self.run(es, filled, results, {"q1": "light"}, lambda request: "no idea")
        (hit,) = await all_results(es, results)
        assert (hit["_source"]["status"], hit["_source"]["outcomes"]) == ("failed", {"malformed": 1})


class TestCommand:
    """The command, killed in the middle."""

    @pytest.fixture
    def queries(self, tmp_path: Path) -> Path:
        path = tmp_path / "queries.jsonl"
        rows = [{"_id": f"q{number}", "text": f"light other {number}"} for number in range(60)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def started(self, command: list[str]) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", START, *command]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @pytest.mark.one_version
    async def test_kill_9_and_start_again(
        self, es: AsyncElasticsearch, elastic_url: str, filled: str, results: str, queries: Path
    ) -> None:
        command = ["batch", "--index", filled, "--queries", str(queries), "--results-index", results]
        command += ["--depth", "10", "--at-once", "2", "--elastic-url", elastic_url, "--json"]
        first = self.started(command)
        for _ in range(600):
            await asyncio.sleep(0.1)
            if await es.indices.exists(index=results) and len(await all_results(es, results)) >= 10:
                break
        assert first.poll() is None, "the job ended before it could be killed"
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = {hit["_source"]["query_id"]: hit["_version"] for hit in await all_results(es, results)}
        assert 10 <= len(before) < 60

        summary = await self.told(command)
        assert summary["done_earlier"] >= len(before)
        assert summary["done_earlier"] + summary["done"] == 60
        after = await all_results(es, results)
        assert sorted(hit["_source"]["query_id"] for hit in after) == sorted(f"q{number}" for number in range(60))
        assert {hit["_version"] for hit in after if hit["_source"]["query_id"] in before} == {1}

        assert (await self.told(command))["done"] == 0
        assert await all_results(es, results) == after

    async def told(self, command: list[str]) -> dict[str, Any]:
        """What the whole command prints."""
        result = await asyncio.to_thread(CliRunner().invoke, root, command, standalone_mode=False)
        assert (result.exception, result.return_value) == (None, 0), result.output
        summary: dict[str, Any] = json.loads(result.stdout)
        return summary
