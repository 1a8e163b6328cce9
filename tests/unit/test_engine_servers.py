"""Several servers as one: spread, failed over, left alone and tried again, and never waited for past a deadline."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from es_reasonrank.engines.servers import Server, Servers, choose, retry_after
from es_reasonrank.errors import EngineError
from tests.unit.http_servers import ScriptedServer, Step, answering, choice, dribbling, dying, hanging

Start = Callable[..., Awaitable[ScriptedServer]]
OK = choice({"content": "[1]"})
PATH = "/v1/chat/completions"


def slowly(seconds: float) -> Step:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        return web.json_response(OK)

    return handler


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[ScriptedServer] = []

    async def start(*script: Step) -> ScriptedServer:
        server = ScriptedServer(*script)
        await server.server.start_server()
        running.append(server)
        return server

    yield start
    for server in running:
        await server.server.close()


def pool(*servers: ScriptedServer | str, **options: Any) -> Servers:
    roots = [server if isinstance(server, str) else server.url for server in servers]
    defaults: dict[str, Any] = {"headers": {}, "timeout": 5, "attempts": 3, "connections": 64, "pause": 60}
    return Servers(roots, **defaults | options)


async def asked(servers: Servers, times: int = 1) -> list[Any]:
    try:
        return await asyncio.gather(*(servers.call("POST", PATH, {}) for _ in range(times)), return_exceptions=True)
    finally:
        await servers.aclose()


async def test_calls_go_where_the_fewest_are(start: Start) -> None:
    first, second = await start(slowly(0.1)), await start(slowly(0.1))
    assert await asked(pool(first, second), 8) == [OK] * 8
    assert (len(first.bodies), len(second.bodies)) == (4, 4)


async def test_so_many_calls_are_in_flight_at_once(start: Start) -> None:
    server = await start(slowly(0.02))
    assert await asked(pool(server, connections=2), 7) == [OK] * 7
    assert server.most == 2


@pytest.mark.parametrize("failure", [answering(500), answering(503, "<html>", "text/html"), dying, answering(429)])
async def test_a_server_that_fails_is_left_for_the_others(start: Start, failure: Step) -> None:
    bad, good = await start(failure), await start(OK)
    servers = pool(bad, good)
    started = asyncio.get_running_loop().time()
    for _ in range(5):
        assert await servers.call("POST", PATH, {}) == OK
    await servers.aclose()
    assert (len(bad.bodies), len(good.bodies)) == (1, 5)
    assert asyncio.get_running_loop().time() - started < 0.4


async def test_a_server_that_is_not_there_is_left_for_the_others(start: Start) -> None:
    good = await start(OK)
    assert await asked(pool("http://127.0.0.1:9", good), 6) == [OK] * 6


async def test_a_server_that_hangs_is_left_for_the_others(start: Start) -> None:
    bad, good = await start(hanging), await start(OK)
    assert await asked(pool(bad, good, timeout=0.2), 4) == [OK] * 4
    assert len(bad.bodies) == 2


async def test_a_server_is_tried_again_after_its_pause_by_one_call(start: Start) -> None:
    bad, good = await start(answering(500), slowly(0.2)), await start(slowly(0.1))
    servers = pool(bad, good, pause=0.2)
    await servers.call("POST", PATH, {})
    await asyncio.sleep(0.25)
    assert await asyncio.gather(*(servers.call("POST", PATH, {}) for _ in range(6))) == [OK] * 6
    assert len(bad.bodies) == 2
    assert await asyncio.gather(*(servers.call("POST", PATH, {}) for _ in range(6))) == [OK] * 6
    assert len(bad.bodies) == 5
    await servers.aclose()


async def test_a_server_that_was_set_up_otherwise_is_left_for_the_others(start: Start) -> None:
    other, good = await start(answering(404, '{"error": {"message": "no such model"}}')), await start(OK)
    servers = pool(other, good)
    assert [await servers.call("POST", PATH, {}) for _ in range(3)] == [OK] * 3
    assert len(other.bodies) == 1
    await servers.aclose()


async def test_what_is_wrong_is_wrong_everywhere(start: Start) -> None:
    first, second = await start(answering(400, '{"error": "too long"}')), await start(OK)
    (error,) = await asked(pool(first, second))
    assert isinstance(error, EngineError)
    assert not error.retryable
    assert str(error) == f"{first.url}{PATH} answered 400: too long"
    assert not second.bodies


async def test_where_all_fail_the_last_error_is_told(start: Start) -> None:
    servers = [await start(answering(500)), await start(answering(502))]
    (error,) = await asked(pool(*servers, attempts=1))
    assert isinstance(error, EngineError)
    assert "answered 502: Bad Gateway" in str(error)
    assert [len(server.bodies) for server in servers] == [1, 1]


async def test_the_time_that_a_server_asks_for_is_kept(start: Start) -> None:
    server = await start(answering(429, headers={"Retry-After": "1"}), OK)
    started = asyncio.get_running_loop().time()
    assert await asked(pool(server)) == [OK]
    assert 1.0 <= asyncio.get_running_loop().time() - started < 1.5


async def test_more_patience_than_there_is(start: Start) -> None:
    server = await start(answering(429, headers={"Retry-After": "3600"}))
    (error,) = await asked(pool(server))
    assert "answered 429: Too Many Requests; it asks for 3600 s of patience" in str(error)
    assert len(server.bodies) == 1


def test_how_long_to_wait_is_a_number_or_a_date() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    assert retry_after("7", now) == 7.0
    assert retry_after(format_datetime(now + timedelta(seconds=30), usegmt=True), now) == 30.0
    assert retry_after(format_datetime(now - timedelta(seconds=30), usegmt=True), now) == 0.0
    for none in (None, "", "soon", "-3", "Mon, 99 Foo"):
        assert retry_after(none, now) is None


def test_a_server_that_rests_is_asked_where_no_other_is_well() -> None:
    first, second = Server("http://a", 1), Server("http://b", 1)
    first.rest(60)
    second.in_flight = 5
    assert choose([first, second], now=0.0) is second
    second.rest(90)
    assert choose([first, second], now=0.0) is first


def test_an_answer_to_a_call_from_before_the_failure_proves_nothing() -> None:
    server = Server("http://a", 1)
    server.rest(0)
    server.answered(server.failed_at - 1)
    assert server.failed
    server.answered(server.failed_at + 1)
    assert not server.failed


@pytest.fixture
def silent() -> Any:
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


async def late(servers: Servers) -> float:
    """How long a call outlasts a deadline, in seconds."""
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2) as left:
            await servers.call("POST", PATH, {})
    return loop.time() - (left.when() or 0)


@pytest.mark.parametrize(
    "step",
    [hanging, dribbling, answering(503), answering(429, headers={"Retry-After": "2"})],
    ids=["hangs", "dribbles", "fails", "asks for patience"],
)
async def test_a_deadline_is_kept_whatever_the_server_does(start: Start, step: Step) -> None:
    servers = pool(await start(step), attempts=100)
    assert await late(servers) < 0.05
    await servers.aclose()


async def test_a_deadline_is_kept_where_a_server_is_silent_or_full(start: Start, silent: str) -> None:
    servers = pool(silent)
    assert await late(servers) < 0.05
    await servers.aclose()
    full = pool(await start(hanging), connections=1)
    running = asyncio.ensure_future(full.call("POST", PATH, {}))
    await asyncio.sleep(0.05)
    assert await late(full) < 0.05
    running.cancel()
    await full.aclose()


async def test_a_caller_that_leaves_frees_its_place(start: Start) -> None:
    server = await start(hanging, OK)
    servers = pool(server, connections=1)
    assert await late(servers) < 0.05
    async with asyncio.timeout(1):
        assert await servers.call("POST", PATH, {}) == OK
    await servers.aclose()


async def test_the_whole_answer_has_a_time(start: Start) -> None:
    (error,) = await asked(pool(await start(dribbling), timeout=0.3, attempts=1))
    assert "gives no answer within 0.3 s" in str(error)
