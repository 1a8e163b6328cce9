"""What becomes of a request's work when its client leaves, or when the service stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from es_reasonrank.service.leaving import Leaving


class Client:
    """One side of a connection: sends a request, collects what comes back, and leaves when told."""

    def __init__(self, *bodies: bytes) -> None:
        self._messages = [
            {"type": "http.request", "body": body, "more_body": place < len(bodies) - 1}
            for place, body in enumerate(bodies)
        ]
        self.left = asyncio.Event()
        self.got: list[Any] = []

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.got.append(message)

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.got if message["type"] == "http.response.start"), None)


class App:
    """Reads the whole body, begins its answer if told to, and then works until it is let."""

    def __init__(self, *, begins: bool = False, ends: bool = False) -> None:
        self.begins = begins
        self.ends = ends
        self.go = asyncio.Event()
        self.done = False
        self.cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": not self.ends})
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if not self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if not self.ends:
            await send({"type": "http.response.body", "body": b"b"})
        self.done = True


def served(app: Any, client: Client) -> asyncio.Task[None]:
    async def serve() -> None:
        await Leaving(app)({"type": "http"}, client.receive, client.send)

    return asyncio.create_task(serve())


@pytest.mark.parametrize("begins", [False, True])
async def test_work_for_a_client_that_left_is_broken_off(begins: bool) -> None:
    app, client = App(begins=begins), Client(b"a", b"b")
    task = served(app, client)
    await asyncio.sleep(0.1)
    client.left.set()
    await asyncio.wait_for(task, 1)
    assert app.cancelled
    assert client.status == (200 if begins else None)


async def test_a_client_that_stays_gets_his_answer() -> None:
    app, client = App(), Client(b"a")
    task = served(app, client)
    await asyncio.sleep(0.1)
    app.go.set()
    await task
    assert (client.status, client.got[-1]["body"]) == (200, b"b")


async def test_work_behind_the_whole_answer_goes_on() -> None:
    app, client = App(begins=True, ends=True), Client(b"")
    task = served(app, client)
    await asyncio.sleep(0.1)
    client.left.set()
    await asyncio.sleep(0.05)
    app.go.set()
    await asyncio.wait_for(task, 1)
    assert app.done


@pytest.mark.parametrize(("begins", "status"), [(False, 503), (True, 200)])
async def test_what_the_end_of_the_service_cuts_is_answered(begins: bool, status: int) -> None:
    app, client = App(begins=begins), Client(b"")
    task = served(app, client)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait_for(task, 1)
    assert client.status == status
    assert len([message for message in client.got if message["type"] == "http.response.start"]) == 1


async def test_whoever_listens_beside_the_work_hears_of_the_end() -> None:
    """A response in pieces is sent by one task while another listens for the client's leaving."""
    listening: list[asyncio.Task[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        listening.append(asyncio.create_task(receive()))
        await asyncio.Event().wait()

    client = Client(b"")
    task = served(app, client)
    await asyncio.sleep(0.1)
    client.left.set()
    await asyncio.wait_for(task, 1)
    assert await asyncio.wait_for(listening[0], 1) == {"type": "http.disconnect"}


async def test_errors_are_not_touched() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await served(app, Client(b""))
