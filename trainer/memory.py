"""How much memory training a model takes, estimated before it starts.

Weights, gradients and Adam's two moments are counted as in ZeRO (1910.02054, section 3.1). Activations are counted as
in 2205.05198, section 4.1, and derived anew for the layers trained here (RMSNorm, gated feed-forward, attention that
keeps no scores, no dropout): what the backward pass needs of a token in a layer. LoRA is 2106.09685's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

from es_reasonrank.errors import MissingError

Kind = Literal["float32", "bfloat16", "float16"]

_BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_TILE_TOKENS, _TILE_WORDS = 4096, 32768
"""What trl's fused output layer holds of the logits at once (1.16, kernels/chunked_logprob.py, trainer/utils.py)."""


@dataclass(frozen=True)
class Training:
    """What a stage holds while it trains."""

    tokens: int
    """Of one forward and backward pass: sequences times the longest."""
    rank: int | None = None
    """LoRA's, on every linear layer of the blocks; None where all parameters are trained."""
    weights: Kind = "float32"
    """What the base model's weights are loaded as."""
    compute: Kind = "float32"
    """What is computed in; other than `weights`, each weight has a copy in it."""
    checkpointing: bool = True
    """Whether a layer's activations are computed a second time rather than kept."""
    logits: int | None = None
    """Positions whose whole logits are held at once; None where trl's fused output layer holds a tile."""
    reference: bool = False
    """Whether a second copy of the weights stays beside the trained one; an adapter is switched off instead."""
    generated: int = 0
    """Tokens of prompts and replies whose keys and values are held at once while the model generates."""


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder."""

    parameters: int
    layers: int
    hidden: int
    attention: int
    """Heads times their size."""
    keys: int
    """Key heads times their size."""
    inner: int
    """Width of the feed-forward layer."""
    vocabulary: int
    linear: tuple[tuple[int, int], ...]
    """Inputs and outputs of every linear layer in the blocks."""

    @classmethod
    def of(cls, base: str) -> Self:
        """The shape of a model, from its configuration alone.

        Raises:
            MissingError: there is no such configuration, or it cannot be reached.
        """
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from es_reasonrank.engines.embedded import resolve

        try:
            config = AutoConfig.from_pretrained(resolve(base)).get_text_config()
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise MissingError(f"the configuration of model {base} cannot be loaded: {reason}") from error
        return cls._from(config, model)

    @classmethod
    def _from(cls, config: Any, model: Any) -> Self:
        from torch import nn

        head = model.get_output_embeddings()
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not head]
        return cls(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            attention=config.num_attention_heads * size,
            keys=(getattr(config, "num_key_value_heads", None) or config.num_attention_heads) * size,
            inner=config.intermediate_size,
            vocabulary=config.vocab_size,
            linear=tuple((layer.in_features, layer.out_features) for layer in layers),
        )

    def adapter(self, rank: int) -> int:
        """Parameters of LoRA: for every linear layer, its inputs and its outputs times the rank."""
        return sum(rank * (inputs + outputs) for inputs, outputs in self.linear)


@dataclass(frozen=True)
class Need:
    """An estimate, in bytes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """The logits are among them."""
    cache: int
    """Keys and values; held before the activations are, never beside them."""

    @property
    def total(self) -> int:
        """What is held at once at most."""
        return self.weights + self.gradients + self.optimizer + max(self.activations, self.cache)


def estimate(shape: Shape, training: Training) -> Need:
    """What training takes.

    A LoRA adapter is float32 beside a base of any kind, as peft makes it.
    """
    size = _BYTES[training.weights]
    adapter = 0 if training.rank is None else shape.adapter(training.rank)
    trained = shape.parameters * size if training.rank is None else adapter * 4
    copies = 2 if training.reference and training.rank is None else 1
    cast = _BYTES[training.compute] if training.compute != training.weights else 0
    return Need(
        weights=shape.parameters * (size * copies + cast) + adapter * 4,
        gradients=trained,
        optimizer=2 * trained,
        activations=_activations(shape, training) + _logits(shape, training),
        cache=training.generated * shape.layers * 2 * shape.keys * size,
    )


def _activations(shape: Shape, training: Training) -> int:
    """Bytes that the backward pass needs; with checkpointing, each layer's input and one layer's whole."""
    layer = _of_layer(shape, training)
    if not training.checkpointing:
        return training.tokens * shape.layers * layer
    return training.tokens * (shape.layers * shape.hidden * _BYTES[training.compute] + layer)


def _of_layer(shape: Shape, training: Training) -> int:
    """Bytes of a token in a layer.

    Each of two norms keeps its input in float32 and, where its weight is trained, the normalised input. Attention
    keeps queries, keys, values and its output. The feed-forward layer keeps the gate, its activation and what it
    multiplies. A linear layer keeps its input where it is trained; queries, keys and values share one, gate and the
    other factor too, unless an adapter makes a float32 copy for each.
    """
    size, hidden, attention = _BYTES[training.compute], shape.hidden, shape.attention
    kept = 2 * hidden * 4 + size * (2 * attention + 2 * shape.keys + 3 * shape.inner)
    if training.rank is None:
        return kept + size * (2 * hidden + 2 * hidden + attention + shape.inner)
    inputs = 2 * hidden if size == 4 else 5 * hidden
    return kept + 4 * (inputs + attention + shape.inner)


def _logits(shape: Shape, training: Training) -> int:
    """Bytes of the logits, of their probabilities and of their gradients, each in float32."""
    if training.logits is not None:
        return 3 * 4 * training.logits * shape.vocabulary
    return 3 * 4 * min(training.tokens, _TILE_TOKENS) * min(shape.vocabulary, _TILE_WORDS)


@dataclass(frozen=True)
class Memory:
    """What a machine has left for training, in bytes."""

    free: int
    where: str
    """GPU, or the machine's own."""


def available() -> Memory:
    """The first GPU's free memory, or the machine's where there is no GPU that torch can use."""
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            free, _ = torch.cuda.mem_get_info(0)
            return Memory(free, torch.cuda.get_device_name(0))
    return Memory(int(min(_unused(), _allowed())), "this machine")


def _unused(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that no process holds; where the system does not say, all that it has."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _allowed(group: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that a container may still take."""
    try:
        return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return float("inf")


def shortage(need: Need, memory: Memory, training: Training) -> str:
    """What is to be changed where the memory does not do; nothing where it does."""
    if need.total <= memory.free:
        return ""
    return (
        f"training needs about {gib(need.total)} and {memory.where} has {gib(memory.free)} left; "
        f"{_remedy(need, training)}, or choose a smaller base model"
    )


def _remedy(need: Need, training: Training) -> str:
    """What helps most against the largest part."""
    held = max(need.activations, need.cache)
    if held >= need.total - held:
        if need.cache > need.activations:
            return "generate fewer replies at once"
        return "train fewer or shorter sequences at once" + ("" if training.checkpointing else " with checkpointing")
    if training.rank is None:
        return "train an adapter (LoRA) instead of all weights"
    return "load the base in bfloat16" if training.weights == "float32" else "train where more memory is free"


def gib(size: float) -> str:
    """Bytes as people say them: 3.5 GiB, 300 MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
