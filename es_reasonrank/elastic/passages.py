"""The text of a hit: one or several fields, a template, highlighted fragments, or the best passages of a long text.

All of it is pure: what to ask the server for, and how to read its answer. Values are asked for with the search API's
`fields`, which knows aliases, nested objects and several values, whatever `_source` the caller wants for himself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.types import Candidate
from es_reasonrank.validation import Checked

Hit = Mapping[str, Any]

_SLOT = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
_ANALYZED = 999_999
"""Characters that highlighting reads of a text: the server's own bound, above which it fails."""


class TextSource(Checked):
    """Where a hit's text comes from. A field called `title` becomes the passage's title, all others its text."""

    fields: tuple[str, ...] = Field(
        (), description="Fields, in the order to read them: body, author.name, comments.text."
    )
    template: str = Field("", description="Text with fields in double braces instead: {{title}} by {{author.name}}.")
    take: Literal["all", "highlights", "best"] = Field(
        "all", description="The whole value, the fragments that match the query, or the best passages of a long text."
    )
    fragments: int = Field(3, ge=1, description="Fragments or passages of a field.")
    characters: int = Field(0, ge=0, description="Length of one; 0: 150 for highlights, 1,000 for the best passages.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.template and (self.fields or self.take != "all"):
            raise ValueError("a template names its fields itself; leave out 'fields' and 'take'")
        if self.template and not _SLOT.search(self.template):
            raise ValueError("a template names fields in double braces: {{title}}: {{body}}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every field that is read."""
        return tuple(dict.fromkeys(_SLOT.findall(self.template))) if self.template else self.fields


def asking(body: Mapping[str, Any], source: TextSource, query: str) -> dict[str, Any]:
    """A search body that also brings what `source` needs, and is the caller's in everything else."""
    wanted = [{"field": name, "include_unmapped": True} for name in source.names]
    given = body.get("fields", [])
    own = [given] if isinstance(given, str) else given
    asked: dict[str, Any] = {**body, "fields": [*own, *wanted]}
    if source.take != "all" and "highlight" not in body:
        asked["highlight"] = _highlight(source, query)
    return asked


def without_extras(hit: Hit, body: Mapping[str, Any]) -> dict[str, Any]:
    """The hit as the caller's own body would have brought it."""
    kept = dict(hit)
    if "highlight" not in body:
        kept.pop("highlight", None)
    if "fields" not in body:
        kept.pop("fields", None)
    return kept


def candidate(hit: Hit, source: TextSource) -> Candidate:
    """The hit as a candidate; one without text says why."""
    name, score = str(hit["_id"]), hit.get("_score")
    if source.template:
        text = _SLOT.sub(lambda slot: " ".join(values(hit, slot.group(1))), source.template)
        empty = not any(values(hit, field) for field in source.names)
        return Candidate(name, "" if empty else text, score=score, note=_why_empty(source) if empty else "")
    title_fields, body_fields = _parted(source.fields)
    titles = [text for field in title_fields for text in values(hit, field)]
    texts = [text for field in body_fields for text in _texts(hit, field, source)]
    found = any(text.strip() for text in (*titles, *texts))
    return Candidate(name, "\n".join(texts), " ".join(titles), score, "" if found else _why_empty(source))


def values(hit: Hit, field: str) -> list[str]:
    """Every value of a field in a hit, from `fields`, else from `_source`, through nested objects and lists."""
    source = hit.get("_source") or {}
    if "fields" not in hit and isinstance(text := source.get(field), str):
        return [text]  # by far the most frequent case
    found = list(_walk(hit.get("fields") or {}, field)) or list(_walk(source, field))
    return [str(value) for value in found if value is not None and not isinstance(value, (Mapping, list))]


def _texts(hit: Hit, field: str, source: TextSource) -> list[str]:
    fragments = [] if source.take == "all" else (hit.get("highlight") or {}).get(field, [])
    return [" … ".join(fragments)] if fragments else values(hit, field)


def _walk(value: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path; a key may itself hold dots, as in `fields`."""
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if path == key:
                yield from _walk(inner, "")
            elif path.startswith(key + "."):
                yield from _walk(inner, path[len(key) + 1 :])


def _highlight(source: TextSource, query: str) -> dict[str, Any]:
    """The unified highlighter ranks a text's fragments by BM25: the best passages are its largest fragments."""
    size = source.characters or (1000 if source.take == "best" else 150)
    return {
        "type": "unified",
        "order": "score",
        "pre_tags": [""],
        "post_tags": [""],
        "fragment_size": size,
        "number_of_fragments": source.fragments,
        "no_match_size": size,
        "max_analyzed_offset": _ANALYZED,
        "fields": {name: {"highlight_query": {"match": {name: query}}} for name in _parted(source.fields)[1]},
    }


@lru_cache(maxsize=1_000)
def _parted(fields: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that become the title, and those that become the text."""
    titles = tuple(field for field in fields if _is_title(field))
    return titles, tuple(field for field in fields if field not in titles)


def _is_title(field: str) -> bool:
    return field.rpartition(".")[2] == "title"


def _why_empty(source: TextSource) -> str:
    names: Sequence[str] = source.names
    return f"no text in {'field' if len(names) == 1 else 'fields'} {', '.join(names)}"
