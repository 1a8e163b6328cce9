"""The vLLM engine in this process on SmolLM2-135M."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from es_reasonrank.engines.vllm import VllmEngine, VllmOptions
from tests.model.contract import MODEL, TextEngineContract

pytest.importorskip("vllm", reason="needs vLLM: make install")


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[VllmEngine]:
    engine = VllmEngine(VllmOptions(model=MODEL, dtype="float32", eager=True, context=1024))
    yield engine
    await engine.aclose()


class TestVllm(TextEngineContract):
    pass
