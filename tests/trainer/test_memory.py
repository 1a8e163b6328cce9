"""The estimate of memory, by hand and beside what a real model holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import MissingError
from trainer import memory
from trainer.memory import Memory, Shape, Training, available, estimate, gib, shortage

SHAPE = Shape(
    parameters=1000, layers=2, hidden=8, attention=8, keys=4, inner=16, vocabulary=50, linear=((8, 16), (16, 8))
)
NO_LOGITS = Training(tokens=1, logits=0)

QWEN25_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
"""Qwen2.5-7B-Instruct's config.json."""

TINY = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}


def written(folder: Path, values: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    return str(folder)


def test_all_weights_in_float32_take_sixteen_bytes_each() -> None:
    """4 for the weight, 4 for its gradient, 8 for Adam's two moments."""
    need = estimate(SHAPE, NO_LOGITS)
    assert (need.weights, need.gradients, need.optimizer) == (4000, 4000, 8000)


def test_all_weights_in_bfloat16_take_eight_bytes_each() -> None:
    need = estimate(SHAPE, replace(NO_LOGITS, weights="bfloat16", compute="bfloat16"))
    assert (need.weights, need.gradients, need.optimizer) == (2000, 2000, 4000)


def test_weights_that_are_computed_in_another_kind_have_a_copy() -> None:
    assert estimate(SHAPE, replace(NO_LOGITS, compute="bfloat16")).weights == 6000


def test_an_adapter_alone_has_gradients_and_moments() -> None:
    """Rank 2 on layers of 8 + 16 and 16 + 8: 96 parameters of 4 bytes."""
    need = estimate(SHAPE, replace(NO_LOGITS, rank=2, weights="bfloat16", compute="bfloat16"))
    assert SHAPE.adapter(2) == 96
    assert (need.weights, need.gradients, need.optimizer) == (2000 + 384, 384, 768)


def test_a_reference_is_a_second_copy_unless_an_adapter_is_switched_off() -> None:
    assert estimate(SHAPE, replace(NO_LOGITS, reference=True)).weights == 8000
    assert estimate(SHAPE, replace(NO_LOGITS, reference=True, rank=2)).weights == 4000 + 384


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        # Two norms: 2 * 8 inputs in float32. Attention: 8 + 8 queries and outputs, 4 + 4 keys and values. Feed-forward:
        # 3 * 16. Where weights are trained: normalised inputs 2 * 8, inputs of linear layers 2 * 8 + 8 + 16.
        ({}, 64 + 4 * (16 + 8 + 48) + 4 * (16 + 16 + 8 + 16)),
        ({"weights": "bfloat16", "compute": "bfloat16"}, 64 + 2 * (16 + 8 + 48) + 2 * (16 + 16 + 8 + 16)),
        ({"rank": 2}, 64 + 4 * (16 + 8 + 48) + 4 * (16 + 8 + 16)),
        ({"rank": 2, "weights": "bfloat16", "compute": "bfloat16"}, 64 + 2 * (16 + 8 + 48) + 4 * (40 + 8 + 16)),
    ],
)
def test_what_a_layer_keeps_of_a_token(change: dict[str, Any], layer: int) -> None:
    training = replace(NO_LOGITS, tokens=10, checkpointing=False, **change)
    assert estimate(SHAPE, training).activations == 10 * 2 * layer


def test_checkpointing_keeps_each_layers_input_and_one_layers_whole() -> None:
    whole = estimate(SHAPE, replace(NO_LOGITS, checkpointing=False)).activations // 2
    assert estimate(SHAPE, NO_LOGITS).activations == 2 * 8 * 4 + whole


def test_logits_are_held_in_a_tile_or_whole() -> None:
    without = estimate(SHAPE, replace(NO_LOGITS, tokens=10)).activations
    assert estimate(SHAPE, Training(tokens=10)).activations - without == 3 * 4 * 10 * 50
    assert estimate(SHAPE, Training(tokens=10, logits=100)).activations - without == 3 * 4 * 100 * 50
    wide = replace(SHAPE, vocabulary=152064)
    large = estimate(wide, Training(tokens=20000)).activations - estimate(wide, Training(20000, logits=0)).activations
    assert large == 3 * 4 * 4096 * 32768


def test_generation_holds_keys_and_values_but_no_activations() -> None:
    need = estimate(SHAPE, replace(NO_LOGITS, generated=1000))
    assert need.cache == 1000 * 2 * 2 * 4 * 4
    assert need.total == 4000 + 4000 + 8000 + need.cache


def test_the_shape_of_a_published_model(tmp_path: Path) -> None:
    """Qwen2.5-7B has 7,615,616,512 parameters, as its model card counts them: 7.61B, 6.53B without embeddings."""
    shape = Shape.of(written(tmp_path / "qwen", QWEN25_7B))
    assert shape.parameters == 7_615_616_512
    assert shape.parameters - 2 * 152064 * 3584 == 6_525_621_760
    assert (shape.layers, shape.hidden, shape.attention, shape.keys, shape.inner) == (28, 3584, 3584, 512, 18944)
    assert len(shape.linear) == 28 * 7


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"the configuration of model .* cannot be loaded: ") as caught:
        Shape.of(written(tmp_path / "broken", {"model_type": "no such type"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rank", [None, 8])
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_the_estimate_is_what_a_real_model_holds(tmp_path: Path, kind: memory.Kind, rank: int | None) -> None:
    """Weights, gradients and moments to the byte, activations within a tenth, counted tensor by tensor."""
    base = written(tmp_path / "tiny", TINY)
    held = held_by(base, kind, rank)
    training = Training(512, rank=rank, weights=kind, compute=kind, checkpointing=False, logits=0)
    need = estimate(Shape.of(base), training)
    assert held["weights"] == need.weights
    assert held["gradients"] == need.gradients
    assert held["optimizer"] == need.optimizer
    assert held["activations"] == pytest.approx(need.activations, rel=0.1)


def held_by(base: str, kind: str, rank: int | None) -> dict[str, int]:
    """Bytes of everything that a step with 512 tokens holds, but for the logits."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base), dtype=kind)
    decoder = model.model
    if rank is not None:
        model = get_peft_model(model, LoraConfig(r=rank, target_modules="all-linear"))
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ids = torch.arange(512).reshape(2, 256)
        hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
    (model.get_output_embeddings()(hidden[:, :2]) if rank is None else hidden).sum().backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    optimizer.step()
    moments = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    return {
        "weights": sum(parameter.nbytes for parameter in model.parameters()),
        "gradients": sum(parameter.grad.nbytes for parameter in trained if parameter.grad is not None),
        "optimizer": sum(moment.nbytes for moment in moments),
        "activations": sum(kept.values()),
    }


def test_enough_memory_needs_no_words() -> None:
    need = estimate(SHAPE, NO_LOGITS)
    assert shortage(need, Memory(need.total, "GPU"), NO_LOGITS) == ""


@pytest.mark.parametrize(
    ("training", "remedy"),
    [
        (Training(10**6), "train fewer or shorter sequences at once, or"),
        (Training(10**6, checkpointing=False), "train fewer or shorter sequences at once with checkpointing, or"),
        (Training(1, generated=10**6), "generate fewer replies at once, or"),
        (Training(1), "train an adapter (LoRA) instead of all weights, or"),
        (Training(1, rank=1), "load the base in bfloat16, or"),
        (Training(1, rank=1, weights="bfloat16"), "train where more memory is free, or"),
    ],
)
def test_too_little_memory_says_what_to_change(training: Training, remedy: str) -> None:
    shape = replace(SHAPE, parameters=10**6)
    need = estimate(shape, training)
    sentence = shortage(need, Memory(need.total - 1, "this machine"), training)
    assert sentence.startswith(f"training needs about {gib(need.total)} and this machine has ")
    assert remedy in sentence


def test_this_machine_has_memory() -> None:
    found = available()
    assert 2**20 < found.free < 2**50


def test_the_system_says_what_is_free(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       2000 kB\nMemAvailable:   1000 kB\n")
    assert memory._unused(path) == 1000 * 1024
    assert memory._unused(tmp_path / "nothing") > 2**20


def test_a_container_says_what_it_allows(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert memory._allowed(tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._allowed(tmp_path) == float("inf")


@pytest.mark.parametrize(("size", "text"), [(3.5 * 2**30, "3.5 GiB"), (300 * 2**20, "300 MiB")])
def test_bytes_are_said_as_people_say_them(size: float, text: str) -> None:
    assert gib(size) == text
