"""Which fields an index has: to choose its text fields, and to name them where a wrong one was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import SearchError
from es_reasonrank.validation import nearest

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_TEXT = {"text", "match_only_text", "search_as_you_type", "semantic_text"}
_TITLES = ("title", "name", "headline", "subject")
_BODIES = ("body", "text", "content", "contents", "passage", "description", "abstract")


async def field_types(client: AsyncElasticsearch, index: str) -> dict[str, str]:
    """Every field of an index, pattern or alias with its type.

    Raises:
        SearchError: there is no such index.
    """
    with mapped(index):
        answer = await client.field_caps(index=index, fields="*", filters="-metadata", ignore_unavailable=False)
    return {name: next(iter(types)) for name, types in answer["fields"].items()}


async def text_fields(client: AsyncElasticsearch, index: str) -> tuple[str, ...]:
    """The fields that most probably hold a hit's title and text.

    Raises:
        SearchError: the index has no field that does.
    """
    types = await field_types(client, index)
    found = likely_text_fields(types)
    if not found:
        raise SearchError(
            f"index {index!r} has no text field to rerank by; its fields: {', '.join(sorted(types))}", index=index
        )
    return found


def likely_text_fields(types: Mapping[str, str]) -> tuple[str, ...]:
    """Of fields with their types, those that most probably hold a hit's title and text; none where none is text."""
    texts = [name for name, kind in types.items() if kind in _TEXT]
    found = [_first(_TITLES, texts), _first(_BODIES, texts)]
    return tuple(name for name in found if name) or tuple(sorted(texts)[:1])


async def searched_fields(client: AsyncElasticsearch, index: str, fields: Sequence[str]) -> list[str]:
    """The fields to search for a text that is read from `fields`: their stemmed twin where there is one."""
    types = await field_types(client, index)
    return [f"{name}.english" if f"{name}.english" in types else name for name in fields]


async def require_fields(client: AsyncElasticsearch, index: str, names: Iterable[str]) -> None:
    """Check that an index has these fields.

    Raises:
        SearchError: it has not; the sentence names the fields that it has.
    """
    types = await field_types(client, index)
    for name in names:
        if name not in types:
            texts = sorted(field for field, kind in types.items() if kind in _TEXT)
            hint = nearest(name, types) if len(types) > 1 else ""
            close = hint if hint.startswith(" (did") else ""
            raise SearchError(
                f"index {index!r} has no field {name!r}{close}; its text fields: {', '.join(texts) or 'none'}",
                index=index,
            )


def _first(names: Sequence[str], present: Sequence[str]) -> str:
    return next((name for name in names if name in present), "")
