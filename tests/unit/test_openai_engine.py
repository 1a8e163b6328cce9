"""The engine for OpenAI-compatible servers against a small server that behaves, and misbehaves, as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from es_reasonrank.engines.base import Completion, Finish, Request, Sampling
from es_reasonrank.engines.openai import OpenAIEngine, OpenAIOptions, chat_body, read_completion
from es_reasonrank.errors import EngineError, MissingError

ASK = Request(({"role": "user", "content": "order these"},), max_tokens=50, stop=("</answer>",))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def choice(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    return {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


class Server:
    """Chat completions by a script of handlers, one a request; /tokenize splits at spaces."""

    def __init__(self) -> None:
        self.script: list[Handler | dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.tokenizes = True
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/tokenize", self.tokenize)
        app.router.add_post("/detokenize", self.detokenize)
        self.server = TestServer(app)

    def engine(self, **options: Any) -> OpenAIEngine:
        return OpenAIEngine(OpenAIOptions(base_url=str(self.server.make_url("/v1")), attempts=3, **options))

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "served-model", "max_model_len": 4096}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(request.headers)
        step = self.script.pop(0)
        return web.json_response(step) if isinstance(step, dict) else await step(request)

    async def tokenize(self, request: web.Request) -> web.Response:
        if not self.tokenizes:
            raise web.HTTPNotFound
        body = await request.json()
        text = body.get("prompt") or " ".join(message["content"] for message in body["messages"])
        words = text.split(" ")
        self.words = dict(enumerate(words))
        return web.json_response({"count": len(words), "tokens": list(self.words)})

    async def detokenize(self, request: web.Request) -> web.Response:
        tokens = (await request.json())["tokens"]
        return web.json_response({"prompt": " ".join(self.words[token] for token in tokens)})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.server.start_server()
    yield server
    await server.server.close()


def answering(status: int, text: str = "", content_type: str = "application/json") -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    return handler


async def test_a_completion(server: Server) -> None:
    server.script = [choice({"content": "<answer>[1]", "reasoning": "because"})]
    engine = server.engine(api_key="key")
    assert await engine.generate(ASK) == Completion("<answer>[1]", Finish.STOP, "because", 7, 3)
    assert await engine.context() == 4096
    assert server.bodies[0]["model"] == "served-model"
    assert server.headers[0]["Authorization"] == "Bearer key"
    await engine.aclose()


async def test_overload_and_failure_are_tried_again(server: Server) -> None:
    server.script = [answering(429), answering(503, "<html>busy</html>", "text/html"), choice({"content": "[1]"})]
    engine = server.engine()
    assert (await engine.generate(ASK)).text == "[1]"
    await engine.aclose()


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (answering(502, "<html><h1>Bad gateway [3] > [1]</h1></html>", "text/html"), "answered 502: Bad Gateway"),
        (answering(400, '{"error": {"message": "too long"}}'), "answered 400: too long"),
        (answering(404, '{"error": "no such model"}'), "answered 404: no such model"),
        (answering(200, "<html>hello</html>", "text/html"), "something that is not JSON"),
        (answering(200, "[]"), "JSON of another shape"),
        (answering(200, "{}"), "holds no choice"),
        (answering(200, '{"choices": []}'), "holds no choice"),
    ],
)
async def test_a_failure_is_an_error_and_never_a_reply(server: Server, handler: Handler, sentence: str) -> None:
    server.script = [handler] * 3
    engine = server.engine()
    with pytest.raises(EngineError) as caught:
        await engine.generate(ASK)
    assert sentence in str(caught.value)
    assert "[3]" not in str(caught.value)
    await engine.aclose()


async def test_a_server_that_hangs(server: Server) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    server.script = [hang]
    engine = server.engine(timeout=0.2)
    engine.options = engine.options.model_copy(update={"attempts": 1})
    with pytest.raises(EngineError, match=r"gives no answer"):
        await engine.generate(ASK)
    await engine.aclose()


async def test_a_server_that_is_not_there() -> None:
    engine = OpenAIEngine(OpenAIOptions(base_url="http://127.0.0.1:9", attempts=1))
    with pytest.raises(EngineError, match=r"http://127.0.0.1:9 gives no answer"):
        await engine.start()
    await engine.aclose()


async def test_passages_are_cut_by_the_servers_tokens(server: Server) -> None:
    engine = server.engine()
    assert await engine.cut(["one two three four", "short"], 2) == ["one two", "short"]
    assert await engine.count(ASK) == 2
    await engine.aclose()


async def test_a_server_without_tokens_wants_a_tokenizer(server: Server) -> None:
    server.tokenizes = False
    engine = server.engine()
    with pytest.raises(MissingError, match=r"name the model's tokenizer"):
        await engine.cut(["one two"], 1)
    await engine.aclose()


def test_a_body_holds_only_what_is_not_the_default() -> None:
    assert chat_body(ASK) == {
        "messages": [{"role": "user", "content": "order these"}],
        "max_tokens": 50,
        "temperature": 0.0,
        "stop": ["</answer>"],
    }


def test_a_body_with_everything() -> None:
    request = Request(
        ({"role": "user", "content": "x"},),
        max_tokens=5,
        sampling=Sampling(temperature=0.6, top_p=0.95, top_k=20, min_p=0.1, seed=0),
        prefix="<think>",
        chat_options={"enable_thinking": True},
    )
    body = chat_body(request)
    assert body["messages"][-1] == {"role": "assistant", "content": "<think>"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert (body["top_p"], body["top_k"], body["min_p"], body["seed"]) == (0.95, 20, 0.1, 0)
    assert body["chat_template_kwargs"] == {"enable_thinking": True}


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": None, "reasoning_content": "cut"}, "length", Completion("", Finish.LENGTH, "cut", 7, 3)),
        ({"content": None, "refusal": "I will not"}, "stop", Completion("I will not", Finish.REFUSED, "", 7, 3)),
        ({"content": ""}, "content_filter", Completion("", Finish.REFUSED, "", 7, 3)),
        ({"content": "[1]"}, None, Completion("[1]", Finish.STOP, "", 7, 3)),
    ],
)
def test_what_servers_answer(message: dict[str, Any], finish: str, expected: Completion) -> None:
    assert read_completion(choice(message, finish)) == expected
