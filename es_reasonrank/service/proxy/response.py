"""The server's response with its hits in another order. Every byte that is not ours stays as it came. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from es_reasonrank.elastic.passages import TextSource, candidate, values
from es_reasonrank.elastic.response import RANK_KEY
from es_reasonrank.service.proxy.spans import Member, Span, items, members, rebuilt
from es_reasonrank.types import Candidate

Change = tuple[Span, bytes]
"""A piece of the text, and what stands there afterwards."""

Texts = Mapping[tuple[str, str], Mapping[str, Any]]
"""What was fetched of hits besides, by index and id."""


@dataclass(frozen=True)
class Placed:
    """A hit at its new place."""

    hit: int
    """Which of the response's hits it is, from 0."""
    score: float | None
    """Its new score; None where it keeps its own."""
    explained: Mapping[str, Any] | None = None
    """What is added to it, where the caller wants to know."""


class Hits:
    """The hits of a search response, and where they stand in it.

    Args:
        text: the response.
        within: where the response stands in the text, as one of several; the whole text by default.

    Raises:
        ValueError: it is no search response.
    """

    def __init__(self, text: bytes, within: Span | None = None) -> None:
        self.text = text
        self.span = within or Span(0, len(text))
        self.members = members(text, within)
        outer = _member(self.members, "hits")
        inner = members(text, outer.value)
        self._array = _member(inner, "hits").value
        self._spans = items(text, self._array)
        self._max_score = next((member.value for member in inner if member.key == "max_score"), None)
        self.values: list[dict[str, Any]] = msgspec.json.decode(self._array.of(text))
        if not all("_id" in hit for hit in self.values):
            raise ValueError("hits without ids")

    def lacks(self, source: TextSource, count: int) -> bool:
        """Whether a text is to be read that none of the first hits brought along."""
        hits = self.values[:count]
        if source.take != "all":
            return bool(hits)
        return any(not any(values(hit, name) for hit in hits) for name in source.names) if hits else False

    def candidates(self, source: TextSource, count: int, texts: Texts | None = None) -> list[Candidate]:
        """The first hits as candidates.

        Args:
            texts: their texts by index and id, where the hits themselves lack them.
        """
        return [
            candidate({**hit, **((texts or {}).get(key, {})), "_id": key[1]}, source)
            for key, hit in zip(self.keys[:count], self.values, strict=False)
        ]

    @cached_property
    def keys(self) -> list[tuple[str, str]]:
        """Index and id of each hit."""
        return [(str(hit.get("_index", "")), str(hit.get("_id", ""))) for hit in self.values]

    def changes(
        self,
        placed: Sequence[Placed],
        top: float | None,
        explanation: Mapping[str, object] | None = None,
    ) -> list[Change]:
        """What is to be replaced in the text so that these hits stand there.

        Args:
            placed: the hits of the page that the caller wants, in their new order.
            top: the highest of the new scores; None where the server's own are kept.
            explanation: goes to the response's end, where there is one.
        """
        pieces = [self._hit(one) for one in placed]
        found = [(self._array, self._joined(pieces))]
        if top is not None and self._max_score is not None and self._max_score.of(self.text) != b"null":
            found.append((self._max_score, number(top)))
        if explanation is not None:
            end = self.members[-1].value.end
            found.append((Span(end, end), b',"' + RANK_KEY.encode() + b'":' + msgspec.json.encode(explanation)))
        return found

    def _hit(self, placed: Placed) -> bytes:
        """One hit's text with its new score."""
        text = self._spans[placed.hit].of(self.text)
        if placed.score is not None:
            text = rebuilt(text, members(text), {"_score": number(placed.score)})
        return text if placed.explained is None else with_member(text, RANK_KEY, placed.explained)

    def _joined(self, pieces: Sequence[bytes]) -> bytes:
        """An array of hits, with the white space of the server's own."""
        if not self._spans:
            return self._array.of(self.text)
        first, last = self._spans[0], self._spans[-1]
        gap = self.text[first.end : self._spans[1].start] if len(self._spans) > 1 else b","
        if not pieces:
            return b"[ ]" if first.start > self._array.start + 1 else b"[]"
        return self.text[self._array.start : first.start] + gap.join(pieces) + self.text[last.end : self._array.end]


def with_member(text: bytes, key: str, value: Any) -> bytes:
    """An object with one more member at its end."""
    body = text.rstrip()
    inner = body[:-1].rstrip()
    comma = b"" if inner.endswith(b"{") else b","
    return inner + comma + msgspec.json.encode(key) + b":" + msgspec.json.encode(value) + b"}" + text[len(body) :]


def number(value: float) -> bytes:
    """A score as JSON, always with a point, as the server writes it."""
    return msgspec.json.encode(float(value))


def _member(found: Sequence[Member], key: str) -> Member:
    for member in found:
        if member.key == key:
            return member
    raise ValueError(f"the response has no {key!r}")
