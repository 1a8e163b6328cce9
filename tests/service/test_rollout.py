"""Safe roll-out over HTTP: what users see, what the log holds, and what `compare` makes of searches and clicks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from elasticsearch import AsyncElasticsearch

from es_reasonrank.cli import root
from es_reasonrank.evaluation.rollout_log import Broken, Searched, read
from es_reasonrank.service.journal import SEARCH_ID
from es_reasonrank.service.rollout import Arm, decide
from es_reasonrank.service_settings import Rollout
from tests.service.conftest import Serve

pytestmark = pytest.mark.one_version

QUERY = "how are numbers sorted in a list"
BODY: dict[str, Any] = {"query": {"match": {"body": QUERY}}, "ext": {"rerank": {"query": QUERY, "depth": 20}}}
NO_MODEL = {
    "profile": "rankgpt",
    "engine.base_url": "http://127.0.0.1:9",
    "engine.tokenizer": "embedded:minilm-l6",
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "rollout.log"


@asynccontextmanager
async def rolled_out(serve: Serve, log: Path | None, **flags: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A service in a mode of the roll-out."""
    keys = {f"service.rollout.{name}": value for name, value in flags.items() if name in Rollout.model_fields}
    others = {name: value for name, value in flags.items() if name not in Rollout.model_fields}
    logged = {} if log is None else {"service.rollout.log": str(log)}
    async with (
        serve({"profile": "encoder", "service.deadline": 60, **others, **keys, **logged}) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as client,
    ):
        if "profile" not in others:
            await ready(client)
        yield client


async def ready(client: httpx.AsyncClient) -> None:
    """Wait for the model: until it is loaded, searches get their base order."""
    for _ in range(600):
        if (await client.get("/ready")).status_code == 200:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the model is not ready")


async def searched(client: httpx.AsyncClient, index: str, user: str = "", **changes: Any) -> httpx.Response:
    headers = {"X-Opaque-Id": user} if user else {}
    answer = await client.post(f"/{index}/_search", json={**BODY, **changes}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def ids(answer: httpx.Response) -> list[str]:
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


async def base_order(es: AsyncElasticsearch, index: str, size: int = 10) -> list[str]:
    found = await es.search(index=index, query=BODY["query"], size=size)
    return [hit["_id"] for hit in found["hits"]["hits"]]


async def lines(log: Path, count: int) -> dict[str, Searched]:
    """The log's searches by id, once there are so many; the log is written behind the answer."""
    broken = Broken()
    for _ in range(1000):
        found = [line for line in read([log], broken) if isinstance(line, Searched)]
        if len(found) >= count:
            assert broken.count == 0, broken.first
            return {line.id: line for line in found}
        await asyncio.sleep(0.02)
    raise AssertionError(f"the log has {len(found)} searches")


async def test_a_shadow_changes_nothing_and_logs_both_orders(
    serve: Serve, es: AsyncElasticsearch, library: str, log: Path
) -> None:
    async with rolled_out(serve, log, mode="shadow") as client:
        answer = await searched(client, library, "ann")
        line = (await lines(log, 1))[answer.headers[SEARCH_ID]]
    assert answer.headers["X-Rerank-Status"] == "skipped; reason=shadow"
    assert ids(answer) == await base_order(es, library)
    assert list(line.base) == await base_order(es, library, 20)
    assert sorted(line.reranked) == sorted(line.base)
    assert line.reranked != line.base
    assert (line.arm, line.query, line.index, line.profile, line.status) == ("shadow", QUERY, library, "encoder", "ok")
    assert line.took > 0
    assert "ann" not in (line.user, line.id)


async def test_a_percentage_of_users(serve: Serve, es: AsyncElasticsearch, library: str, log: Path) -> None:
    rollout = Rollout(mode="percentage", percentage=50)
    users = [f"user-{number}" for number in range(8)]
    async with rolled_out(serve, log, mode="percentage", percentage=50) as client:
        answers = {user: await searched(client, library, user) for user in users}
        found = await lines(log, len(users))
    base = await base_order(es, library)
    arms = {user: decide(rollout, user=user, search="") for user in users}
    assert set(arms.values()) == {Arm.BASE, Arm.RERANKED}
    for user, answer in answers.items():
        line = found[answer.headers[SEARCH_ID]]
        assert line.arm == arms[user]
        if arms[user] is Arm.BASE:
            assert ids(answer) == base
            assert answer.headers["X-Rerank-Status"] == "skipped; reason=rollout"
            assert line.reranked == ()
        else:
            assert ids(answer) == list(line.reranked[:10]) != base
            assert answer.headers["X-Rerank-Status"] == "ok"


async def test_interleaved_pages_continue_each_other(serve: Serve, library: str, log: Path) -> None:
    async with rolled_out(serve, log, mode="interleave") as client:
        mixtures = set()
        for turn, user in enumerate(("ann", "bob", "eve", "joe", "kim"), start=1):
            whole = await searched(client, library, user, size=20)
            again = await searched(client, library, user, size=20)
            pages = [await searched(client, library, user, size=7, **{"from": start}) for start in (0, 7, 14)]
            assert ids(again) == ids(whole)
            assert [name for page in pages for name in ids(page)][:20] == ids(whole)
            mixtures.add(tuple(ids(whole)))
            answered = {answer.headers[SEARCH_ID]: answer for answer in (whole, again, *pages)}
            found = await lines(log, 5 * turn)
            for search, answer in answered.items():
                line = found[search]
                assert line.arm == "interleaved"
                assert list(line.shown[line.offset : line.offset + line.size]) == ids(answer)[: 20 - line.offset]
                assert set(line.team) == {"base", "reranked"}
    assert len(mixtures) > 1


@pytest.mark.parametrize("mode", ["shadow", "interleave", "percentage"])
async def test_a_model_that_is_down(serve: Serve, es: AsyncElasticsearch, library: str, log: Path, mode: str) -> None:
    async with rolled_out(serve, log, mode=mode, **NO_MODEL) as client:
        answer = await searched(client, library, "ann")
        line = (await lines(log, 1))[answer.headers[SEARCH_ID]]
    assert ids(answer) == await base_order(es, library)
    assert line.base == line.reranked
    assert line.status == "failed"
    assert line.reason in ("model_failed", "model_loading")


async def test_without_a_log_no_id_is_given(serve: Serve, library: str) -> None:
    async with rolled_out(serve, None, mode="percentage", percentage=50) as client:
        answer = await searched(client, library, "ann")
    assert SEARCH_ID not in answer.headers


async def test_from_search_to_verdict(serve: Serve, es: AsyncElasticsearch, library: str, log: Path) -> None:
    """Users who open what the reranked order would have put first: `compare` finds that they prefer it."""
    judgments = "judgments-rollout"
    flags = {"service.judgments_index": judgments}
    try:
        async with rolled_out(serve, log, mode="interleave", **flags) as client:
            answers = [await searched(client, library, f"user-{number}") for number in range(12)]
            found = await lines(log, 12)
            for answer in answers:
                line = found[answer.headers[SEARCH_ID]]
                liked = next(name for name, team in zip(line.shown, line.team, strict=True) if team == "reranked")
                event = {"event": "click", "search_id": line.id, "document": liked, "index": library}
                sent = await client.post("/v1/feedback", json=event)
                assert sent.status_code == 200, sent.text
        told = json.loads(CliRunner().invoke(root, ["compare", str(log), "--json"], standalone_mode=False).output)
    finally:
        await es.indices.delete(index=judgments, ignore_unavailable=True)
    assert told["strays"] == 0
    assert told["broken"] == 0
    assert (told["interleaving"]["won"], told["interleaving"]["lost"]) == (12, 0)
    assert told["changes"]["interleaved"]["top_order"] == 1.0
    assert told["verdict"][-1].startswith("So far users prefer the reranked order: the reranked order won 12 of 12")
