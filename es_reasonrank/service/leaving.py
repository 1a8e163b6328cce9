"""Around every request: work for a client that left is broken off, and no client is left without an answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATIENCE = 0.05
"""Seconds of a request until anyone looks whether its client is still there: most are answered by then."""
_REASON = "the service is about to stop; send the request again"
_STOPPING = json.dumps(
    {
        "error": {
            "root_cause": [{"type": "es_reasonrank_stopping", "reason": _REASON}],
            "type": "es_reasonrank_stopping",
            "reason": _REASON,
        },
        "status": 503,
    }
).encode()


class Leaving:
    """ASGI middleware, the outermost. Without it, a search whose client has hung up would hold its place for long.

    A request that is cut because the service stops gets a 503 in Elasticsearch's shape, where nothing was sent yet.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            exchange.task.uncancel()
            if not exchange.left and not exchange.begun:
                await _refuse(send)
        finally:
            exchange.end()


class _Exchange:
    """One request and its response, watched while the work lasts."""

    def __init__(self, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.left = False
        self.begun = False
        self._receive = receive
        self._send = send
        self._whole = False
        self._answered = False
        self._gone: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next message of the client's; behind the whole request, only that he left."""
        if self._whole:
            if self._gone is None:
                self._gone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._gone)
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._whole = True
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._watch)
        return message

    async def send(self, message: Message) -> None:
        """A message of the response."""
        self.begun = True
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._answered = True
        await self._send(message)

    def end(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _watch(self) -> None:
        self._watcher = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        """Break the work off when the client leaves; what is done behind a whole response goes on."""
        await self._receive()
        if self._answered:
            return
        self.left = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self.task.cancel()


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_STOPPING)).encode()),
        (b"x-elastic-product", b"Elasticsearch"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _STOPPING})
