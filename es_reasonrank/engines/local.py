"""What engines share that run a language model in this process: loading, counting and cutting by its own tokens."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.base import TEXTUAL, Request
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.permutation import SEPARATOR, Permutation
from es_reasonrank.engines.tokens import ChatTokenizer
from es_reasonrank.validation import Checked


class LocalOptions(Checked):
    """Which model, and how it is loaded."""

    model: str = Field(description="Hugging Face name, folder, or embedded:NAME.")
    revision: str | None = Field(None, description="Commit of the model.")
    context: int | None = Field(
        None, ge=1, description="Tokens of prompt and reply together; the model's own by default."
    )
    dtype: str = Field("auto", description="auto, bfloat16, float16 or float32.")


@dataclass(frozen=True)
class Loaded:
    """A loaded model with its tokenizer."""

    model: Any
    tokenizer: ChatTokenizer
    context: int
    identity: str


class LocalEngine:
    """Loads the model at `start` or at the first request."""

    capabilities: ClassVar = TEXTUAL

    def __init__(self, options: LocalOptions, load: Callable[[], Loaded]) -> None:
        self._name = options.model
        self._loaded: Once[Loaded] = Once(lambda: asyncio.to_thread(load))

    @property
    def model(self) -> str:
        """The model as the profile names it."""
        return self._name

    async def identity(self) -> str:
        """The model's name and a mark of its weights."""
        return (await self._loaded.get()).identity

    async def start(self) -> None:
        """Load the model."""
        await self._loaded.get()

    async def context(self) -> int:
        """The option, else the model's own."""
        return (await self._loaded.get()).context

    async def control_tokens(self) -> frozenset[str]:
        """The tokenizer's special tokens."""
        return (await self._loaded.get()).tokenizer.control_tokens

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """By the model's tokenizer."""
        return (await self._loaded.get()).tokenizer.cut(texts, limit)

    async def count(self, request: Request) -> int:
        """By the model's chat template."""
        return len((await self._loaded.get()).tokenizer.encode(request))


def identity_of(name: str, path: str, commit: str | None) -> str:
    """A mark of a model's weights: its commit where it comes from a hub, else its files' names, sizes and times."""
    folder = Path(path)
    if not folder.is_dir():
        return f"{name}@{commit}"
    files = sorted(file for file in folder.iterdir() if file.is_file())
    marks = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return f"{name}@{hashlib.sha256(repr(marks).encode()).hexdigest()[:16]}"


def permutation_of(texts: Sequence[str], tokenizer: ChatTokenizer) -> Permutation:
    """The tokens of the texts that a reply is a permutation of."""
    pieces = [tokenizer.pieces(text) for text in texts]
    return Permutation(pieces, tokenizer.pieces(SEPARATOR), tokenizer.inner.eos_token_id)
