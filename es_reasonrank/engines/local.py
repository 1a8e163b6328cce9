"""What engines share that run a language model in this process: loading, counting and cutting by its own tokens."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from es_reasonrank.engines.adapters import Adapter
from es_reasonrank.engines.base import TEXTUAL, Completion, Finish, Request
from es_reasonrank.engines.logits import not_numbers
from es_reasonrank.engines.once import Once
from es_reasonrank.engines.permutation import SEPARATOR, Permutation, is_permutation
from es_reasonrank.engines.tokens import ChatTokenizer, unblocked
from es_reasonrank.errors import EngineError
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
    adapter: Any = None
    """What the engine asks for an adapter by, where there is one."""


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
        loaded = await self._loaded.get()
        return await unblocked(texts, lambda: loaded.tokenizer.cut(texts, limit))

    async def count(self, request: Request) -> int:
        """By the model's chat template."""
        return len(await self._encoded(request))

    async def _encoded(self, request: Request) -> list[int]:
        loaded = await self._loaded.get()
        contents = [message["content"] for message in request.messages]
        return await unblocked(contents, lambda: loaded.tokenizer.encode(request))


def identity_of(
    name: str, path: str, commit: str | None, *, dtype: object = None, adapter: Adapter | None = None
) -> str:
    """A mark of a model's weights: its commit where it comes from a hub, else its files' names, sizes and times.

    The data type that they are loaded in and an adapter on top of them are part of it.
    """
    base = f"{name}@{_files_mark(path) if Path(path).is_dir() else commit}"
    kind = f" {str(dtype).removeprefix('torch.')}" if dtype else ""
    return base + kind + (f" + {adapter.name}@{_files_mark(adapter.path)}" if adapter else "")


def _files_mark(folder: str) -> str:
    files = sorted(file for file in Path(folder).iterdir() if file.is_file())
    marks = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(marks).encode()).hexdigest()[:16]


def permutation_of(request: Request, tokenizer: ChatTokenizer) -> Permutation | None:
    """The path through the model's tokens that a request holds its reply to, where it does.

    Raises:
        EngineError: the texts cannot be told apart token by token.
    """
    texts = request.permutation
    if not texts:
        return None
    first = tokenizer.behind(texts, request.prefix)
    later = tokenizer.behind([SEPARATOR + text for text in texts], texts[0])
    try:
        return Permutation(first, later, tokenizer.inner.eos_token_id)
    except ValueError as error:
        message = f"a reply cannot be held to {', '.join(texts)}: {error}; use letters, or put them in brackets"
        raise EngineError(message, engine="tokenizer") from error


def whole(completion: Completion, request: Request, engine: str) -> Completion:
    """A reply that is what it was held to.

    Raises:
        EngineError: it ended early: only a row whose logits are not numbers does.
    """
    held = request.permutation and completion.finish is Finish.STOP
    if held and not is_permutation(completion.text, request.permutation):
        raise not_numbers(engine)
    return completion
