"""What workers and the process that holds the model say to one another: MessagePack behind four bytes of length."""

from __future__ import annotations

import asyncio
import struct

import msgspec

from es_reasonrank.types import Candidate, Trace, Window

_LENGTH = struct.Struct(">I")
BUFFER = 1 << 20
"""Bytes that a reader holds before its writer has to wait."""


class Load(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Wait until every model is loaded; `Loaded` answers."""

    number: int


class Rank(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Rank a list; `Ranked` answers, after an `Ended` for each window where `tells` is set."""

    number: int
    profile: str
    query: str
    candidates: list[Candidate]
    depth: int | None
    deadline: float | None
    tells: bool


class Cancel(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """Nobody waits for the answer to this number any more."""

    number: int


class Loaded(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The models are there."""

    number: int


class Ended(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A window ended."""

    number: int
    window: Window


class Ranked(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """The order of a list. Its texts are not sent back."""

    number: int
    order: tuple[int, ...]
    scores: tuple[float, ...]
    trace: Trace


class Failed(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """There is no answer."""

    number: int
    message: str
    loading: bool = False
    """Whether it is only that the model is not loaded yet."""


Question = Load | Rank | Cancel
Reply = Loaded | Ended | Ranked | Failed

_questions: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def packed(message: Question | Reply) -> bytes:
    """A message as bytes."""
    try:
        body = msgspec.msgpack.encode(message)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        body = msgspec.msgpack.encode(_whole(msgspec.to_builtins(message)))
    return _LENGTH.pack(len(body)) + body


async def next_question(reader: asyncio.StreamReader) -> Question | None:
    """The next question, or None at the end."""
    body = await _next(reader)
    return None if body is None else _questions.decode(body)


async def next_reply(reader: asyncio.StreamReader) -> Reply | None:
    """The next reply, or None at the end."""
    body = await _next(reader)
    return None if body is None else _replies.decode(body)


async def _next(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _whole(value: object) -> object:
    """The same values with U+FFFD for what is no character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value
