"""A local model's tokenizer: what engines that run the model here share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from es_reasonrank.engines.base import Request
from es_reasonrank.errors import EngineError, MissingError


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
        from jinja2 import TemplateError

        try:
            text: str = self.inner.apply_chat_template(
                list(request.messages), tokenize=False, add_generation_prompt=True, **request.chat_options
            )
        except (ValueError, TemplateError) as error:
            message = f"the chat template of {self.inner.name_or_path} failed: {_first_line(error)}"
            raise EngineError(message, engine="tokenizer") from error
        ids: list[int] = self.inner(text + request.prefix, add_special_tokens=False)["input_ids"]
        return ids

    def pieces(self, text: str) -> list[int]:
        """The tokens of a text by itself."""
        ids: list[int] = self.inner(text, add_special_tokens=False)["input_ids"]
        return ids

    def single(self, choice: str, before: str) -> int:
        """The one token that `choice` is behind the text `before`.

        Raises:
            EngineError: it is several.
        """
        start, whole = self.pieces(before), self.pieces(before + choice)
        behind = whole[len(start) :] if start and whole[: len(start)] == start else self.pieces(choice)
        if len(behind) != 1:
            message = f"{choice!r} is {len(behind)} tokens of {self.inner.name_or_path}, not one; use other identifiers"
            raise EngineError(message, engine="tokenizer")
        return behind[0]

    def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """Each text's longest beginning of at most `limit` tokens, cut at a character's end."""
        if not texts:
            return []
        encoded = self.inner(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        return [
            text[: end_of(offsets, limit, len(text))]
            for text, offsets in zip(texts, encoded["offset_mapping"], strict=True)
        ]


def end_of(offsets: Sequence[tuple[int, int]], limit: int, length: int) -> int:
    """Where the text of the first `limit` tokens ends; a character shared with the next token is left out."""
    if len(offsets) <= limit:
        return length
    return min(offsets[limit - 1][1], offsets[limit][0]) if limit else 0


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
