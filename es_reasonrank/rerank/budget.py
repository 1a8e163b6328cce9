"""Prompts that fit: passages are cut by the model's own tokens; in a window that is too long, the longest give way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from es_reasonrank.engines.base import Request, TextEngine
from es_reasonrank.errors import InputError

Build = Callable[[Sequence[str]], Request]


async def fit(engine: TextEngine, passages: Sequence[str], limit: int, build: Build) -> Request:
    """The request over `passages` that fits the engine's context together with its reply.

    Every passage has at most `limit` tokens. Where that is still too long, the limit is lowered as far as needed, so
    that only the longest passages lose text.

    Args:
        build: makes the request from the cut passages.

    Raises:
        InputError: there is no room for the reply even with one token a passage.
    """
    room = await engine.context()

    async def attempt(cap: int) -> tuple[Request, int]:
        request = build(await engine.cut(passages, cap))
        return request, await engine.count(request) + request.max_tokens

    request, used = await attempt(limit)
    if used <= room:
        return request
    fitting: Request | None = None
    low, high = 0, limit
    while high - low > 1:
        cap = (low + high) // 2
        request, used = await attempt(cap)
        if used <= room:
            fitting, low = request, cap
        else:
            high = cap
    if fitting is None:
        raise InputError(
            f"the prompt and its reply need {used} tokens with one token a passage, and the model has {room}; "
            "shorten the query, the window or the thinking budget"
        )
    return fitting
