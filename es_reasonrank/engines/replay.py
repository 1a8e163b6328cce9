"""Recorded replies: a run is recorded to a file once, and ranks again from it without a model.

A recording is JSON Lines. The first line says what was recorded; each other line is one answered call, under a key
made of everything that was asked:

    {"recording": 1, "model": "...", "context": 8192, "control_tokens": ["<|im_end|>"]}
    {"cut": "<key>", "kept": 311}
    {"count": "<key>", "tokens": 1204}
    {"next": "<key>", "logprobs": [-0.1, -2.4], "prompt_tokens": 1204, "generated_tokens": 1}
    {"reply": "<key>", "text": "...", "finish": "stop", "reasoning": "", "prompt_tokens": 1204, "generated_tokens": 61}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from pydantic import Field

from es_reasonrank.engines.base import TEXTUAL, Capability, Completion, Engine, Finish, NextToken, Request, TextEngine
from es_reasonrank.errors import DataError, EngineError, MissingError, SettingsError
from es_reasonrank.files import json_lines
from es_reasonrank.validation import Checked

_VERSION = 1


class ReplayOptions(Checked):
    """Which recording, and what counts as the same prompt."""

    recording: Path = Field(description="File that a recorded run wrote.")
    match: Literal["exact", "letters"] = Field(
        "exact",
        description="What of a prompt must be as recorded: all of it, or its ASCII letters and digits; the latter for "
        "logs of others, whose texts were repaired on the way.",
    )


class ReplayEngine:
    """Answers from a recording; a call that was not recorded is an error, never a guess."""

    capabilities: ClassVar = TEXTUAL
    options_model: ClassVar = ReplayOptions

    def __init__(self, options: ReplayOptions) -> None:
        self.options = options
        self._head: dict[str, Any] = {}
        self._calls: dict[str, dict[str, dict[str, Any]]] = {"cut": {}, "count": {}, "reply": {}, "next": {}}
        self._key: Callable[[Request], str] = request_key if options.match == "exact" else letters_key
        self._read()

    @property
    def model(self) -> str:
        """The model that was recorded."""
        return str(self._head["model"])

    async def identity(self) -> str:
        """The recording's file as it is now."""
        stat = self.options.recording.stat()
        return f"{self.options.recording.absolute()}@{stat.st_size}-{stat.st_mtime_ns}"

    async def start(self) -> None:
        """Nothing to load."""

    async def context(self) -> int:
        """As recorded."""
        return int(self._head["context"])

    async def control_tokens(self) -> frozenset[str]:
        """As recorded."""
        return frozenset(self._head.get("control_tokens", ()))

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """As recorded; a text of which no cut was recorded is left whole."""
        rows = (self._calls["cut"].get(text_key(text, limit)) for text in texts)
        return [text[: row["kept"]] if row else text for text, row in zip(texts, rows, strict=True)]

    async def count(self, request: Request) -> int:
        """As recorded, or 0."""
        row = self._calls["count"].get(self._key(request))
        return int(row["tokens"]) if row else 0

    async def generate(self, request: Request) -> Completion:
        """The recorded reply."""
        row = self._calls["reply"].get(self._key(request))
        if row is None:
            raise EngineError(f"{self.options.recording} holds no reply to this prompt", engine="replay")
        fields = {name: value for name, value in row.items() if name != "reply"}
        return Completion(**{**fields, "finish": Finish(fields["finish"])})

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """The recorded log-probabilities."""
        row = self._calls["next"].get(choices_key(request, choices))
        if row is None:
            raise EngineError(f"{self.options.recording} holds no such choice behind this prompt", engine="replay")
        return NextToken(tuple(row["logprobs"]), row["prompt_tokens"], row["generated_tokens"])

    async def aclose(self) -> None:
        """Nothing to free."""

    def _read(self) -> None:
        path = self.options.recording
        if not path.is_file():
            raise MissingError(f"recording {path} does not exist; write one with --record")
        for number, row in json_lines(path):
            if number == 1 and row.get("recording") == _VERSION and "model" in row:
                self._head = row
                continue
            kind = next((kind for kind in self._calls if kind in row), None)
            if kind is None or not self._head:
                raise DataError("not a line of a recording", path=str(path), line=number)
            self._calls[kind][row[kind]] = row


class Recorder:
    """Another engine, whose answers are written to a file as they come."""

    options_model: ClassVar = Checked

    def __init__(self, inner: TextEngine, path: Path) -> None:
        self.inner = inner
        self.path = path
        self._file: IO[str] | None = None
        self._seen: set[tuple[str, str]] = set()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The inner engine's."""
        return self.inner.capabilities

    @property
    def model(self) -> str:
        """The inner engine's."""
        return self.inner.model

    async def identity(self) -> str:
        """The inner engine's."""
        return await self.inner.identity()

    async def start(self) -> None:
        """Start the inner engine."""
        await self.inner.start()

    async def context(self) -> int:
        """The inner engine's."""
        return await self.inner.context()

    async def control_tokens(self) -> frozenset[str]:
        """The inner engine's."""
        return await self.inner.control_tokens()

    async def cut(self, texts: Sequence[str], limit: int) -> list[str]:
        """The inner engine's, recorded where it shortens a text."""
        cuts = await self.inner.cut(texts, limit)
        for text, cut in zip(texts, cuts, strict=True):
            if len(cut) < len(text):
                await self._write("cut", text_key(text, limit), {"kept": len(cut)})
        return cuts

    async def count(self, request: Request) -> int:
        """The inner engine's, recorded."""
        tokens = await self.inner.count(request)
        await self._write("count", request_key(request), {"tokens": tokens})
        return tokens

    async def generate(self, request: Request) -> Completion:
        """The inner engine's, recorded; an error is not a reply and is not recorded."""
        completion = await self.inner.generate(request)
        await self._write("reply", request_key(request), asdict(completion))
        return completion

    async def next_token(self, request: Request, choices: Sequence[str]) -> NextToken:
        """The inner engine's, recorded."""
        answer = await self.inner.next_token(request, choices)
        await self._write("next", choices_key(request, choices), asdict(answer))
        return answer

    async def aclose(self) -> None:
        """Close the file and the inner engine."""
        if self._file is not None:
            self._file.close()
            self._file = None
        await self.inner.aclose()

    async def _write(self, kind: str, key: str, values: Mapping[str, Any]) -> None:
        if (kind, key) in self._seen:
            return
        self._seen.add((kind, key))
        if self._file is None:
            head = {
                "recording": _VERSION,
                "model": self.model,
                "context": await self.context(),
                "control_tokens": sorted(await self.control_tokens()),
            }
            self._file = self.path.open("w", encoding="utf-8")
            self._file.write(json.dumps(head, ensure_ascii=False) + "\n")
        self._file.write(json.dumps({kind: key, **values}, ensure_ascii=False) + "\n")
        self._file.flush()


def recorded(engine: Engine, path: Path) -> Recorder:
    """An engine whose answers are written to a file.

    Raises:
        SettingsError: it generates no text.
    """
    if not isinstance(engine, TextEngine):
        raise SettingsError(f"engine of {engine.model} generates no text that could be recorded; leave out --record")
    return Recorder(engine, path)


def request_key(request: Request) -> str:
    """A key of everything that can change the reply."""
    return _digest(
        json.dumps({**asdict(request), "sampling": request.sampling.model_dump()}, sort_keys=True, default=str)
    )


def choices_key(request: Request, choices: Sequence[str]) -> str:
    """A key of a prompt and the choices behind it."""
    return _digest(json.dumps([request_key(request), *choices]))


def letters_key(request: Request) -> str:
    """A key of the prompt's ASCII letters and digits alone."""
    return _digest(re.sub(r"[^A-Za-z0-9]", "", "".join(message["content"] for message in request.messages)))


def text_key(text: str, limit: int) -> str:
    """A key of a text that is cut at `limit` tokens."""
    return _digest(f"{limit}\n{text}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
