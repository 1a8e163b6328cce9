"""Small HTTP servers that behave, and misbehave, as told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Step = Handler | dict[str, Any]


def choice(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion."""
    return {
        "choices": [{"message": message, "finish_reason": finish, **more}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def answering(
    status: int, text: str = "", content_type: str = "application/json", headers: dict[str, str] | None = None
) -> Handler:
    """Always the same answer."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return handler


async def hanging(request: web.Request) -> web.StreamResponse:
    """No answer for a while."""
    await asyncio.sleep(5)
    return web.Response()


async def dribbling(request: web.Request) -> web.StreamResponse:
    """A byte now and then: no single read of it takes long."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(100):
        await answer.write(b" ")
        await asyncio.sleep(0.05)
    return answer


async def dying(request: web.Request) -> web.StreamResponse:
    """The connection is lost in the middle of an answer."""
    answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.close()
    return answer


class ScriptedServer:
    """Completions by a script of steps, one a request, the last one for ever; /tokenize splits at spaces."""

    def __init__(self, *script: Step, model: str = "served-model") -> None:
        self.script = list(script)
        self.model = model
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[Any] = []
        self.busy = self.most = 0
        self.tokenizes = True
        self.words: list[str] = []
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/detokenize", self._detokenize)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.server.make_url("/")).rstrip("/")

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self.model, "max_model_len": 4096, "root": "/weights"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.paths.append(request.path)
        self.headers.append(request.headers)
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            return web.json_response(step) if isinstance(step, dict) else await step(request)
        finally:
            self.busy -= 1

    async def _tokenize(self, request: web.Request) -> web.Response:
        if not self.tokenizes:
            raise web.HTTPNotFound
        body = await request.json()
        text = body["prompt"] if "prompt" in body else " ".join(row["content"] for row in body["messages"])
        tokens = [self._number(word) for word in text.split(" ")] if text else []
        return web.json_response({"count": len(tokens), "tokens": tokens})

    def _number(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    async def _detokenize(self, request: web.Request) -> web.Response:
        tokens = (await request.json())["tokens"]
        return web.json_response({"prompt": " ".join(self.words[token] for token in tokens)})
