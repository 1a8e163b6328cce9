"""One search as its caller sent it, and as the server is asked for the hits to rerank. All of it is pure.

The caller's body is taken apart at its top level only: what is not changed goes on byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

import msgspec

from es_reasonrank.errors import SettingsError
from es_reasonrank.service.proxy.asked import Asked, Switch, from_body, from_rules
from es_reasonrank.service.proxy.filter_path import FilterPath
from es_reasonrank.service.proxy.query_text import text_of, text_of_parameter
from es_reasonrank.service.proxy.retrievers import TextSimilarity
from es_reasonrank.service.proxy.spans import members
from es_reasonrank.service_settings import Rule

SWITCH = "rerank"
"""The parameter that turns reranking off, on, or names a profile; a header X-Rerank does the same."""
NEEDED = ("hits.hits._index", "hits.hits._id", "hits.hits._score")
"""What a response must hold to be reordered, whatever its caller filters."""
_SIZE = 10
"""Hits that the server returns where nobody says how many."""


class Skip(StrEnum):
    """Why a search that is to be reranked goes to the server as it is. The words stand in a header."""

    OFF = "turned_off"
    """The caller turned it off."""
    NO_QUERY = "no_query"
    """There is no text to rerank by."""
    NO_HITS = "no_hits"
    """No hits are asked for, or none are shown."""
    SORTED = "sort"
    """The caller wants another order than that of the scores."""
    SEARCH_AFTER = "search_after"
    """The page after a given hit: it belongs to the server's own order."""
    SCROLL = "scroll"
    """All hits are read, page by page."""
    BEYOND = "beyond_depth"
    """The page begins behind the hits that are reranked: there the server's own order goes on."""
    NO_IDS = "stored_fields_none"
    """Hits come without id and texts."""
    FORMAT = "format"
    """The response is not asked for as plain JSON."""
    NO_FIELDS = "no_text_fields"
    """Nothing says which fields hold text, and the indices do not tell."""
    REFUSED = "window_refused"
    """The server did not accept the search with as many hits as are to be reranked, but as the caller sent it."""
    ROLLOUT = "rollout"
    """By the roll-out's settings this user sees the server's own order."""
    SHADOW = "shadow"
    """Both orders are compared behind the user's back."""
    TOO_LARGE = "body_too_large"
    """Its body has more bytes than are read here."""
    INSIDE = "inside"
    """A retriever inside of another one was reranked, the search itself was not."""


class Parameters:
    """A query string: read by name, and kept as it stands on the wire."""

    def __init__(self, query: str) -> None:
        self._pieces = [piece for piece in query.split("&") if piece]
        self._values: dict[str, str] = {}
        for piece in self._pieces:
            name, _, value = piece.partition("=")
            self._values[unquote_plus(name)] = unquote_plus(value)

    def get(self, name: str) -> str | None:
        """The value of a parameter; where it stands several times, the last."""
        return self._values.get(name)

    @property
    def query(self) -> str:
        """All of it."""
        return "&".join(self._pieces)

    def only(self, names: Iterable[str]) -> str:
        """The query string with some parameters only."""
        kept = set(names)
        return "&".join(piece for piece in self._pieces if unquote_plus(piece.partition("=")[0]) in kept)

    def widened(self, names: Iterable[str], needed: Sequence[str]) -> str:
        """The query string without some parameters, whose filter lets through what is needed besides."""
        rest = self.without([SWITCH, "filter_path", *names])
        value = self.get("filter_path")
        filtered = f"filter_path={quote(FilterPath.parsed(value).widened(needed))}" if value else ""
        return "&".join(part for part in (rest, filtered) if part)

    def without(self, names: Iterable[str]) -> str:
        """The query string without some parameters."""
        left_out = set(names)
        return "&".join(piece for piece in self._pieces if unquote_plus(piece.partition("=")[0]) not in left_out)


@dataclass(frozen=True)
class Search:
    """One search: the indices in its path, its parameters, and its body."""

    target: str
    """As it stands on the wire, percent-encoded; empty where no index is named."""
    parameters: Parameters
    body: bytes

    @cached_property
    def raw(self) -> dict[str, msgspec.Raw]:
        """The body's members, unread.

        Raises:
            ValueError: it is no JSON object, or has a key twice.
        """
        text = self.body.strip()
        return {member.key: msgspec.Raw(member.value.of(text)) for member in members(text)} if text else {}

    def value(self, key: str) -> Any:
        """The value of a member of the body, None where it is not there."""
        raw = self.raw.get(key)
        return None if raw is None else msgspec.json.decode(raw)

    def setting(self, key: str) -> Any:
        """A value that a parameter gives, or else the body."""
        value = self.parameters.get(key)
        return self.value(key) if value is None else value

    def number(self, key: str, default: int) -> int:
        """A count that is given either way.

        Raises:
            ValueError: it is none; the server says so better.
        """
        value = self.setting(key)
        number = default if value is None else int(value)
        if number < 0:
            raise ValueError(key)
        return number

    @property
    def query_text(self) -> str:
        """The text that the search looks for."""
        parameter = self.parameters.get("q")
        return text_of_parameter(parameter) if parameter else text_of(self._queries)

    @property
    def _queries(self) -> dict[str, Any]:
        return {key: self.value(key) for key in ("query", "retriever") if key in self.raw}

    def asked(self, rules: Sequence[Rule], switch: Switch) -> Asked | None:
        """What it asks of the reranker, None where nothing is asked.

        Raises:
            SettingsError: it asks wrongly.
            ValueError: the body is no JSON object.
        """
        ext = self.value("ext")
        asked = from_body(ext) if isinstance(ext, dict) else None
        text = ""
        if asked is None and not switch.off:
            found = from_rules(rules, unquote(self.target))
            if found is not None:
                asked, path = found
                text = text_of(self._queries, path) if path else ""
            elif switch.on:
                asked = Asked()
        if asked is None:
            return None
        if switch.profile:
            asked = asked.model_copy(update={"profile": switch.profile})
        return asked if asked.query else asked.model_copy(update={"query": text or self.query_text})

    def skipped(self, asked: Asked) -> Skip | None:
        """Why it cannot be reranked, None where it can."""
        if self.number("size", _SIZE) == 0:
            return Skip.NO_HITS
        if self.setting("scroll") is not None:
            return Skip.SCROLL
        if "search_after" in self.raw:
            return Skip.SEARCH_AFTER
        if not _by_score(self.setting("sort")):
            return Skip.SORTED
        if "_none_" in _listed(self.setting("stored_fields")):
            return Skip.NO_IDS
        if self.parameters.get("format") not in (None, "json"):
            return Skip.FORMAT
        if self.parameters.get("filter_path") and self.parameters.get("pretty") not in (None, "false"):
            return Skip.FORMAT
        return None if asked.query.strip() else Skip.NO_QUERY

    @property
    def speaks_to_us(self) -> bool:
        """Whether the server would stumble over what is meant for us."""
        ext = self.value("ext")
        return self.parameters.get(SWITCH) is not None or (isinstance(ext, dict) and from_body_is_ours(ext))

    @property
    def plain(self) -> Search:
        """The search without what speaks to the reranker only."""
        ext = self.value("ext")
        body = self.body
        if isinstance(ext, dict) and from_body_is_ours(ext):
            rest = {key: value for key, value in ext.items() if key != "rerank"}
            body = _encoded({**self.raw, "ext": rest} if rest else _less(self.raw, ["ext"]))
        return Search(self.target, Parameters(self.parameters.without([SWITCH])), body)

    def inner(self, retriever: Mapping[str, Any], keys: Sequence[str]) -> Search:
        """A search by one retriever of this search alone, with some of its other members."""
        kept = {key: self.raw[key] for key in keys if key in self.raw}
        return Search(self.target, Parameters(""), _encoded({**kept, "retriever": retriever}))

    def with_retriever(self, retriever: Mapping[str, Any]) -> Search:
        """The same search by another retriever."""
        return Search(self.target, self.parameters, _encoded({**self.raw, "retriever": retriever}))


@dataclass(frozen=True)
class Window:
    """The hits that the server is asked for, and the page of them that the caller wants."""

    search: Search
    asked: Asked
    depth: int
    """Hits that are reranked."""
    start: int
    size: int
    retrieved: bool = False
    """Whether a retriever asked: it returns the window's hits and no others."""
    min_score: float | None = None
    """A retriever's least score."""

    @property
    def end(self) -> int:
        """The place behind the page's last hit."""
        return self.start + self.size

    @property
    def filter(self) -> FilterPath | None:
        """What of the response the caller wants to see."""
        value = self.search.parameters.get("filter_path")
        return FilterPath.parsed(value) if value else None

    @property
    def query_string(self) -> str:
        """The parameters of the widened search."""
        return self.search.parameters.widened(["size", "from"], NEEDED)

    @property
    def body(self) -> bytes:
        """The body of the widened search. Nothing but its size is changed: whatever else is asked of the server can
        change how it writes what the caller asked for."""
        size = self.depth if self.retrieved else max(self.depth, self.end)
        return _encoded({**_less(self.search.plain.raw, ["from", "size"]), "size": size})


def window_of(search: Search, asked: Asked, depth: int, found: TextSimilarity | None = None) -> Window | Skip:
    """The hits to ask for, or why none are.

    Args:
        depth: hits to rerank.
        found: the retriever that asks, if one does.
    """
    start, size = search.number("from", 0), search.number("size", _SIZE)
    if found is not None:
        return Window(search, asked, found.rank_window_size, start, size, True, found.min_score)
    return Skip.BEYOND if start >= depth else Window(search, asked, depth, start, size)


def from_body_is_ours(ext: Mapping[str, Any]) -> bool:
    """Whether `ext.rerank` speaks to us; what is wrong with it does not matter here."""
    try:
        return from_body(ext) is not None
    except SettingsError:
        return True


def _by_score(sort: Any) -> bool:
    """Whether a sort is none, or the one that searches have anyway."""
    if sort is None:
        return True
    keys = sort.split(",") if isinstance(sort, str) else sort if isinstance(sort, list) else [sort]
    return all(key in ("_score", "_score:desc", {"_score": "desc"}, {"_score": {"order": "desc"}}) for key in keys)


def _listed(value: Any) -> list[str]:
    """Names of fields, however they are given: one, a list with commas, or objects with `field`."""
    if isinstance(value, str):
        return value.split(",")
    found = value if isinstance(value, list) else []
    return [str(item.get("field")) if isinstance(item, dict) else str(item) for item in found]


def _less(raw: Mapping[str, msgspec.Raw], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in keys}


def _encoded(values: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(values)
