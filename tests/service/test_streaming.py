"""What passes the proxy on the wire: every byte of it, piece by piece, and what happens when one side breaks off."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.conftest import serving
from tests.service.servers.recording import (
    OK,
    Recorded,
    Recorder,
    body_of,
    chunks,
    connection,
    exchange,
    free_port,
    recording,
)

pytestmark = pytest.mark.one_version

END = b"Host: service\r\nConnection: close\r\n\r\n"
MANY = 32_000_000
"""Bytes that no buffer between two sockets holds, and the proxy must not."""


@pytest.fixture(scope="module")
async def recorder() -> AsyncIterator[Recorder]:
    async with recording() as running:
        yield running


@pytest.fixture(scope="module")
async def proxied(recorder: Recorder) -> AsyncIterator[str]:
    """A service in front of the recorder."""
    async with serving({"profile": "identity", "elastic.url": recorder.url}) as url:
        yield url


@pytest.fixture
async def upstream(recorder: Recorder) -> AsyncIterator[Recorder]:
    """The recorder, as good as new."""
    recorder.answer = OK
    recorder.requests.clear()
    recorder.arrived.clear()
    recorder.left.clear()
    yield recorder
    recorder.answer = OK


TARGETS = [
    "/",
    "/%3Clogs-%7Bnow%2Fd%7D%3E/_doc/1",
    "/%3clogs-%7bnow%2fd%7d%3e/_doc/1",
    "/a%2Fb/_doc/x%20y?routing=%2B+%26",
    "/idx/_doc/%E2%98%83?pretty",
    "//idx//_count",
    "/idx/../_doc/./1",
    "/idx/_count?q=a&q=b&q=&empty&x==1&y=%",
    "/_cat/indices/a,b*,-c?h=health,index&v&s=index:desc",
    "/_all/_mapping/field/*.raw?filter_path=**.mappings",
    "/_cluster/health?wait_for_status=yellow&timeout=1s;x=1",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_the_target_arrives_as_it_was_sent(proxied: str, upstream: Recorder, target: str) -> None:
    await exchange(proxied, b"GET " + target.encode() + b" HTTP/1.1\r\n" + END)
    assert upstream.last.line == b"GET " + target.encode() + b" HTTP/1.1"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.sampled_from("abz09-._~!$&'()*+,;=:@/%2F%7D%3cE"), max_size=30),
    query=st.text(st.sampled_from("abz09-._~!$&'()*+,;=:@/?%2F"), max_size=30),
    body=st.binary(max_size=300),
)
async def test_any_target_and_any_body_arrive(
    proxied: str, upstream: Recorder, path: str, query: str, body: bytes
) -> None:
    target = f"/x{path}" + (f"?{query}" if query else "")
    head = f"PUT {target} HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    await exchange(proxied, head.encode() + END + body)
    assert upstream.last.line == f"PUT {target} HTTP/1.1".encode()
    assert upstream.last.body == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_methods_pass(proxied: str, upstream: Recorder, method: str) -> None:
    line, _, body = await exchange(proxied, method.encode() + b" /x HTTP/1.1\r\n" + END)
    assert upstream.last.line.startswith(method.encode() + b" ")
    assert line == b"HTTP/1.1 200 OK"
    assert body == (b"" if method == "HEAD" else b'{"took":  1.50}')


async def test_a_path_of_our_own_with_another_method_is_elasticsearchs(proxied: str, upstream: Recorder) -> None:
    """`PUT /metrics` makes an index; a 405 would keep its owner from it."""
    for method in ("PUT", "DELETE"):
        async with httpx.AsyncClient() as client:
            for path in ("/health", "/metrics", "/rerank", "/v2/rerank", "/ready", "/info"):
                answer = await client.request(method, proxied + path)
                assert answer.status_code == 200
                assert upstream.last.line == f"{method} {path} HTTP/1.1".encode()


async def test_headers_arrive_but_those_of_the_connection(proxied: str, upstream: Recorder) -> None:
    await exchange(
        proxied,
        b"GET /x HTTP/1.1\r\nX-Opaque-Id: caf\xc3\xa9\r\nX-Two: a\r\nX-Two: b\r\nAuthorization: ApiKey c2VjcmV0\r\n"
        b"Accept: application/vnd.elasticsearch+json; compatible-with=8\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
        b"Proxy-Authorization: Basic eA==\r\nX-Hop: 1\r\nConnection: close, x-hop\r\nHost: service\r\n\r\n",
    )
    got = {name.lower(): value for name, value in upstream.last.headers}
    assert upstream.last.of(b"x-two") == [b"a", b"b"]
    assert got[b"x-opaque-id"] == b"caf\xc3\xa9"
    assert got[b"authorization"] == b"ApiKey c2VjcmV0"
    assert got[b"accept"] == b"application/vnd.elasticsearch+json; compatible-with=8"
    assert got[b"host"] == upstream.url.removeprefix("http://").encode()
    left_out = {b"te", b"keep-alive", b"proxy-authorization", b"x-hop", b"connection"}
    assert got.keys().isdisjoint(left_out)
    assert got.keys() == {b"x-opaque-id", b"x-two", b"authorization", b"accept", b"host"}, "nothing is added"


async def test_headers_come_back_but_those_of_the_connection(proxied: str, upstream: Recorder) -> None:
    upstream.answer = (
        b"HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nWarning: 299 one\r\nWarning: 299 tw\xc3\xb6\r\n"
        b"Content-Type: application/json\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nConnection: x-hop\r\n"
        b"X-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\n{}"
    )
    _, headers, body = await exchange(proxied, b"GET /x HTTP/1.1\r\n" + END)
    assert [value for name, value in headers if name == b"warning"] == [b"299 one", b"299 tw\xc3\xb6"]
    names = {name for name, _ in headers}
    assert names.isdisjoint({b"keep-alive", b"x-hop", b"transfer-encoding"})
    assert {b"x-elastic-product", b"content-type", b"x-long"} < names
    assert (b"content-length", b"2") in headers
    assert body == b"{}"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 304, 400, 401, 403, 404, 409, 413, 429, 500, 503, 599])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_statuses_come_back(proxied: str, upstream: Recorder, status: int, method: bytes) -> None:
    bodyless = status in (204, 304) or method == b"HEAD"
    upstream.answer = b"HTTP/1.1 %d Whatever\r\ncontent-length: 2\r\n\r\n%s" % (status, b"" if bodyless else b"{}")
    for _ in range(2):  # a body too many would spoil the next request on the same connection
        line, headers, body = await exchange(proxied, method + b" /x HTTP/1.1\r\n" + END)
        assert line.split()[1] == b"%d" % status
        assert body == (b"" if bodyless else b"{}")
        if status not in (204, 304):
            assert (b"content-length", b"2") in headers


async def test_a_body_of_unknown_length_comes_back(proxied: str, upstream: Recorder) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{proxied}/x")).content == b"hello"


async def test_pieces_of_an_upload_arrive_before_its_end(proxied: str, upstream: Recorder) -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for chunk in chunks(reader):
            pieces.put_nowait(chunk)
        writer.write(OK)

    upstream.answer = answer
    async with connection(proxied) as (reader, writer):
        writer.write(b"POST /_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert await asyncio.wait_for(pieces.get(), 5) == b"abc"
        writer.write(b"2\r\nde\r\n0\r\n\r\n")
        assert await asyncio.wait_for(pieces.get(), 5) == b"de"
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


async def test_pieces_of_a_response_arrive_before_its_end(proxied: str, upstream: Recorder) -> None:
    more = asyncio.Event()

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc")
        await more.wait()
        writer.write(b"de")

    upstream.answer = answer
    async with httpx.AsyncClient() as client, client.stream("GET", f"{proxied}/x") as response:
        parts = response.aiter_raw()
        assert await asyncio.wait_for(anext(parts), 5) == b"abc"
        more.set()
        assert await asyncio.wait_for(anext(parts), 5) == b"de"


async def test_an_upload_waits_for_a_slow_server(proxied: str, upstream: Recorder) -> None:
    go_on = asyncio.Event()

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        request.body = await body_of(request, reader)
        writer.write(OK)

    upstream.answer = answer
    sent = 0
    async with connection(proxied) as (reader, writer):
        writer.write(b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MANY)
        block = random.Random(1).randbytes(1_000_000)
        try:
            while True:
                writer.write(block)
                await asyncio.wait_for(writer.drain(), 0.5)
                sent += len(block)
        except TimeoutError:
            assert sent < MANY / 2, "somebody holds what the server did not take"
        go_on.set()
        for _ in range(MANY // len(block) - sent // len(block) - 1):
            writer.write(block)
            await writer.drain()
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert upstream.last.body == block * 32


async def test_a_response_waits_for_a_slow_caller(proxied: str, upstream: Recorder) -> None:
    block, sent = random.Random(2).randbytes(1_000_000), 0

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MANY)
        for _ in range(32):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    upstream.answer = answer
    async with connection(proxied) as (reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\n" + END)
        await asyncio.sleep(0.5)
        assert sent < MANY / 2, "somebody holds what the caller did not take"
        got = await reader.read(-1)
    assert got.partition(b"\r\n\r\n")[2] == block * 32


async def test_the_server_decides_whether_an_upload_goes_on(proxied: str, upstream: Recorder) -> None:
    said_no = asyncio.Event()

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert request.of(b"expect") == [b"100-continue"]
        if request.line.startswith(b"PUT /no"):
            writer.write(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
            said_no.set()
            return
        assert await _silent(reader), "the body comes unasked"
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = await body_of(request, reader)
        writer.write(OK)

    upstream.answer = answer
    head = b"PUT /%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    async with connection(proxied) as (reader, writer):
        writer.write(head % b"yes")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert upstream.last.body == b"abc"
    async with connection(proxied) as (reader, writer):
        writer.write(head % b"no")
        assert await reader.readline() == b"HTTP/1.1 417 Expectation Failed\r\n"


async def _silent(reader: asyncio.StreamReader) -> bool:
    try:
        await asyncio.wait_for(reader.read(1), 0.1)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("moment", ["uploading", "waiting", "searching", "downloading"])
async def test_when_the_caller_leaves_the_server_is_left_too(proxied: str, upstream: Recorder, moment: str) -> None:
    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if moment == "downloading":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        if await reader.read(-1) is not None:
            raise ConnectionError

    upstream.answer = answer
    length = 100_000 if moment == "uploading" else 3
    async with connection(proxied) as (reader, writer):
        path = b"_search" if moment == "searching" else b"_bulk"
        writer.write(b"POST /x/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{ }" % (path, length))
        await asyncio.wait_for(upstream.arrived.wait(), 5)
        if moment == "downloading":
            await reader.readuntil(b"abc")
        await asyncio.sleep(0.05)
        assert not upstream.left.is_set()
    await asyncio.wait_for(upstream.left.wait(), 5)


async def test_connections_are_used_again() -> None:
    async with recording() as upstream, serving({"profile": "identity", "elastic.url": upstream.url}) as proxied:
        async with httpx.AsyncClient(base_url=proxied) as client:
            for method, content in (("GET", None), ("HEAD", None), ("POST", b"{}"), ("PUT", b"x" * 100_000)) * 3:
                assert (await client.request(method, "/x", content=content)).status_code == 200
        assert upstream.connections == 1
        upstream.answer = OK.replace(b"OK", b"OK\r\nConnection: close", 1)
        for _ in range(3):
            await exchange(proxied, b"GET /x HTTP/1.1\r\n" + END)
        assert upstream.connections == 3


async def test_a_connection_that_ended_while_it_was_idle() -> None:
    """A request that only reads is sent again; any other may have been worked on."""

    async def broken(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.answer = OK
        writer.transport.abort()

    async with (
        recording() as upstream,
        serving({"profile": "identity", "elastic.url": upstream.url}) as proxied,
        httpx.AsyncClient(base_url=proxied) as client,
    ):
        for method, status in (("GET", 200), ("HEAD", 200), ("POST", 502), ("DELETE", 502), ("PUT", 502)):
            assert (await client.get("/x")).status_code == 200
            upstream.answer = broken
            assert (await client.request(method, "/x")).status_code == status, method


async def test_a_server_that_is_not_there(recorder: Recorder) -> None:
    async with recording() as gone:
        url = gone.url
    async with serving({"profile": "identity", "elastic.url": url}) as proxied, httpx.AsyncClient() as client:
        answer = await client.get(f"{proxied}/x/_doc/1")
    assert answer.status_code == 502
    assert answer.json() == _error("upstream_unreachable_exception", "Elasticsearch cannot be reached; try again later")
    assert url not in answer.text


async def test_a_server_that_goes_and_comes_back() -> None:
    port, statuses = free_port(), []
    service = serving({"profile": "identity", "elastic.url": f"http://127.0.0.1:{port}"})
    async with service as proxied, httpx.AsyncClient(base_url=proxied) as client:
        for _ in range(2):
            statuses.append((await client.post("/x/_doc", json={})).status_code)
            async with recording(port=port):
                statuses += [(await client.post("/x/_doc", json={})).status_code for _ in range(2)]
    assert statuses == [502, 200, 200] * 2


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked, identity",
    ],
)
async def test_a_body_of_two_lengths_is_refused(proxied: str, upstream: Recorder, lengths: bytes) -> None:
    """The one behind could take its end for another request."""
    body = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    line, _, _ = await exchange(proxied, b"POST /x HTTP/1.1\r\n" + lengths + b"\r\n" + END + body)
    assert line == b"HTTP/1.1 400 Bad Request"
    assert upstream.requests == []


async def test_a_length_that_the_caller_hides_is_told_all_the_same(proxied: str, upstream: Recorder) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close, content-length\r\n\r\n"
    for size in (3, 100_000):
        await exchange(proxied, head % size + b"x" * size)
        assert upstream.last.body == b"x" * size


async def test_a_server_that_breaks_off_before_its_answer(proxied: str, upstream: Recorder) -> None:
    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    upstream.answer = answer
    async with httpx.AsyncClient() as client:
        got = await client.post(f"{proxied}/x/_doc", json={})
        assert got.status_code == 502
        assert got.json()["error"]["type"] == "upstream_disconnected_exception"
        upstream.answer = OK
        assert (await client.post(f"{proxied}/x/_doc", json={})).status_code == 200


@pytest.mark.parametrize("length", [b"content-length: 9", b"transfer-encoding: chunked"])
async def test_a_server_that_breaks_off_within_its_answer(proxied: str, upstream: Recorder, length: bytes) -> None:
    """The caller must not take the half for the whole."""

    async def answer(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        half = b"4\r\nhits\r\n" if b"chunked" in length else b"hits"
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n" + half)
        await writer.drain()

    upstream.answer = answer
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{proxied}/x/_doc/1")


def _error(kind: str, reason: str, status: int = 502) -> dict[str, Any]:
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


async def test_credentials_are_never_logged(proxied: str, upstream: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Recorded, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with caplog.at_level(logging.DEBUG):
        for answer in (OK, broken):
            upstream.answer = answer
            await exchange(proxied, b"GET /x HTTP/1.1\r\nAuthorization: ApiKey dmVyeXNlY3JldA==\r\n" + END)
    assert "broke the connection off" in caplog.text
    assert "dmVyeXNlY3JldA" not in caplog.text


@pytest.mark.parametrize("target", ["@{host}/x", "{url}/x", "*", "{host}/x", "//{host}/x", "/\\{host}/x"])
async def test_no_request_chooses_a_host(proxied: str, upstream: Recorder, target: str) -> None:
    async with recording() as other:
        aimed = target.format(url=other.url, host=other.url.removeprefix("http://"))
        await exchange(proxied, b"GET " + aimed.encode() + b" HTTP/1.1\r\n" + END)
        assert other.requests == []
    for request in upstream.requests:
        assert request.of(b"host") == [upstream.url.removeprefix("http://").encode()]


async def test_the_services_own_login_is_lent_to_nobody(upstream: Recorder) -> None:
    """Neither what stands in its address nor what stands in its settings."""
    url = upstream.url.replace("http://", "http://admin:secret@")
    flags = {"profile": "identity", "elastic.url": url, "elastic.username": "admin", "elastic.password": "secret"}
    async with serving(flags) as proxied:
        await exchange(proxied, b"GET /x HTTP/1.1\r\n" + END)
    assert upstream.last.of(b"authorization") == []


async def test_certificates_are_checked_as_the_settings_say(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    for name, issuer in (("known.pem", authority), ("other.pem", stranger)):
        issuer.cert_pem.write_to_path(str(tmp_path / name))
    async with recording(tls=tls) as secure:
        cases: list[tuple[dict[str, Any], int]] = [
            ({"elastic.ca_certs": tmp_path / "known.pem"}, 200),
            ({"elastic.ca_certs": tmp_path / "other.pem"}, 502),
            ({}, 502),
            ({"elastic.verify_certs": False}, 200),
        ]
        for flags, status in cases:
            service = serving({"profile": "identity", "elastic.url": secure.url, **flags})
            async with service as proxied, httpx.AsyncClient() as client:
                assert (await client.get(f"{proxied}/x")).status_code == status, flags
