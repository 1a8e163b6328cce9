"""The proxy's parts that need no server: headers, packed bodies, errors, callers who leave, whose a route is."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientOSError, ConnectionTimeoutError, ServerDisconnectedError
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.dispatch import Dispatch
from es_reasonrank.service.proxy.caller import Caller
from es_reasonrank.service.proxy.errors import elastic_error, error_reply
from es_reasonrank.service.proxy.packing import TooLargeError, unpacked
from es_reasonrank.service.proxy.upstream import Upstream, UpstreamError, end_to_end, speaking
from es_reasonrank.settings import ElasticSettings


def test_headers_of_the_connection_are_left_out() -> None:
    headers = [("Accept", "a"), ("TE", "b"), ("Connection", "keep-alive, X-Mine"), ("x-mine", "c"), ("Accept", "d")]
    assert end_to_end(headers) == [("Accept", "a"), ("Accept", "d")]


@given(st.binary(max_size=2000))
def test_what_is_packed_is_unpacked(content: bytes) -> None:
    assert unpacked(gzip.compress(content), "gzip") == content
    assert unpacked(zlib.compress(content), " Deflate") == content
    assert unpacked(content, "") == unpacked(content, "identity") == content


@pytest.mark.parametrize("size", [9, 10, 11])
def test_only_so_much_is_unpacked(size: int) -> None:
    packed = gzip.compress(b"x" * size)
    if size > 10:
        with pytest.raises(TooLargeError):
            unpacked(packed, "gzip", most=10)
    else:
        assert len(unpacked(packed, "gzip", most=10)) == size


def test_a_small_body_that_unpacks_to_gigabytes_costs_no_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(10_000_000)) for _ in range(10)]) + packer.flush()
    with pytest.raises(TooLargeError):
        unpacked(bomb, "gzip", most=1000)


@pytest.mark.parametrize(
    ("body", "packing"), [(b"no gzip", "gzip"), (gzip.compress(b"abc")[:-9], "gzip"), (b"", "gzip"), (b"abc", "br")]
)
def test_what_cannot_be_unpacked_is_said_so(body: bytes, packing: str) -> None:
    with pytest.raises(ValueError, match=packing):
        unpacked(body, packing)


def test_errors_have_elasticsearchs_shape() -> None:
    cause = {"type": "parsing_exception", "reason": "“depth” is no number"}
    whole = {"error": {"root_cause": [cause], **cause}, "status": 400}
    assert elastic_error(400, cause["type"], cause["reason"]) == whole
    reply = error_reply(400, cause["type"], cause["reason"])
    assert (reply.status, json.loads(reply.body)) == (400, whole)
    assert reply.headers == [("content-type", "application/json")]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionTimeoutError("to 10.0.0.1"), 504),
        (ClientOSError(errno.ETIMEDOUT, "10.0.0.1"), 504),
        (TimeoutError(), 504),
        (ServerDisconnectedError(), 502),
        (ClientOSError(errno.ECONNRESET, "10.0.0.1"), 502),
        (OSError(errno.EPIPE, "10.0.0.1"), 502),
    ],
)
def test_each_failure_of_the_connection_has_its_status(error: Exception, status: int) -> None:
    with pytest.raises(UpstreamError) as raised, speaking():
        raise error
    assert raised.value.status == status
    assert "10.0.0.1" not in str(raised.value)


def test_a_login_in_the_address_is_left_out() -> None:
    for url in ("https://user:p%40ss@host:9200/es/", "https://host:9200/es"):
        assert Upstream(url, ElasticSettings()).url == "https://host:9200/es"


async def test_a_wrong_certificate_authority_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name, why in (("absent.pem", "No such file"), ("empty.pem", "no certificate")):
        settings = ElasticSettings(ca_certs=tmp_path / name)
        with pytest.raises(SettingsError, match=f"elastic.ca_certs .*{name} cannot be used: .*{why}"):
            async with Upstream("https://localhost", settings):
                pass


class Script:
    """An ASGI `receive` that gives these messages, and then waits until the caller leaves."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.leave = asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        if self.messages:
            return self.messages.pop(0)
        await self.leave.wait()
        return {"type": "http.disconnect"}


def pieces(*bodies: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": body, "more_body": number < len(bodies)}
        for number, body in enumerate(bodies, start=1)
    ]


@pytest.mark.parametrize("most", [0, 2, 3, 4, 9])
async def test_a_body_is_read_up_to_a_size_and_is_whole_in_any_case(most: int) -> None:
    async with Caller(Script(*pieces(b"abc", b"", b"d"))) as caller:
        body = await caller.read(most)
        assert body == (b"abcd" if most >= 4 else None)
        rest = b"".join([chunk async for chunk in caller.stream()])
        assert rest == (b"" if most >= 4 else b"abcd")


async def test_work_ends_when_the_caller_leaves() -> None:
    script = Script(*pieces(b"abc"))
    async with Caller(script) as caller:
        assert await caller.read(10) == b"abc"
        asyncio.get_running_loop().call_later(0.01, script.leave.set)
        await asyncio.sleep(60)
        pytest.fail("nobody waits for it")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_caller_who_leaves_within_his_body() -> None:
    script = Script(*pieces(b"abc", b"d")[:1])
    script.leave.set()
    async with Caller(script) as caller:
        await caller.read(10)
        pytest.fail("it is not the whole")
    await asyncio.sleep(0)


async def test_a_stop_of_the_service_is_not_taken_for_a_caller_who_left() -> None:
    async def work() -> None:
        async with Caller(Script(*pieces(b""))) as caller:
            await caller.read(10)
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_fails_for_other_reasons_is_raised() -> None:
    async def work() -> None:
        async with Caller(Script(*pieces(b""))) as caller:
            caller.watch()
            raise KeyError

    with pytest.raises(KeyError):
        await work()


async def _here(request: Request) -> Response:
    return PlainTextResponse("here")


ROUTES: Sequence[BaseRoute] = [
    Route("/rerank", _here, methods=["POST"]),
    Route("/v1/models/{name}", _here, methods=["GET"]),
    Mount("/playground", routes=[Route("/{rest:path}", _here)]),
]


@pytest.mark.parametrize(
    ("method", "path", "own"),
    [
        ("POST", "/rerank", True),
        ("PUT", "/rerank", False),
        ("GET", "/rerank", False),
        ("POST", "/rerank/", False),
        ("POST", "/rerank/_doc", False),
        ("POST", "/rerank2", False),
        ("GET", "/v1/models/x", True),
        ("DELETE", "/v1/models/x", False),
        ("GET", "/v1/_search", False),
        ("GET", "/playground/a/b", True),
        ("GET", "/", False),
        ("POST", "//rerank", False),
        ("GET", "*", False),
    ],
)
async def test_a_request_is_ours_where_path_and_method_are(method: str, path: str, own: bool) -> None:
    assert await _ours(ROUTES, method, path) is own


async def test_a_route_without_a_path_of_its_own_may_be_meant_by_any() -> None:
    anything = Mount("", routes=[Route("/x", _here)])
    assert await _ours([*ROUTES, anything], "PUT", "/rerank") is True


async def _ours(routes: Sequence[BaseRoute], method: str, path: str) -> bool:
    asked: list[bool] = []

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(True)

    async def theirs(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(False)

    async def send(message: Message) -> None:
        pytest.fail("nobody answers here")

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await Dispatch(ours, routes, theirs)(scope, Script(), send)
    return asked == [True]
