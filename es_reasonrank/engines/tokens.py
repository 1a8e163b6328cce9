"""A local model's tokenizer: what engines that run the model here share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from es_reasonrank.engines.base import Request
from es_reasonrank.errors import EngineError, MissingError

Offsets = Sequence[tuple[int, int]]
Result = TypeVar("Result")
_SHORT = 20_000
"""Characters that are tokenized in a few milliseconds."""
_ROOM = 64
"""Tokens at a text's end that may be others where it goes on."""
NEAR = 64
"""Characters before a text that can have a say in its tokens; a chain of reasoning before it may be very long."""


def quiet() -> None:
    """No bars and notices of the libraries that load models: a command's output is its own.

    To be called before any of them is imported: tqdm reads its variable only then.

    Raises:
        ImportError: transformers is not installed.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


class ChatTokenizer:
    """Chat template, exact counts and exact cuts of one model."""

    def __init__(self, path: str, revision: str | None = None) -> None:
        from transformers import AutoTokenizer

        try:
            self.inner: Any = AutoTokenizer.from_pretrained(path, revision=revision)
        except (OSError, ValueError) as error:
            raise MissingError(f"model {path!r} has no tokenizer that can be loaded: {_first_line(error)}") from error
        self.control_tokens = frozenset(
            str(token) for token in self.inner.added_tokens_decoder.values() if getattr(token, "special", True)
        ) | frozenset(self.inner.all_special_tokens)

    def encode(self, request: Request) -> list[int]:
        """The prompt's tokens, chat template and forced beginning of the reply included.

        Raises:
            EngineError: the model has no chat template, or its template does not take these messages.
        """
        ids: list[int] = self.inner(self.rendered(request), add_special_tokens=False)["input_ids"]
        return ids

    def rendered(self, request: Request) -> str:
        """The prompt's text, of which `encode` gives the tokens.

        Raises:
            EngineError: as `encode` does.
        """
        from jinja2 import TemplateError

        try:
            text: str = self.inner.apply_chat_template(
                list(request.messages), tokenize=False, add_generation_prompt=True, **request.chat_options
            )
        except (ValueError, TemplateError) as error:
            message = f"the chat template of {self.inner.name_or_path} failed: {_first_line(error)}"
            raise EngineError(message, engine="tokenizer") from error
        return text + request.prefix

    def behind(self, texts: Sequence[str], before: str) -> list[list[int]]:
        """The tokens that each of `texts` is behind the text `before`."""
        near = before[-NEAR:]
        rows = self._pieces([near, *texts, *(near + text for text in texts)])
        alone, both = rows[1 : 1 + len(texts)], rows[1 + len(texts) :]
        return [added(rows[0], whole, own) for whole, own in zip(both, alone, strict=True)]

    def singles(self, choices: Sequence[str], before: str) -> list[int]:
        """The one token that each choice is behind the text `before`.

        Raises:
            EngineError: one is several.
        """
        rows = self.behind(choices, before)
        return [single(choice, row) for choice, row in zip(choices, rows, strict=True)]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        rows: list[list[int]] = self.inner(list(texts), add_special_tokens=False)["input_ids"]
        return rows

    def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Each text's longest beginning of at most `limit` tokens, cut at a character's end."""

        def offsets(heads: list[str]) -> list[Offsets]:
            encoded = self.inner(heads, add_special_tokens=False, return_offsets_mapping=True)
            return list(encoded["offset_mapping"])

        return cut_by(offsets, texts, limit)


async def unblocked(texts: Iterable[str], work: Callable[[], Result]) -> Result:
    """The result of work on `texts`: done at once where they are short, in a thread where others would have to wait."""
    return work() if sum(map(len, texts)) <= _SHORT else await asyncio.to_thread(work)


def added(before: Sequence[int], both: Sequence[int], alone: Sequence[int]) -> list[int]:
    """The tokens that a text adds to the text before it.

    Args:
        before: the tokens of the text before.
        both: the tokens of the two together.
        alone: the text's own, which count where a token spans the border, since the tokens before it stand fast.
    """
    apart = before and list(both[: len(before)]) == list(before)
    return list(both[len(before) :] if apart else alone)


def single(choice: str, tokens: Sequence[int]) -> int:
    """The only token of a choice.

    Raises:
        EngineError: there are several.
    """
    if len(tokens) != 1:
        message = f"{choice!r} is {len(tokens)} tokens of this model, not one; use other identifiers: letters, say"
        raise EngineError(message, engine="tokenizer")
    return tokens[0]


def cut_by(offsets: Callable[[list[str]], Sequence[Offsets]], texts: Sequence[str], limit: int) -> list[str]:
    """Each text's longest beginning of at most `limit` tokens, of which no more is read than that takes.

    Args:
        offsets: where each token of each text begins and ends, in characters.
    """
    cuts = list(texts)
    left = list(range(len(texts)))
    size = head_size(limit)
    while left:
        rows = offsets([texts[place][:size] for place in left])
        open_ended = []
        for place, row in zip(left, rows, strict=True):
            if is_enough(texts[place], size, len(row), limit):
                cuts[place] = texts[place][: end_of(row, limit, len(texts[place]))]
            else:
                open_ended.append(place)
        left, size = open_ended, 4 * size
    return cuts


def head_size(limit: int) -> int:
    """Characters of a text to read first, where `limit` tokens of it are wanted: twice what they usually take."""
    return 8 * (limit + _ROOM)


def is_enough(text: str, size: int, tokens: int, limit: int) -> bool:
    """Whether the `tokens` of a text's first `size` characters settle its first `limit` tokens.

    The last of them could be others if the text went on.
    """
    return size >= len(text) or tokens >= limit + _ROOM


def end_of(offsets: Offsets, limit: int, length: int) -> int:
    """Where the text of the first `limit` tokens ends; a character shared with the next token is left out."""
    if len(offsets) <= limit:
        return length
    return min(offsets[limit - 1][1], offsets[limit][0]) if limit else 0


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
