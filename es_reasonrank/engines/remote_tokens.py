"""The model's own tokens where the model runs behind HTTP: from its server, or from a tokenizer file here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from es_reasonrank.engines.base import Request
from es_reasonrank.engines.tokens import end_of
from es_reasonrank.errors import MissingError

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a JSON body to a path of the server and returns the JSON answer."""


class RemoteTokens(Protocol):
    """Cuts and counts by the model's tokens."""

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Each text's longest beginning of at most `limit` tokens."""

    async def count(self, request: Request, chat: dict[str, Any]) -> int:
        """Tokens of the request's prompt; `chat` is its body as it is sent."""


class ServerTokens:
    """By the server's /tokenize and /detokenize, as `vllm serve` has them: exact, chat template included."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Two calls a text, for those that can be too long."""
        return await asyncio.gather(*(self._cut(text, limit) for text in texts))

    async def _cut(self, text: str, limit: int) -> str:
        if len(text.encode()) <= limit:  # a token is at least a byte
            return text
        answer = await self._post("/tokenize", {"prompt": text, "add_special_tokens": False})
        if answer["count"] <= limit:
            return text
        kept = (await self._post("/detokenize", {"tokens": answer["tokens"][:limit]}))["prompt"]
        while not text.startswith(kept):  # half of a character at the end
            kept = kept[:-1]
        return str(kept)

    async def count(self, request: Request, chat: dict[str, Any]) -> int:
        """One call."""
        keys = ("messages", "add_generation_prompt", "continue_final_message", "chat_template_kwargs")
        answer = await self._post("/tokenize", {key: chat[key] for key in keys if key in chat})
        return int(answer["count"])


class FileTokens:
    """By a tokenizer file, of which the server knows nothing: cuts are exact, a turn's frame counts as eight tokens."""

    FRAME = 8

    def __init__(self, name: str) -> None:
        from pathlib import Path

        from tokenizers import Tokenizer

        path = Path(name).expanduser()
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            self._inner = Tokenizer.from_file(str(file)) if file.is_file() else Tokenizer.from_pretrained(name)
        except Exception as error:
            raise MissingError(f"tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from error

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Here, without a call."""
        encoded = self._inner.encode_batch(list(texts), add_special_tokens=False)
        return [text[: end_of(row.offsets, limit, len(text))] for text, row in zip(texts, encoded, strict=True)]

    async def count(self, request: Request, chat: dict[str, Any]) -> int:
        """The contents' tokens, and a frame for each turn."""
        contents = [message["content"] for message in request.messages] + [request.prefix]
        encoded = self._inner.encode_batch(contents, add_special_tokens=False)
        return sum(len(row.ids) + self.FRAME for row in encoded)
