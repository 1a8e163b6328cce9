"""The vLLM engine in this process on SmolLM2-135M, under a LoRA adapter that changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from es_reasonrank.engines.adapters import find_adapter
from es_reasonrank.engines.base import Sampling
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.permutation import Permutation
from es_reasonrank.engines.vllm import VllmEngine, VllmOptions
from es_reasonrank.errors import EngineError, MissingError
from tests.model.contract import MODEL, Reference, TextEngineContract, ask, numbered, referring
from tests.model.outcomes import OutcomesContract

pytest.importorskip("vllm", reason="needs vLLM: make install")
pytest.importorskip("peft", reason="makes adapters: make install")


def make_adapter(folder: Path, *, changes: bool) -> str:
    """An adapter of rank 4: new ones change nothing, since their second factor is zero; or a random one."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(resolve(MODEL), dtype="float32")
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]))
    for name, weights in adapted.named_parameters():
        if changes and "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    adapted.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("adapters")
    return make_adapter(folder / "zero", changes=False), make_adapter(folder / "random", changes=True)


@pytest.fixture(scope="module")
async def engine(adapters: tuple[str, str]) -> AsyncIterator[VllmEngine]:
    options = VllmOptions(model=MODEL, adapter=adapters[0], dtype="float32", eager=True, context=1024)
    engine = VllmEngine(options)
    yield engine
    await engine.aclose()


class TestVllm(TextEngineContract, OutcomesContract):
    async def test_an_adapter_changes_the_model(
        self, engine: VllmEngine, adapters: tuple[str, str], reference: Reference
    ) -> None:
        """The loaded model once more, under another adapter: one process serves both."""
        from vllm.lora.request import LoRARequest

        loaded = await engine._loaded.get()
        other = VllmEngine(VllmOptions(model=MODEL, adapter=adapters[1]))

        async def load() -> Any:
            return replace(loaded, adapter=LoRARequest("random", 2, adapters[1]))

        other._loaded = Once(load)
        request = ask("Which letter comes first?")
        plain, changed = await asyncio.gather(engine.next_token(request, "ABC"), other.next_token(request, "ABC"))
        assert plain.logprobs == pytest.approx(reference(request, "ABC"), abs=0.05)
        assert changed.logprobs == pytest.approx(referring(resolve(MODEL), adapters[1])(request, "ABC"), abs=0.05)
        assert max(abs(one - two) for one, two in zip(plain.logprobs, changed.logprobs, strict=True)) > 0.2

    async def test_an_adapter_is_part_of_the_identity(self, engine: VllmEngine, adapters: tuple[str, str]) -> None:
        assert adapters[0] in await engine.identity()
        assert "float32" in await engine.identity()

    async def test_many_replies_are_held_at_once(self, engine: VllmEngine) -> None:
        """Rows come and go while others go on."""
        windows = [numbered(size) for size in (2, 5, 20, 3, 12, 7)]
        heats = [Sampling(temperature=heat) for heat in (1.5, 0.0, 0.0, 1.5, 1.5, 0.7)]
        requests = [
            ask("Tell a story.", max_tokens=150, permutation=window, sampling=heat)
            for window, heat in zip(windows, heats, strict=True)
        ]
        replies = await asyncio.gather(*(engine.generate(request) for request in requests))
        assert [sorted(reply.text.split(" > ")) for reply in replies] == [sorted(window) for window in windows]


def test_an_adapter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"adapter folder /nowhere does not exist"):
        find_adapter("/nowhere")
    with pytest.raises(MissingError, match=r"holds no LoRA adapter"):
        find_adapter(str(tmp_path))


def test_an_adapter_has_room_for_its_rank(adapters: tuple[str, str]) -> None:
    adapter = find_adapter(adapters[0])
    assert (adapter.rank, adapter.slot) == (4, 8)
    assert replace(adapter, rank=17).slot == 32


def test_the_second_runners_rows_are_held() -> None:
    """Its logits processor by itself, on a batch as the runner lays it out: it needs a GPU to run in."""
    import numpy as np
    import torch

    from es_reasonrank.engines.vllm_permutation_v2 import PermutationLogitsV2

    path = Permutation([(10, 1), (10, 2)], [(20, 10, 1), (20, 10, 2)], end=0)
    tokens = torch.zeros(4, 16, dtype=torch.int32)
    tokens[3, :5] = torch.tensor([7, 7, 7, 10, 2])
    states = SimpleNamespace(
        prompt_len=SimpleNamespace(np=np.array([2, 0, 0, 3])), all_token_ids=SimpleNamespace(gpu=tokens)
    )
    held = PermutationLogitsV2(None, states)
    asked = SimpleNamespace(extra_args={"permutation": (path.first, path.later, path.end)})
    free = SimpleNamespace(extra_args=None)
    assert [held.add_request(3, asked), held.add_request(1, free), held.add_request(0, asked)] == [True, False, True]  # type: ignore[arg-type]
    batch = SimpleNamespace(idx_mapping_np=np.array([3, 1, 0]), seq_lens_upper_bound_np=np.array([5, 9, 2]))
    kept = held.apply(torch.zeros(3, 30), batch).isfinite()
    assert kept[0].nonzero().flatten().tolist() == [20]
    assert kept[1].all()
    assert kept[2].nonzero().flatten().tolist() == [10]
    assert held.add_request(3, free) is False  # type: ignore[arg-type]
    assert held.apply(torch.zeros(3, 30), batch).isfinite()[0].all()


async def test_a_process_that_dies_is_an_error(engine: VllmEngine) -> None:
    """The last test of this file: the engine is gone then."""
    import psutil

    running = asyncio.ensure_future(engine.generate(ask("Tell a very long story.", max_tokens=900)))
    await asyncio.sleep(1)
    for process in psutil.Process().children(recursive=True):
        if "VLLM" in process.name():
            process.kill()
    async with asyncio.timeout(20):
        with pytest.raises(EngineError, match=r"vllm's own process has died"):
            await running
        with pytest.raises(EngineError, match=r"vllm's own process has died"):
            await engine.generate(ask("Say hi."))
