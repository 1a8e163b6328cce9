"""A model of SmolLM2's kind that nobody trained: for tests of all that does not depend on what a model says."""

from __future__ import annotations

from pathlib import Path

from es_reasonrank.engines.embedded import resolve
from tests.model.contract import MODEL


def untrained(folder: Path, *, layers: int = 1, broken: str = "") -> str:
    """The embedded model's configuration with a few narrow layers and random weights, and its own tokenizer.

    Args:
        broken: a text whose tokens have no number for an embedding.

    Returns:
        The folder that it was saved in.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    path = resolve(MODEL)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers}
    tokenizer = AutoTokenizer.from_pretrained(path)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.from_pretrained(path, tie_word_embeddings=False, **sizes, **heads)
    )
    if broken:
        with torch.no_grad():
            model.model.embed_tokens.weight[tokenizer(broken, add_special_tokens=False)["input_ids"]] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
