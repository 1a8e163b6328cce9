"""A server that keeps what arrives byte for byte, and answers as it is told; and a client as plain as it is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answer = Callable[["Recorded", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"took":  1.50}'


@dataclass
class Recorded:
    """One request."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def of(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Recorder:
    """What came, and what is answered: bytes, or a function that does what it likes with the connection."""

    url: str = ""
    answer: bytes | Answer = OK
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection ended before its answer did."""

    @property
    def last(self) -> Recorded:
        """The request that came last."""
        return self.requests[-1]


@asynccontextmanager
async def recording(
    answer: bytes | Answer = OK, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Recorder]:
    """A running recorder."""
    recorder = Recorder(answer=answer)
    tasks: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        recorder.connections += 1
        try:
            while await _one(recorder, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            recorder.left.set()
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls, limit=1 << 20)
    scheme = "https" if tls else "http"
    recorder.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield recorder
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(recorder: Recorder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    sent = await _head(reader)
    if sent is None:
        return False
    line, *rest = sent.split(b"\r\n")
    headers = [(name, value.strip()) for name, _, value in (row.partition(b":") for row in rest)]
    request = Recorded(line, headers)
    recorder.requests.append(request)
    recorder.arrived.set()
    if callable(recorder.answer):
        await recorder.answer(request, reader, writer)
        return False
    request.body = await body_of(request, reader)
    head, end, body = recorder.answer.partition(b"\r\n\r\n")
    writer.write(head + end + (b"" if request.line.startswith(b"HEAD ") else body))
    await writer.drain()
    return True


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


async def body_of(request: Recorded, reader: asyncio.StreamReader) -> bytes:
    """The body of a request whose head was read."""
    if request.of(b"transfer-encoding"):
        return b"".join([chunk async for chunk in chunks(reader)])
    length = request.of(b"content-length")
    return await reader.readexactly(int(length[0])) if length else b""


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The pieces of a chunked body."""
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Streams]:
    """A bare connection to a server."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(url: str, request: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Send bytes; get the status line, the headers and all that follows until the connection ends."""
    async with connection(url) as (reader, writer):
        writer.write(request)
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    return line, [(name, value.strip()) for name, _, value in (row.partition(b":") for row in rest)], body


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
