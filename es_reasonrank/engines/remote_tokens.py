"""The model's own tokens where the model runs behind HTTP: from its server, or from a tokenizer file here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from cachetools import LRUCache

from es_reasonrank.engines.base import Request
from es_reasonrank.engines.tokens import NEAR, Offsets, added, cut_by, head_size, is_enough, single, unblocked
from es_reasonrank.errors import EngineError, MissingError

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a JSON body to a path of the server and returns the JSON answer."""

_REMEMBERED = 10_000
"""Choices whose tokens are kept: identifiers and grades are the same from window to window."""


class RemoteTokens(Protocol):
    """Cuts and counts by the model's tokens."""

    @property
    def control_tokens(self) -> frozenset[str]:
        """The texts that the tokenizer reads as control tokens, as far as they are known."""

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Each text's longest beginning of at most `limit` tokens."""

    async def count(self, request: Request) -> int:
        """Tokens of the request's prompt."""

    async def prompt(self, request: Request) -> list[int] | None:
        """The prompt's tokens, chat template and prefix included, where they can be known."""

    async def singles(self, choices: Sequence[str], before: str) -> list[int]:
        """The one token that each choice is behind the text `before`.

        Raises:
            EngineError: one is several.
        """


class ServerTokens:
    """By the server's /tokenize and /detokenize, as `vllm serve` has them: exact, chat template included."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._known: LRUCache[tuple[str, str], list[int]] = LRUCache(_REMEMBERED)

    @property
    def control_tokens(self) -> frozenset[str]:
        """Not told; the forms that chat templates use are neutralised anyway."""
        return frozenset()

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Two calls a text, for those that can be too long."""
        return await asyncio.gather(*(self._cut(text, limit) for text in texts))

    async def _cut(self, text: str, limit: int) -> str:
        if len(text.encode("utf-8", "surrogatepass")) <= limit:  # a token is at least a byte
            return text
        size = head_size(limit)
        tokens = await self._pieces(text[:size])
        while not is_enough(text, size, len(tokens), limit):
            size *= 4
            tokens = await self._pieces(text[:size])
        if len(tokens) <= limit:
            return text
        kept = str(_told(await self._post("/detokenize", {"tokens": tokens[:limit]}), "prompt", str))
        while not text.startswith(kept):  # half of a character at the end
            kept = kept[:-1]
        return kept

    async def count(self, request: Request) -> int:
        """One call, or two with a prefix."""
        return len(await self.prompt(request))

    async def prompt(self, request: Request) -> list[int]:
        """As the engines that run a model here have it: the chat template's text, and the prefix behind it."""
        body: dict[str, Any] = {"messages": list(request.messages)}
        if request.chat_options:
            body["chat_template_kwargs"] = dict(request.chat_options)
        return await self._tokens(body) + (await self._pieces(request.prefix) if request.prefix else [])

    async def singles(self, choices: Sequence[str], before: str) -> list[int]:
        """Calls for those that were not asked for yet."""
        near = before[-NEAR:]
        unknown = [choice for choice in dict.fromkeys(choices) if (near, choice) not in self._known]
        found = {(near, choice): rows for choice, rows in zip(unknown, await self._behind(unknown, near), strict=True)}
        self._known.update(found)
        return [single(choice, found.get((near, choice)) or self._known[near, choice]) for choice in choices]

    async def _behind(self, texts: Sequence[str], near: str) -> list[list[int]]:
        if not texts:
            return []
        start = await self._pieces(near) if near else []
        both = await asyncio.gather(*(self._pieces(near + text) for text in texts))
        alone = await asyncio.gather(*(self._pieces(text) for text in texts)) if near else both
        return [added(start, whole, own) for whole, own in zip(both, alone, strict=True)]

    async def _pieces(self, text: str) -> list[int]:
        return await self._tokens({"prompt": text, "add_special_tokens": False})

    async def _tokens(self, body: dict[str, Any]) -> list[int]:
        return list(_told(await self._post("/tokenize", body), "tokens", list))


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
        added = self._inner.get_added_tokens_decoder().values()
        self.control_tokens = frozenset(str(token.content) for token in added if token.special)

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Here, without a call."""

        def offsets(heads: list[str]) -> list[Offsets]:
            return [row.offsets for row in self._inner.encode_batch(heads, add_special_tokens=False)]

        return await unblocked(texts, lambda: cut_by(offsets, texts, limit))

    async def count(self, request: Request) -> int:
        """The contents' tokens, and a frame for each turn."""
        contents = [message["content"] for message in request.messages] + [request.prefix]
        return sum(len(row) + self.FRAME for row in self._pieces(contents))

    async def prompt(self, request: Request) -> None:
        """Not known: a tokenizer file has no chat template."""

    async def singles(self, choices: Sequence[str], before: str) -> list[int]:
        """Here, without a call."""
        near = before[-NEAR:]
        start, *rows = self._pieces([near, *choices, *(near + choice for choice in choices)])
        alone, both = rows[: len(choices)], rows[len(choices) :]
        behind = [added(start, whole, own) for whole, own in zip(both, alone, strict=True)]
        return [single(choice, row) for choice, row in zip(choices, behind, strict=True)]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        return [row.ids for row in self._inner.encode_batch(list(texts), add_special_tokens=False)]


def _told(answer: dict[str, Any], key: str, kind: type[Any]) -> Any:
    """A value of an answer of the expected type.

    Raises:
        EngineError: it is not there.
    """
    value = answer.get(key)
    if not isinstance(value, kind):
        raise EngineError(f"the server's /tokenize and /detokenize answer without {key!r}", engine="openai")
    return value
