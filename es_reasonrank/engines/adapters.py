"""LoRA adapters: small trained changes on top of a model's weights, in the format of peft."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from es_reasonrank.errors import MissingError

_CONFIG = "adapter_config.json"
_SLOTS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM has room for."""


@dataclass(frozen=True)
class Adapter:
    """An adapter that is here: its name, folder and rank."""

    name: str
    path: str
    rank: int

    @property
    def slot(self) -> int:
        """The least of vLLM's ranks that holds this one."""
        return next((slot for slot in _SLOTS if slot >= self.rank), _SLOTS[-1])


def find_adapter(name: str) -> Adapter:
    """An adapter by its folder, or by its Hugging Face name.

    Raises:
        MissingError: there is none, or what is there is no LoRA adapter.
    """
    folder = _folder(name)
    try:
        rank = int(json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingError(f"{folder} holds no LoRA adapter: its {_CONFIG} with a rank is not there") from error
    return Adapter(name, str(folder), rank)


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path.absolute()
    if name.startswith((".", "/", "~")):
        raise MissingError(f"adapter folder {name} does not exist")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingError(f"adapter {name} cannot be fetched: {first}") from error
