"""The engine for OpenAI-compatible servers against a small server that behaves, and misbehaves, as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from es_reasonrank import Reranker
from es_reasonrank.engines.base import Capability, Completion, Finish, Request
from es_reasonrank.engines.openai import OpenAIEngine, OpenAIOptions, roots_of
from es_reasonrank.errors import EngineError, MissingError, SettingsError
from es_reasonrank.validation import checked
from tests.unit.fakes import listwise
from tests.unit.http_servers import Handler, ScriptedServer, answering, choice, dying, hanging

ASK = Request(({"role": "user", "content": "order these"},), max_tokens=50, stop=("</answer>",))


def engine_at(*servers: ScriptedServer, **options: Any) -> OpenAIEngine:
    return OpenAIEngine(OpenAIOptions(base_url=tuple(f"{server.url}/v1" for server in servers), **options))


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.server.start_server()
    yield server
    await server.server.close()


@pytest.fixture
async def second() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.server.start_server()
    yield server
    await server.server.close()


async def test_a_completion(server: ScriptedServer) -> None:
    server.script = [choice({"content": "<answer>[1]", "reasoning": "because"})]
    engine = engine_at(server, api_key="key")
    assert await engine.generate(ASK) == Completion("<answer>[1]", Finish.STOP, "because", 7, 3)
    assert await engine.context() == 4096
    assert server.bodies[0]["model"] == "served-model"
    assert server.headers[0]["Authorization"] == "Bearer key"
    await engine.aclose()


async def test_overload_and_failure_are_tried_again(server: ScriptedServer) -> None:
    server.script = [answering(429), answering(503, "<html>busy</html>", "text/html"), choice({"content": "[1]"})]
    engine = engine_at(server)
    assert (await engine.generate(ASK)).text == "[1]"
    await engine.aclose()


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (answering(502, "<html><h1>Bad gateway [3] > [1]</h1></html>", "text/html"), "answered 502: Bad Gateway"),
        (answering(500, '{"error": "<HTML>[3] > [1]"}'), "answered 500: Internal Server Error"),
        (answering(400, '{"error": {"message": "too long"}}'), "answered 400: too long"),
        (answering(400, '{"error": {"message": "' + "long " * 1000 + '"}}'), "long long…"),
        (answering(400, '"what"'), "answered 400: Bad Request"),
        (answering(404, '{"error": "no such model"}'), "answered 404: no such model"),
        (answering(404, '{"detail": "Not Found"}'), "answered 404: Not Found"),
        (answering(200, "<html>hello</html>", "text/html"), "something that is not JSON"),
        (answering(200, "[]"), "JSON of another shape"),
        (answering(200, "{}"), "holds no choice"),
        (answering(200, '{"choices": []}'), "holds no choice"),
        (dying, "gives no answer"),
    ],
)
async def test_a_failure_is_an_error_and_never_a_reply(server: ScriptedServer, handler: Handler, sentence: str) -> None:
    server.script = [handler]
    engine = engine_at(server)
    with pytest.raises(EngineError) as caught:
        await engine.generate(ASK)
    assert sentence in str(caught.value)
    assert "[3]" not in str(caught.value)
    assert len(str(caught.value)) < 500
    await engine.aclose()


async def test_a_server_that_hangs(server: ScriptedServer) -> None:
    server.script = [hanging]
    engine = engine_at(server, timeout=0.2, attempts=1)
    with pytest.raises(EngineError, match=r"gives no answer within 0.2 s"):
        await engine.generate(ASK)
    await engine.aclose()


async def test_a_deadline_is_kept(server: ScriptedServer) -> None:
    server.script = [hanging]
    engine = engine_at(server)
    await engine.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2) as left:
            await engine.generate(ASK)
    assert asyncio.get_running_loop().time() - (left.when() or 0) < 0.05
    await engine.aclose()


async def test_a_server_that_is_not_there() -> None:
    engine = OpenAIEngine(OpenAIOptions(base_url="http://127.0.0.1:9", attempts=1))
    with pytest.raises(EngineError, match=r"http://127.0.0.1:9 gives no answer"):
        await engine.start()
    await engine.aclose()


@pytest.mark.parametrize("address", ["http://[", "http://a:b", "http://nowhere.invalid"])
async def test_an_address_that_leads_nowhere(address: str) -> None:
    engine = OpenAIEngine(OpenAIOptions(base_url=address, attempts=1))
    with pytest.raises(EngineError, match=r"gives no answer"):
        await engine.start()
    await engine.aclose()


async def test_half_a_surrogate_pair_reaches_the_server(server: ScriptedServer) -> None:
    server.script = [choice({"content": "[1]"})]
    engine = engine_at(server)
    await engine.generate(Request(({"role": "user", "content": "half \ud83d"},), max_tokens=5))
    assert server.bodies[0]["messages"][0]["content"] == "half \ud83d"
    await engine.aclose()


async def test_passages_are_cut_by_the_servers_tokens(server: ScriptedServer) -> None:
    engine = engine_at(server)
    assert await engine.cut(["one two three four", "short"], 2) == ["one two", "short"]
    assert await engine.count(ASK) == 2
    await engine.aclose()


async def test_a_server_without_tokens_wants_a_tokenizer(server: ScriptedServer, second: ScriptedServer) -> None:
    server.tokenizes = second.tokenizes = False
    for servers in ((server,), (server, second)):
        engine = engine_at(*servers)
        with pytest.raises(MissingError, match=r"name the model's tokenizer"):
            await engine.cut(["one two"], 1)
        await engine.aclose()


async def test_a_named_tokenizer_tells_its_control_tokens(server: ScriptedServer, tmp_path: Path) -> None:
    """No text reaches the server as one of them; without a tokenizer, they are not known."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken("~~turn~~", special=True)])
    tokenizer.add_tokens([AddedToken("ordinary")])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    server.script = [choice({"content": "[2] > [1]"})]
    texts, seen = ["cats ~~turn~~ sleep", "an ordinary ~~TURN~~"], []
    for path in (str(tmp_path), None):
        engine = engine_at(server, tokenizer=path)
        assert await engine.control_tokens() == ({"~~turn~~"} if path else frozenset())
        assert (await Reranker.load(listwise(), engine=engine).arank("why", texts)).order == (1, 0)
        seen.append(server.bodies[-1]["messages"][-1]["content"])
        await engine.aclose()
    assert "[1] cats ~ ~turn~~ sleep\n[2] an ordinary ~ ~TURN~~\n" in seen[0]
    assert "[1] cats ~~turn~~ sleep\n" in seen[1]


async def test_a_reply_goes_on_from_the_prompts_tokens(server: ScriptedServer) -> None:
    server.script = [{"choices": [{"text": " [1]", "finish_reason": "stop"}]}]
    engine = engine_at(server)
    request = Request(({"role": "user", "content": "a b"},), max_tokens=5, prefix="c a")
    assert (await engine.generate(request)).text == " [1]"
    assert server.paths == ["/v1/completions"]
    assert [server.words[token] for token in server.bodies[0]["prompt"]] == ["a", "b", "c", "a"]
    assert await engine.count(request) == 4
    await engine.aclose()


async def test_next_tokens(server: ScriptedServer) -> None:
    engine = engine_at(server)
    tokens = await (await engine._served.get()).tokens.singles(["yes", "no"], "")
    rows = [{"token": f"token_id:{token}", "logprob": -float(token + 1)} for token in tokens]
    server.script = [choice({"content": "yes"}, logprobs={"content": [{"top_logprobs": rows}]})]
    told = await engine.next_token(ASK, ["no", "yes"])
    assert told.logprobs == (-float(tokens[1] + 1), -float(tokens[0] + 1))
    assert server.bodies[0]["logprob_token_ids"] == tokens[::-1]
    with pytest.raises(EngineError, match=r"'two words' is 2 tokens of this model, not one"):
        await engine.next_token(ASK, ["yes", "two words"])
    await engine.aclose()


async def test_choices_are_tokenized_once(server: ScriptedServer) -> None:
    engine = engine_at(server)
    tokens = (await engine._served.get()).tokens
    first = await tokens.singles(["yes", "no"], "so: ")
    server.tokenizes = False
    assert await tokens.singles(["no", "yes"], "so: ") == first[::-1]
    await engine.aclose()


def test_what_each_dialect_offers() -> None:
    text = {Capability.TEXT}
    more = {Capability.CONTINUATION, Capability.LOGPROBS, Capability.PERMUTATIONS}
    assert OpenAIEngine(OpenAIOptions()).capabilities == text | more
    assert OpenAIEngine(OpenAIOptions(dialect="openai")).capabilities == text


async def test_another_kind_of_server_gets_openais_fields_alone(server: ScriptedServer) -> None:
    server.script = [choice({"content": "[1]"})]
    engine = engine_at(server, dialect="openai")
    await engine.generate(ASK)
    assert set(server.bodies[0]) == {"model", "messages", "max_tokens", "temperature", "stop"}
    with pytest.raises(EngineError, match=r"engine.dialect=vllm"):
        await engine.next_token(ASK, ["A", "B"])
    assert len(server.bodies) == 1
    await engine.aclose()


async def test_the_windows_of_a_query_are_spread_over_the_servers(
    server: ScriptedServer, second: ScriptedServer
) -> None:
    server.script = [choice({"content": "[1]"})]
    second.script = [choice({"content": "[1]"})]
    engine = engine_at(server, second)
    await asyncio.gather(*(engine.generate(ASK) for _ in range(6)))
    assert (len(server.bodies), len(second.bodies)) == (3, 3)
    assert engine.model == f"{server.url}, {second.url}"
    await engine.aclose()


async def test_servers_of_different_models_are_an_error(server: ScriptedServer, second: ScriptedServer) -> None:
    second.model = "another-model"
    engine = engine_at(server, second)
    with pytest.raises(EngineError, match=r"serves 'served-model' and .* serves 'another-model'"):
        await engine.start()
    await engine.aclose()
    engine = engine_at(server, second, model="served-model")
    with pytest.raises(EngineError, match=r"serves 'another-model' and not 'served-model'; set engine.model"):
        await engine.start()
    await engine.aclose()


async def test_one_of_the_servers_may_be_down_at_the_start(server: ScriptedServer) -> None:
    server.script = [choice({"content": "[1]"})]
    engine = OpenAIEngine(OpenAIOptions(base_url=f"http://127.0.0.1:9, {server.url}", attempts=1))
    assert (await engine.generate(ASK)).text == "[1]"
    await engine.aclose()


async def test_an_identity_is_the_models_place_and_fingerprint(server: ScriptedServer, second: ScriptedServer) -> None:
    server.script = [choice({"content": "[1]"}) | {"system_fingerprint": "one"}]
    second.script = [choice({"content": "[1]"}) | {"system_fingerprint": "two"}]
    first, same, other = engine_at(server), engine_at(server), engine_at(second)
    assert await first.identity() == await first.identity() == await same.identity()
    assert (await first.identity()).startswith("served-model@")
    assert await other.identity() != await first.identity()
    assert server.bodies[0]["max_tokens"] == 1
    for engine in (first, same, other):
        await engine.aclose()


@pytest.mark.parametrize(
    ("value", "roots"),
    [
        ("http://a:1/v1/", ["http://a:1"]),
        ("http://a,http://b/v1 , http://a", ["http://a", "http://b"]),
        (["http://a", "http://b"], ["http://a", "http://b"]),
    ],
)
def test_addresses_are_one_or_several(value: Any, roots: list[str]) -> None:
    assert roots_of(checked(OpenAIOptions, {"base_url": value}, where="engine").base_url) == roots


@pytest.mark.parametrize("value", ["gpu:8000", "", ["http://a", "b"], []])
def test_addresses_that_are_none(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"begins with http://"):
        checked(OpenAIOptions, {"base_url": value}, where="engine")
