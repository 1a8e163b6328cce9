"""Elasticsearch's `filter_path`, for responses that are reordered before they are filtered.

Semantics as the server has them (reference, "Response filtering"): dotted paths, `*` for any name or part of one, `**`
for any depth, a leading `-` for what is left out. An array counts as its items; what is empty after filtering goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from es_reasonrank.service.proxy.spans import Span, items, members

Pattern = tuple[str, ...]
_Filter = Callable[[bytes, Span, Sequence[Pattern]], bytes | None]


@dataclass(frozen=True)
class FilterPath:
    """What is kept, and what of it is left out."""

    includes: tuple[Pattern, ...]
    excludes: tuple[Pattern, ...]

    @classmethod
    def parsed(cls, value: str) -> FilterPath:
        """The filter that a parameter's value stands for."""
        names = [name.strip() for name in value.split(",") if name.strip()]
        return cls(
            tuple(_parts(name) for name in names if not name.startswith("-")),
            tuple(_parts(name[1:]) for name in names if name.startswith("-")),
        )

    def widened(self, needed: Sequence[str]) -> str:
        """The parameter's value that also lets through what is needed here; the server still filters by itself.

        It must: what it filters, it writes anew, numbers in its own spelling.
        """
        includes = [*(_path(pattern) for pattern in self.includes), *(needed if self.includes else ())]
        return ",".join([*includes, *(f"-{_path(pattern)}" for pattern in self.excludes)])

    def applied(self, text: bytes) -> bytes:
        """A JSON object, filtered; whitespace between its parts is lost.

        Raises:
            ValueError: it is no JSON object.
        """
        whole = Span(len(text) - len(text.lstrip()), len(text.rstrip()))
        if self.includes:
            text = _kept(text, whole, self.includes) or b"{}"
            whole = Span(0, len(text))
        if self.excludes:
            text = _left(text, whole, self.excludes) or b"{}"
        return text


def _kept(text: bytes, span: Span, patterns: Sequence[Pattern]) -> bytes | None:
    """The part of a value that the patterns name, None where there is none."""
    if any(_ends(pattern) for pattern in patterns):
        return span.of(text)
    return _walked(text, span, patterns, _kept) if patterns else None


def _left(text: bytes, span: Span, patterns: Sequence[Pattern]) -> bytes | None:
    """What is left of a value without what the patterns name, None where nothing is."""
    if any(_ends(pattern) for pattern in patterns):
        return None
    if not patterns or text[span.start : span.start + 1] not in (b"{", b"["):
        return span.of(text)
    return _walked(text, span, patterns, _left)


def _walked(text: bytes, span: Span, patterns: Sequence[Pattern], below: _Filter) -> bytes | None:
    """An object or an array with what `below` gives of its parts, None where that is nothing."""
    opening = text[span.start : span.start + 1]
    if opening == b"{":
        pieces = []
        for key, start, value in members(text, span):
            part = below(text, value, _advanced(patterns, key))
            if part is not None:
                pieces.append(text[start : value.start] + part)
        return b"{" + b",".join(pieces) + b"}" if pieces else None
    if opening == b"[":
        found = [below(text, item, patterns) for item in items(text, span)]
        pieces = [part for part in found if part is not None]
        return b"[" + b",".join(pieces) + b"]" if pieces else None
    return None


def _advanced(patterns: Sequence[Pattern], key: str) -> tuple[Pattern, ...]:
    """What is left of the patterns below a key."""
    found: dict[Pattern, None] = {}
    for pattern in patterns:
        if pattern[0] == "**":
            found[pattern] = None
            found.update(dict.fromkeys(_advanced([pattern[1:]], key)) if pattern[1:] else {})
        elif _matcher(pattern[0]).fullmatch(key):
            found[pattern[1:]] = None
    return tuple(found)


def _ends(pattern: Pattern) -> bool:
    return pattern in ((), ("**",))


def _parts(path: str) -> Pattern:
    """A path's names; a dot after a backslash belongs to its name."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path))


def _path(pattern: Pattern) -> str:
    return ".".join(part.replace(".", "\\.") for part in pattern)


@lru_cache(256)
def _matcher(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in name.split("*")), re.DOTALL)
