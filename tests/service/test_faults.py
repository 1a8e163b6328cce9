"""What breaks while searches come in: no answer is wrong, no hit is lost, and all is well again without a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from es_reasonrank.elastic.embedded import Server as Elastic
from es_reasonrank.elastic.embedded import down, up
from es_reasonrank.service.server import Server
from tests.service.conftest import running
from tests.service.servers.models import ModelServer, model_server

pytestmark = pytest.mark.one_version

BODY: dict[str, Any] = {"query": {"match": {"body": "list"}}, "size": 20, "_source": False}
BEGUN = b"POST /%s/_search HTTP/1.1\r\nHost: service\r\nContent-Length: 900\r\n\r\n{"
"""A request whose rest does not come."""


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture
def flags(model: ModelServer, elastic_url: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    yield {
        "elastic.url": elastic_url,
        "profile": model.profile(tmp_path),
        "service.deadline": 2.0,
        "service.breaker_failures": 3,
        "service.breaker_pause": 0.3,
        "service.grace": 1.0,
    }
    model.thaw()
    model.mode("ok")


class Searches:
    """Clients that search without end. Every answer is held against what Elasticsearch itself gives."""

    def __init__(self, url: str, index: str, base: Sequence[str]) -> None:
        self.url = url
        self.index = index
        self.base = list(base)
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self._number = 0

    @asynccontextmanager
    async def under_way(self, clients: int = 3) -> AsyncIterator[None]:
        """Searches while the block lasts."""
        tasks = [asyncio.create_task(self._go_on()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results
        assert not self.wrong, self.wrong[:3]

    async def until(self, status: str, seconds: float = 20.0) -> None:
        """Wait until a search ends so that begins now."""
        before = self.seen[status]
        ends = time.monotonic() + seconds
        while self.seen[status] <= before:
            assert time.monotonic() < ends, f"no {status!r} within {seconds} s, only {dict(self.seen)}"
            await asyncio.sleep(0.02)

    async def _go_on(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            while True:
                await self._search(client)
                await asyncio.sleep(0.01)

    async def _search(self, client: httpx.AsyncClient) -> None:
        self._number += 1
        started = time.monotonic()
        rerank = {"query": f"how long is a list {self._number}", "fields": ["body"]}
        answer = await client.post(f"/{self.index}/_search", json={**BODY, "ext": {"rerank": rerank}})
        self.slowest = max(self.slowest, time.monotonic() - started)
        status = answer.headers.get("x-rerank-status", f"http {answer.status_code}")
        self.seen[status] += 1
        if answer.status_code != 200:
            if not (answer.status_code in (502, 503) and answer.json()["error"]["reason"]):
                self.wrong.append(f"{answer.status_code}: {answer.text[:200]}")
            return
        found = [hit["_id"] for hit in answer.json()["hits"]["hits"]]
        expected = self.base[::-1] if status == "ok" else self.base
        if found != expected:
            self.wrong.append(f"{status}: {found} instead of {expected}")


async def searches(url: str, index: str) -> Searches:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        answer = (await client.post(f"/{index}/_search", json=BODY)).raise_for_status().json()
    base = [hit["_id"] for hit in answer["hits"]["hits"]]
    assert len(base) == 20
    return Searches(url, index, base)


async def busy(server: Server, *, running: int, waiting: int = 0) -> None:
    """Wait until so many rankings are under way, or fail."""
    gate = server.parts.ranking.gate
    ends = time.monotonic() + 10
    while (gate.running, gate.waiting) != (running, waiting):
        assert time.monotonic() < ends, f"{gate.running} run and {gate.waiting} wait"
        await asyncio.sleep(0.02)


async def idle(server: Server) -> None:
    """Wait until nothing is under way, or fail."""
    await busy(server, running=0)


class TestModel:
    async def test_killed_and_started_again(self, flags: dict[str, Any], library: str, model: ModelServer) -> None:
        async with running(flags) as (server, url):
            load = await searches(url, library)
            async with load.under_way():
                await load.until("ok")
                model.kill()
                await load.until("failed; reason=model_failed")
                await load.until("failed; reason=circuit_open")
                await asyncio.to_thread(model.start)
                await load.until("ok")
            await idle(server)

    async def test_frozen(self, flags: dict[str, Any], library: str, model: ModelServer) -> None:
        """It takes connections and answers none: some searches wait for their deadline, the others do not wait."""
        async with running(flags) as (server, url):
            load = await searches(url, library)
            async with load.under_way():
                await load.until("ok")
                model.freeze()
                await load.until("failed; reason=deadline")
                await load.until("failed; reason=circuit_open")
                model.thaw()
                await load.until("ok")
            await idle(server)

    @pytest.mark.parametrize(
        ("mode", "reason"),
        [
            ("html", "model_failed"),
            ("broken", "model_failed"),
            ("cut", "model_failed"),
            ("nonsense", "bad_answer"),
            ("slow", "deadline"),
        ],
    )
    async def test_answers_that_are_none(
        self, flags: dict[str, Any], library: str, model: ModelServer, mode: str, reason: str
    ) -> None:
        async with running(flags) as (server, url):
            load = await searches(url, library)
            async with load.under_way(clients=2):
                await load.until("ok")
                model.mode(mode)
                await load.until(f"failed; reason={reason}")
                model.mode("ok")
                await load.until("ok")
            await idle(server)

    async def test_not_there_at_the_start(self, flags: dict[str, Any], library: str, model: ModelServer) -> None:
        model.kill()
        flags = {**flags, "service.breaker_pause": 0.2}
        async with running(flags) as (_, url):
            load = await searches(url, library)
            async with load.under_way(clients=1):
                await load.until("failed; reason=model_failed")
                await asyncio.to_thread(model.start)
                await load.until("ok")


class TestClients:
    async def test_those_that_leave_hold_no_slot(self, flags: dict[str, Any], library: str, model: ModelServer) -> None:
        flags = {**flags, "service.deadline": 30.0, "service.at_once": 2, "service.queue": 2}
        model.mode("slow")
        body = {**BODY, "ext": {"rerank": {"query": "how long is a list", "fields": ["body"]}}}
        async with running(flags) as (server, url), httpx.AsyncClient(base_url=url, timeout=30) as client:
            await server.parts.ranking.rankers.start()
            for _ in range(3):
                leaving = [asyncio.create_task(client.post(f"/{library}/_search", json=body)) for _ in range(4)]
                await busy(server, running=2, waiting=2)
                for task in leaving:
                    task.cancel()
                await asyncio.gather(*leaving, return_exceptions=True)
                await idle(server)
            assert not server.parts.ranking.breakers["backwards"].is_open

    async def test_half_open_connections_are_in_nobody_s_way(
        self, flags: dict[str, Any], library: str, model: ModelServer
    ) -> None:
        """Clients that begin a request and say no more, and some that are silent from the start."""
        async with running(flags) as (server, url):
            host, port = url.removeprefix("http://").split(":")
            half = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
            for number, (_, writer) in enumerate(half):
                writer.write(
                    [b"", b"POST /_search HTT", b"POST /_search HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"][number % 3]
                )
            load = await searches(url, library)
            async with load.under_way():
                await load.until("ok")
            for _, writer in half:
                writer.transport.abort()
            await idle(server)

    async def test_those_that_break_off_in_the_middle_of_a_body(self, flags: dict[str, Any], library: str) -> None:
        async with running(flags) as (server, url):
            host, port = url.removeprefix("http://").split(":")
            load = await searches(url, library)
            async with load.under_way():
                for _ in range(20):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.write(
                        b"POST /%s/_search HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{" % library.encode()
                    )
                    await writer.drain()
                    writer.transport.abort()
                await load.until("ok")
            await idle(server)


class TestElasticsearch:
    @pytest.fixture
    def elastic(self, elastic_url: str, tmp_path: Path, server: Elastic) -> Iterator[Elastic]:
        """A server of this test's own, that may be killed."""
        try:
            yield up(version=server.version, data_dir=tmp_path / "own")
        finally:
            down(tmp_path / "own")

    async def test_killed_and_started_again(self, flags: dict[str, Any], elastic: Elastic, model: ModelServer) -> None:
        flags = {**flags, "elastic.url": elastic.url}
        async with running(flags) as (server, url), httpx.AsyncClient(base_url=url, timeout=60) as client:
            lines = [f'{{"index":{{"_id":"{number}"}}}}\n{{"body":"a list {number}"}}\n' for number in range(20)]
            headers = {"Content-Type": "application/x-ndjson"}
            answer = await client.post("/own/_bulk?refresh=true", content="".join(lines), headers=headers)
            assert not answer.raise_for_status().json()["errors"]
            load = await searches(url, "own")
            async with load.under_way():
                await load.until("ok")
                os.kill(elastic.pid, signal.SIGKILL)
                await load.until("http 502")
                port = int(elastic.url.rpartition(":")[2])
                await asyncio.to_thread(up, version=elastic.version, port=port, data_dir=elastic.data_dir)
                await load.until("ok", seconds=60)
            await idle(server)


class TestStopping:
    async def test_searches_under_way_get_their_base_order(
        self, flags: dict[str, Any], library: str, model: ModelServer
    ) -> None:
        flags = {**flags, "service.deadline": 30.0, "service.grace": 2.0}
        async with running(flags) as (server, url), httpx.AsyncClient(base_url=url, timeout=30) as client:
            await server.parts.ranking.rankers.start()
            load = await searches(url, library)
            model.mode("slow")
            body = {**BODY, "ext": {"rerank": {"query": "how long is a list", "fields": ["body"]}}}
            tasks = [asyncio.create_task(client.post(f"/{library}/_search", json=body)) for _ in range(5)]
            await busy(server, running=5)
            started = time.monotonic()
            server.leave()
            answers = await asyncio.gather(*tasks)
            assert time.monotonic() - started < 3
            for answer in answers:
                assert answer.headers["x-rerank-status"] == "failed; reason=stopping"
                assert [hit["_id"] for hit in answer.json()["hits"]["hits"]] == load.base
            with suppress(httpx.TransportError):
                assert (await client.get("/")).status_code == 503, "nothing new is taken on"

    async def test_what_cannot_end_in_time_gets_an_answer(self, flags: dict[str, Any], library: str) -> None:
        """A request whose body never ends: there is no base order to give, but a 503 as Elasticsearch writes errors."""
        flags = {**flags, "service.grace": 0.3}
        async with running(flags) as (server, url):
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(BEGUN % library.encode())
            await asyncio.sleep(0.2)
            server.leave()
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"type": "es_reasonrank_stopping"' in answer
