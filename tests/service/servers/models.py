"""A model's server as a process of its own: it orders every window the other way round, and fails as it is told.

`POST /mode {"mode": "html"}` changes how it answers, `GET /mode` says how often it was asked to
rank; killing and stopping the process are the test's.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from aiohttp import web

PROFILE = {
    "name": "backwards",
    "depth": 100,
    "strategy": {"name": "single"},
    "judge": {"name": "listwise", "template": "listwise", "thinking": False, "passage_tokens": 100_000},
    "engine": {"name": "openai", "attempts": 1, "timeout": 30},
}
"""A whole list is one window: what comes back is exactly the base order's opposite."""


class ModelServer:
    """A running server, and its process."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Its address, which stays over a restart."""
        return f"http://127.0.0.1:{self.port}"

    def profile(self, folder: Path, **more: object) -> str:
        """The file of a profile that is served here."""
        path = folder / "backwards.yaml"
        values = {**PROFILE, "engine": {**PROFILE["engine"], "base_url": self.url}, **more}  # type: ignore[dict-item]
        path.write_text(yaml.safe_dump(values))
        return str(path)

    def start(self) -> None:
        """Start it, again if need be, and wait until it answers."""
        self.process = subprocess.Popen([sys.executable, __file__, str(self.port)])
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                if httpx.get(f"{self.url}/v1/models", timeout=5).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the model's server does not start")

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It takes connections, and answers none."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def mode(self, mode: str) -> None:
        """How it answers from now on: ok, slow, html, broken, nonsense or cut."""
        httpx.post(f"{self.url}/mode", json={"mode": mode}, timeout=30).raise_for_status()

    @asynccontextmanager
    async def asked(self, times: int, seconds: float = 60.0) -> AsyncIterator[None]:
        """The block begins what asks it; behind it, it has been asked so often."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            before = (await client.get("/mode")).json()["asked"]
            yield
            async with asyncio.timeout(seconds):
                while (await client.get("/mode")).json()["asked"] < before + times:  # noqa: ASYNC110 - over HTTP
                    await asyncio.sleep(0.02)


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """A server for the time of the block."""
    server = ModelServer()
    try:
        yield server
    finally:
        server.kill()


def _app() -> web.Application:
    state: dict[str, Any] = {"mode": "ok", "asked": 0}

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "backwards", "max_model_len": 1_000_000}]})

    async def mode(request: web.Request) -> web.Response:
        if request.method == "POST":
            state.update(await request.json())
        return web.json_response(state)

    async def complete(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        shown = len(re.findall(r"^\[\d+\]", prompt, re.MULTILINE))
        state["asked"] += shown > 0
        match state["mode"]:
            case "slow" if shown:
                await asyncio.sleep(20)
            case "html":
                return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
            case "broken":
                return web.Response(status=500, text="Traceback: 3 > 1 > 2")
            case "cut":
                assert request.transport is not None
                request.transport.close()
        answer = "I like them all." if state["mode"] == "nonsense" else _backwards(shown)
        return web.json_response(
            {
                "choices": [{"message": {"content": answer}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
            }
        )

    async def tokenize(request: web.Request) -> web.Response:
        body = await request.json()
        text = body["prompt"] if "prompt" in body else " ".join(row["content"] for row in body["messages"])
        return web.json_response({"tokens": list(range(len(text.split()))), "count": len(text.split())})

    app = web.Application(client_max_size=100_000_000)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_post("/tokenize", tokenize)
    app.router.add_route("*", "/mode", mode)
    return app


def _backwards(shown: int) -> str:
    return " > ".join(f"[{number}]" for number in range(shown, 0, -1))


if __name__ == "__main__":
    web.run_app(_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
