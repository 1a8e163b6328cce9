"""Where the parts of a JSON text stand, so that one part can be replaced and every other byte stays as it came.

msgspec says where a value ends, and that the text is valid; what lies between values is found by two patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

_RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_KEY = re.compile(rb'[\s,{]*("(?:[^"\\]|\\.)*")\s*:\s*')
_GAP = re.compile(rb"[\s,]*")


class Span(NamedTuple):
    """A piece of a text, from `start` to before `end`."""

    start: int
    end: int

    def of(self, text: bytes) -> bytes:
        """The piece itself."""
        return text[self.start : self.end]


class Member(NamedTuple):
    """A key of an object with where its value stands. `start` is where the key does."""

    key: str
    start: int
    value: Span


def members(text: bytes, within: Span | None = None) -> list[Member]:
    """The members of an object.

    Args:
        within: where the object stands in `text`; the whole text by default.

    Raises:
        ValueError: it is no JSON object, or has a key twice.
    """
    span = within or Span(0, len(text))
    values = _RAW_MEMBERS.decode(span.of(text))
    found: list[Member] = []
    position = span.start
    for key, raw in values.items():
        match = _KEY.match(text, position)
        if match is None or msgspec.json.decode(match[1]) != key:
            raise ValueError("a key stands twice in one object")
        position = match.end() + len(memoryview(raw))
        found.append(Member(key, match.start(1), Span(match.end(), position)))
    if text[position : span.end].strip(b" \t\r\n{") != b"}":
        raise ValueError("a key stands twice in one object")
    return found


def items(text: bytes, within: Span) -> list[Span]:
    """Where the items of an array stand.

    Raises:
        ValueError: it is no JSON array.
    """
    found = []
    position = text.index(b"[", within.start) + 1
    for raw in _RAW_ITEMS.decode(within.of(text)):
        gap = _GAP.match(text, position)
        start = gap.end() if gap else position
        position = start + len(memoryview(raw))
        found.append(Span(start, position))
    return found


def replaced(text: bytes, changes: Iterable[tuple[Span, bytes]]) -> bytes:
    """The text with pieces replaced. They must not overlap."""
    pieces = []
    position = 0
    for span, new in sorted(changes):
        pieces += [text[position : span.start], new]
        position = span.end
    return b"".join([*pieces, text[position:]])


def rebuilt(text: bytes, all_members: Sequence[Member], values: Mapping[str, bytes | None]) -> bytes:
    """An object with some values replaced, and those members left out whose new value is None.

    Args:
        text: the object alone.
        all_members: its members.
        values: new values by key; a key that the object does not have counts for nothing.
    """
    kept = [member for member in all_members if values.get(member.key, b"") is not None]
    pieces = [
        text[member.start : member.value.start] + (values.get(member.key) or member.value.of(text)) for member in kept
    ]
    if not all_members:
        return text
    gap = text[all_members[0].value.end : all_members[1].start] if len(all_members) > 1 else b","
    return text[: all_members[0].start] + gap.join(pieces) + text[all_members[-1].value.end :]
