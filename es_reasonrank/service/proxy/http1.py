"""One connection to the server, HTTP/1.1: requests go out and responses come in as bytes, one after the other.

A general client costs a request more time than all the rest of the proxy, for things that a proxy must not do:
cookies, redirects, decoding, headers of its own. The parser is httptools, as it is on the service's other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from httptools import HttpParserError, HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Callable

Body = bytes | AsyncIterator[bytes] | None

_ENOUGH = 1 << 18
"""Bytes of a response that wait here before the server is made to wait."""
_BODYLESS = frozenset({204, 304})


class Connection(asyncio.Protocol):
    """An open connection. `ask` sends a request; then this is its response, until the next.

    async with connection.ask(head, body, ...):   # ends the exchange: the connection is kept, or closed
        await connection.began()                  # status and headers are there
        async for piece in connection.pieces(): ...
    """

    def __init__(self, release: Callable[[Connection], None]) -> None:
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None
        self._changed: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._upload: asyncio.Task[None] | None = None
        self.idle_since = 0.0
        self.used = 0
        """Requests that were sent over it."""
        self._clear()

    def _clear(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self._began = False
        self._bodyless = False
        self._keeps = False
        self._pieces: list[bytes] = []
        self._held = 0
        self._go_on: asyncio.Future[None] | None = None
        self._parser = HttpResponseParser(self)

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return self._lost is not None or self._transport is None or self._transport.is_closing()

    def ask(self, head: bytes, body: Body, *, is_head: bool, chunked: bool, waits: bool) -> Self:
        """Send a request.

        Args:
            head: request line and headers, the empty line included.
            is_head: whether it is a HEAD request, whose response has no body.
            chunked: whether the body's length is not told.
            waits: whether the body is sent only when the server says that it wants it.
        """
        assert self._transport is not None
        self._clear()
        self.used += 1
        self._bodyless = is_head
        if waits:
            self._go_on = asyncio.get_running_loop().create_future()
        if body is None or (isinstance(body, bytes) and not waits):
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._upload = asyncio.create_task(self._send(body, chunked))
            self._upload.add_done_callback(self._sent)
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        upload, self._upload = self._upload, None
        uploading = upload is not None and upload.cancel()
        if uploading or not self.complete or self.closed or not self._keeps:
            self.abort()
        else:
            self._release(self)

    async def began(self) -> None:
        """Wait until status and headers are there.

        Raises:
            OSError: the connection ended before.
        """
        while not self._began:
            await self._wait()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes in.

        Raises:
            OSError: the connection ended before it was whole.
        """
        while True:
            if self._pieces:
                yield self._taken()
            elif self.complete:
                return
            else:
                await self._wait()

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    def abort(self) -> None:
        """Close it, whatever it is doing."""
        if self._transport is not None:
            self._transport.abort()

    def _taken(self) -> bytes:
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._held > _ENOUGH and self._transport is not None and not self.complete:
            self._transport.resume_reading()
        self._held = 0
        return taken

    async def _wait(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def _change(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # The body that goes out.

    async def _send(self, body: bytes | AsyncIterator[bytes], chunked: bool) -> None:
        if self._go_on is not None:
            await self._go_on
        if isinstance(body, bytes):
            self._write(body)
            return
        async for piece in body:
            self._write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if self._writable is not None:
                await self._writable
        if chunked:
            self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if self._lost is None:
            self._transport.write(data)

    def _sent(self, upload: asyncio.Task[None]) -> None:
        """A body that cannot be read to its end leaves the server waiting: nothing can come of that any more."""
        if not upload.cancelled() and (error := upload.exception()) is not None:
            self._lose(cast(Exception, error))
            self.abort()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # The response that comes in.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            if self.complete:
                raise ConnectionResetError("the server speaks without being asked")
            self._parser.feed_data(data)
        except (HttpParserError, ConnectionResetError) as error:
            self._lose(ConnectionResetError(f"no HTTP response: {error}"))
            self.abort()

    def eof_received(self) -> None:
        """A body whose length was not told ends with the connection."""
        told = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        if self._began and not told:
            self.complete = True
        self._lose(ConnectionResetError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc or ConnectionResetError("the server closed the connection"))
        self.resume_writing()

    def _lose(self, error: Exception) -> None:
        if self._lost is None:
            self._lost = error
        self._change()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._began = True
        self._keeps = self._parser.should_keep_alive()  # the parser forgets it with the end of the message
        if self._bodyless or self.status in _BODYLESS:
            self.complete = True
        self._change()

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self._lose(ConnectionResetError("a body where none belongs"))
            return
        self._pieces.append(body)
        self._held += len(body)
        if self._held > _ENOUGH and self._transport is not None:
            self._transport.pause_reading()
        self._change()

    def on_message_complete(self) -> None:
        if self._began:
            self.complete = True
            self._change()
            return
        self.headers.clear()  # they were those of an interim response
        if self.status == 100 and self._go_on is not None and not self._go_on.done():
            self._go_on.set_result(None)
