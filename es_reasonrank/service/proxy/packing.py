"""Compressed bodies, where the proxy must read them. Those it passes on stay as they came."""

from __future__ import annotations

import zlib

_EITHER = zlib.MAX_WBITS | 32
"""gzip or zlib, whichever the first bytes say."""
_PACKINGS = frozenset({"gzip", "x-gzip", "deflate"})


class TooLargeError(Exception):
    """There is more in it than was allowed."""


def unpacked(body: bytes, packing: str, *, most: int | None = None) -> bytes:
    """The content of a body with this Content-Encoding; the body itself where it is not packed.

    Args:
        most: bytes that it may have; without it, any number.

    Raises:
        ValueError: it cannot be unpacked.
        TooLargeError: it has more.
    """
    name = packing.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _PACKINGS:
        raise ValueError(f"Content-Encoding {packing!r} is not known")
    reader = zlib.decompressobj(_EITHER)
    try:
        content = reader.decompress(body, most + 1 if most is not None else 0)
    except zlib.error as error:
        raise ValueError(f"not {name}: {error}") from error
    if most is not None and len(content) > most:
        raise TooLargeError
    if not reader.eof:
        raise ValueError(f"not the whole of a {name} body")
    return content
