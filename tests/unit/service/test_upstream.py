"""The proxy's parts that need no server: headers, packed bodies, errors, callers who leave, whose a route is."""

from __future__ import annotations

import errno
import gzip
import json
import ssl
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.dispatch import Dispatch
from es_reasonrank.service.proxy.caller import Caller, CallerLeftError
from es_reasonrank.service.proxy.errors import elastic_error, error_reply
from es_reasonrank.service.proxy.packing import TooLargeError, unpacked
from es_reasonrank.service.proxy.upstream import Upstream, UpstreamError, end_to_end, speaking
from es_reasonrank.settings import ElasticSettings


def test_headers_of_the_connection_are_left_out() -> None:
    headers = [("Accept", "a"), ("TE", "b"), ("Connection", "keep-alive, X-Mine"), ("x-mine", "c"), ("Accept", "d")]
    assert end_to_end(headers) == [("Accept", "a"), ("Accept", "d")]


@settings(deadline=None)
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
        (TimeoutError(), 504),
        (OSError(errno.ETIMEDOUT, "10.0.0.1"), 504),
        (OSError(errno.ECONNRESET, "10.0.0.1"), 502),
        (OSError(errno.EPIPE, "10.0.0.1"), 502),
        (ssl.SSLError("10.0.0.1"), 502),
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
        trusting = ElasticSettings(ca_certs=tmp_path / name)
        with pytest.raises(SettingsError, match=f"elastic.ca_certs .*{name} cannot be used: .*{why}"):
            async with Upstream("https://localhost", trusting):
                pass


class Script:
    """An ASGI `receive` that gives these messages, and then that the caller left."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)

    async def __call__(self) -> dict[str, Any]:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}


def pieces(*bodies: bytes) -> list[dict[str, Any]]:
    return [
        {"type": "http.request", "body": body, "more_body": number < len(bodies)}
        for number, body in enumerate(bodies, start=1)
    ]


@pytest.mark.parametrize("most", [0, 2, 3, 4, 9])
async def test_a_body_is_read_up_to_a_size_and_is_whole_in_any_case(most: int) -> None:
    caller = Caller(Script(*pieces(b"abc", b"", b"d")))
    assert await caller.read(most) == (b"abcd" if most >= 4 else None)
    rest = b"".join([chunk async for chunk in caller.stream()])
    assert rest == (b"" if most >= 4 else b"abcd")


async def test_half_a_body_is_not_taken_for_the_whole() -> None:
    half = pieces(b"abc", b"d")[:1]
    with pytest.raises(CallerLeftError):
        await Caller(Script(*half)).read(10)
    with pytest.raises(CallerLeftError):
        _ = [chunk async for chunk in Caller(Script(*half)).stream()]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("@evil/", []),
        ("x", []),
        ("/x HTTP/1.1\r\nA: b\r\n", []),
        ("/", [("a", "b\r\nc: d")]),
        ("/", [("a\n", "b")]),
        ("/\r", []),
    ],
)
async def test_nothing_smuggles_a_second_request(target: str, headers: list[tuple[str, str]]) -> None:
    async with Upstream("http://localhost:1", ElasticSettings()) as upstream:
        with pytest.raises(ValueError, match="would be another request"):
            await upstream.fetch("GET", target, headers, None)


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
