"""The body of one request as it comes in. Whether its caller is still there is `Leaving`'s to look after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive


class CallerLeftError(Exception):
    """Nobody waits for the answer any more."""


class Caller:
    """The body is read once: by `read`, then by `stream` where it is too long, or by `stream` alone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[bytes] = []
        self._more = True

    async def read(self, most: int) -> bytes | None:
        """The whole body; None where it has more bytes than `most`, and `stream` still gives all of it.

        Raises:
            CallerLeftError: it does not come to its end.
        """
        size = 0
        while self._more:
            chunk = await self._chunk()
            self._read.append(chunk)
            size += len(chunk)
            if size > most:
                return None
        body, self._read = b"".join(self._read), []
        return body

    async def stream(self) -> AsyncIterator[bytes]:
        """The body's pieces, as they come. The caller is asked for one only when it is wanted.

        Raises:
            CallerLeftError: it does not come to its end.
        """
        for chunk in self._read:
            if chunk:
                yield chunk
        self._read = []
        while self._more:
            chunk = await self._chunk()
            if chunk:
                yield chunk

    async def _chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise CallerLeftError
        self._more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk
