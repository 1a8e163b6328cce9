"""Health, readiness and information: what the service says of itself, with its parts there and gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from es_reasonrank import __version__
from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.service.health.checks import Check
from tests.service.conftest import LIBRARY, Serve, serving

pytestmark = pytest.mark.one_version

NOBODY = "http://127.0.0.1:9"
"""An address where nothing listens."""
REMOTE = {"profile": "rankgpt", "engine.base_url": NOBODY, "engine.tokenizer": "embedded:minilm-l6"}


@pytest.fixture(scope="module")
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def test_health_asks_nobody() -> None:
    async with (
        serving({"profile": "identity", "elastic.url": NOBODY}) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
        assert (await client.head("/health")).status_code == 200


async def test_ready_when_both_parts_answer(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ready")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "ready")
    assert body["parts"]["elasticsearch"]["detail"].startswith("elasticsearch ")
    assert "ranked 2 texts" in body["parts"]["model"]["detail"]


async def test_probes_do_not_ask_again_at_once(client: httpx.AsyncClient) -> None:
    ages = [(await client.get("/ready")).json()["parts"]["model"]["age"] for _ in range(3)]
    assert ages == sorted(ages)
    assert ages[2] > ages[0]


async def test_a_probe_is_no_answer_in_the_metrics(serve: Serve) -> None:
    async with serve() as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/ready")).status_code == 200
        assert "es_reasonrank_answers_total{" not in (await client.get("/metrics")).text


async def test_not_ready_without_elasticsearch() -> None:
    async with (
        serving({"profile": "identity", "elastic.url": NOBODY}) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        answer = await client.get("/ready")
        assert answer.status_code == 503
        parts = answer.json()["parts"]
        assert not parts["elasticsearch"]["ready"]
        assert "cannot be reached" in parts["elasticsearch"]["detail"]
        assert parts["model"]["ready"]
        assert (await client.get("/ready", params={"part": "model"})).status_code == 200
        info = await client.get("/info")
        assert (info.status_code, info.json()["elasticsearch"]) == (200, None)


async def test_not_ready_without_the_model_but_searches_can_be_served(serve: Serve) -> None:
    async with serve(REMOTE) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        answer = await client.get("/ready")
        assert answer.status_code == 503
        parts = answer.json()["parts"]
        assert parts["elasticsearch"]["ready"]
        assert not parts["model"]["ready"]
        assert parts["model"]["detail"]
        assert (await client.get("/ready", params={"part": "elasticsearch"})).status_code == 200


async def test_an_unknown_part_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ready", params={"part": "kitchen"})
    assert 400 <= answer.status_code < 500


async def test_info_tells_profiles_and_server(serve: Serve) -> None:
    flags = {"service.profiles": ["encoder"], "service.deadline": 7, "elastic.api_key": "VerySecret=="}
    async with serve(flags) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/info")
    body = answer.json()
    encoder = load_profile("encoder")
    assert body["version"] == __version__
    assert [profile["name"] for profile in body["profiles"]] == ["identity", "encoder"]
    assert body["profiles"][1]["model"] == encoder.engine["model"]
    assert body["profiles"][1]["depth"] == encoder.depth
    assert [profile["default"] for profile in body["profiles"]] == [True, False]
    assert body["elasticsearch"]["name"] == "elasticsearch"
    assert body["elasticsearch"]["version"].count(".") == 2
    assert body["settings"]["deadline"] == 7
    assert "VerySecret" not in answer.text


async def test_indices_of_the_same_name_are_still_reached(client: httpx.AsyncClient, library: str) -> None:
    assert (await client.get("/metrics/_search")).status_code == 404, "there is no such index, as the server says"
    assert (await client.post("/health/_search")).json()["error"]["type"] == "index_not_found_exception"
    assert (await client.get(f"/{LIBRARY}/_count")).json()["count"] > 0


async def test_openapi_tells_of_the_health_routes(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {"/health", "/ready", "/info", "/metrics"} <= set(paths)
    assert set(paths["/ready"]["get"]["responses"]) >= {"200", "503"}


class _Part:
    """Something that can be asked, and says what it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.gate.wait()
        if self.broken:
            raise EngineError(self.broken, engine="test")
        return "fine"


async def test_an_answer_stands_for_a_while() -> None:
    part = _Part()
    check = Check(part, fresh=60)
    findings = await asyncio.gather(*(check.finding() for _ in range(5)))
    assert part.asked == 1
    assert all(finding.ready for finding in findings)


async def test_a_part_that_never_answered_is_not_ready_and_says_since_when() -> None:
    part = _Part()
    part.gate.clear()
    check = Check(part, fresh=60, patience=0.05)
    finding = await check.finding()
    assert not finding.ready
    assert "still be loading" in finding.detail
    part.gate.set()
    assert (await check.finding()).ready
    assert part.asked == 1


async def test_the_last_answer_stands_while_a_slow_part_is_asked_again() -> None:
    part = _Part()
    check = Check(part, fresh=0, patience=0.05)
    assert (await check.finding()).ready
    part.gate.clear()
    part.broken = "it fell over, its key was Bearer abcdefgh"
    assert (await check.finding()).ready
    part.gate.set()
    await asyncio.sleep(0.05)
    finding = await check.finding()
    assert (finding.ready, finding.detail) == (False, "it fell over, its key was Bearer ***")
    check.worked("seen at work")
    part.gate.clear()
    assert (await check.finding()).detail == "seen at work"
    await check.aclose()
