"""Whole orders that are remembered, so that a second page continues the first and a repeated search costs nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import msgspec
from cachetools import TTLCache

from es_reasonrank.service.answers import Ask
from es_reasonrank.types import Ranking


class Remembered:
    """Rankings by all that they depend on, and by whom they were for. Texts are not kept.

    Args:
        size: rankings that are kept; the least recently used go first.
        ttl: seconds that one is kept.
    """

    def __init__(self, size: int, ttl: float) -> None:
        self._rankings: TTLCache[bytes, Ranking] = TTLCache(size, ttl)

    def get(self, key: bytes, ask: Ask) -> Ranking | None:
        """The ranking of an equal list, with this one's candidates; its windows are marked as remembered."""
        known = self._rankings.get(key)
        return None if known is None else replace(known, candidates=tuple(ask.candidates))

    def put(self, key: bytes, ranking: Ranking) -> None:
        """Keep a ranking."""
        trace = ranking.trace
        windows = [
            replace(window, cached=True, prompt_tokens=0, generated_tokens=0, seconds=0.0) for window in trace.windows
        ]
        spent = replace(trace, windows=tuple(windows), seconds=0.0)
        self._rankings[key] = replace(ranking, candidates=(), trace=spent)


def key_of(profile: str, ask: Ask) -> bytes:
    """What an order is remembered under: the caller, the profile, the query, the depth and the list."""
    shown = [(candidate.id, candidate.title, candidate.text, candidate.score) for candidate in ask.candidates]
    asked = (ask.caller, profile, ask.query, ask.depth, shown)
    try:
        packed = msgspec.msgpack.encode(asked)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
        packed = json.dumps(asked).encode()
    return hashlib.sha256(packed).digest()
