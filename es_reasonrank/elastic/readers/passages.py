"""One row as a passage: the fields that the passages mapping names, the rest under `metadata`.

    _id | id | docid | doc_id                                    -> the document's id
    title                                                        -> title
    body | text | contents | content | passage | segment         -> body
    url, language | lang, published | date, updated | modified   -> url, language, published, updated
    everything else                                              -> metadata

Of several names the first that has a value counts; the others go to `metadata` like everything else. A row without an
id gets one from its content, so that loading it again replaces it instead of doubling it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from es_reasonrank.elastic.readers.rows import Place, Row

_IDS = ("_id", "id", "docid", "doc_id")
_TITLES = ("title",)
_BODIES = ("body", "text", "contents", "content", "passage", "segment")
_OTHERS = {
    "url": ("url",),
    "language": ("language", "lang"),
    "published": ("published", "date"),
    "updated": ("updated", "modified"),
}
_LONGEST_ID = 512


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the fields that hold id, title and body; where one is empty, the usual names are tried."""

    id: str = ""
    title: str = ""
    body: str = ""

    def unmet(self, columns: Sequence[str]) -> str:
        """What these fields miss in a file that has just these columns; empty where it can be read."""
        for name in filter(None, (self.id, self.title, self.body)):
            if name not in columns:
                return f"has no column {name!r}; its columns are {', '.join(columns)}"
        if not set(columns) & {self.title, self.body, *self.titles, *self.bodies}:
            return (
                f"has no column for text ({', '.join(_BODIES)}); its columns are {', '.join(columns)}; "
                "name the one that holds it with --body-field"
            )
        return ""

    @property
    def ids(self) -> Sequence[str]:
        """The names that may hold the id, best first."""
        return (self.id,) if self.id else _IDS

    @property
    def titles(self) -> Sequence[str]:
        """The names that may hold the title, best first."""
        return (self.title,) if self.title else _TITLES

    @property
    def bodies(self) -> Sequence[str]:
        """The names that may hold the body, best first."""
        return (self.body,) if self.body else _BODIES


class Passage(NamedTuple):
    """A document to index."""

    place: Place
    id: str
    source: dict[str, Any]
    original: str


class Rejected(NamedTuple):
    """A row that cannot be indexed."""

    place: Place
    reason: str
    original: str
    id: str = ""


class _UnfitError(Exception):
    """Why a row makes no passage."""


def passage(row: Row, *, file: str, fields: Fields) -> Passage | Rejected:
    """What a row of `file` becomes."""
    place = Place(file, row.line)
    if row.content is None:
        return Rejected(place, row.reason, row.original)
    try:
        return Passage(place, *_normalised(row.content, fields), row.original)
    except _UnfitError as error:
        return Rejected(place, str(error), row.original)


def _normalised(content: Mapping[str, Any], fields: Fields) -> tuple[str, dict[str, Any]]:
    rest = {field: value for field, value in content.items() if value is not None and value != ""}
    name = _id(_taken(rest, fields.ids), content, fields)
    source: dict[str, Any] = {"title": _text(_taken(rest, fields.titles)), "body": _text(_taken(rest, fields.bodies))}
    if not source["title"].strip() and not source["body"].strip():
        raise _UnfitError(f"has neither a title nor a text ({', '.join(fields.bodies)})")
    rest = _opened(rest)
    for field, names in _OTHERS.items():
        source[field] = _taken(rest, names, kinds=(str, int))
    source["metadata"] = rest
    return name, {field: value for field, value in source.items() if value not in (None, "", {})}


def _taken(rest: dict[str, Any], names: Sequence[str], kinds: tuple[type, ...] = (object,)) -> Any:
    """Take the first value out of `rest` that one of the names has."""
    for name in names:
        if name in rest and isinstance(rest[name], kinds):
            return rest.pop(name)
    return None


def _id(value: Any, content: Mapping[str, Any], fields: Fields) -> str:
    if value is None:
        if fields.id:
            raise _UnfitError(f"has no value in {fields.id!r} to take its id from")
        return _digest(content)
    if not isinstance(value, str | int | float):
        raise _UnfitError(f"has an id that is neither text nor a number: {value!r}")
    name = str(value)
    if len(name.encode()) > _LONGEST_ID:
        raise _UnfitError(f"has an id of {len(name.encode())} bytes, and Elasticsearch takes {_LONGEST_ID} at most")
    return name


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _text(value: Any) -> str:
    """Text as it is, paragraphs as one text."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    if isinstance(value, str | int | float):
        return str(value)
    raise _UnfitError(f"has a title or text that is no text: {json.dumps(value, ensure_ascii=False)[:80]}")


def _opened(rest: dict[str, Any]) -> dict[str, Any]:
    """The row's own metadata object stands beside its other fields, where that hides none of them."""
    own = rest.get("metadata")
    if not isinstance(own, dict) or own.keys() & (rest.keys() - {"metadata"}):
        return rest
    return own | {key: value for key, value in rest.items() if key != "metadata"}
