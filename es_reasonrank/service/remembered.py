"""Whole orders that are remembered, so that a second page continues the first and a repeated search costs nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import msgspec
from cachetools import TTLCache

from es_reasonrank.service.answers import Answer, Ask
from es_reasonrank.types import Status

_PAGES_SECONDS = 60.0
"""How long an order that is not whole is kept, for further pages alone: whoever searches anew may have more luck."""


class Remembered:
    """Answers by all that they depend on, and by whom they were for. Texts are not kept.

    Args:
        size: answers that are kept; the least recently used go first.
        ttl: seconds that one is kept.
    """

    def __init__(self, size: int, ttl: float) -> None:
        self._whole: TTLCache[bytes, Answer] = TTLCache(size, ttl)
        self._unfinished: TTLCache[bytes, Answer] = TTLCache(size, _PAGES_SECONDS)

    def get(self, key: bytes, ask: Ask) -> Answer | None:
        """The answer to an equal list, with this one's candidates; its windows are marked as remembered."""
        known = self._whole.get(key)
        if known is None and ask.continues:
            known = self._unfinished.get(key)
        if known is None:
            return None
        return replace(known, ranking=replace(known.ranking, candidates=tuple(ask.candidates)))

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer, unless there was nothing to rank."""
        if answer.status is Status.SKIPPED:
            return
        ranking, trace = answer.ranking, answer.ranking.trace
        windows = [
            replace(window, cached=True, prompt_tokens=0, generated_tokens=0, seconds=0.0) for window in trace.windows
        ]
        spent = replace(trace, windows=tuple(windows), seconds=0.0)
        kept = self._whole if answer.status is Status.OK else self._unfinished
        kept[key] = replace(answer, ranking=replace(ranking, candidates=(), trace=spent), queued=0.0, remembered=True)


def key_of(profile: str, ask: Ask) -> bytes:
    """What an order is remembered under: the caller, the profile, the query, the depth and the list."""
    shown = [(candidate.id, candidate.title, candidate.text, candidate.score) for candidate in ask.candidates]
    asked = (ask.caller, profile, ask.query, ask.depth, shown)
    try:
        packed = msgspec.msgpack.encode(asked)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        packed = json.dumps(asked).encode()
    return hashlib.sha256(packed).digest()
