"""The text that a search looks for, read out of its body, for searches that do not say what to rerank by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_BY_FIELD = frozenset({"match", "match_phrase", "match_phrase_prefix", "match_bool_prefix", "text_expansion"})
_OF_ALL = frozenset(
    {"multi_match", "query_string", "simple_query_string", "combined_fields", "more_like_this", "semantic"}
)
_QUERY_SYNTAX = frozenset({"query_string", "simple_query_string"})
_TEXTS = ("query", "like", "model_text")
_SKIPPED = frozenset({"filter", "must_not", "aggs", "aggregations", "highlight", "suggest", "post_filter", "sort"})
_FIELD = re.compile(r"(?<![\w.])[\w.*]+:(?=\S)")
_OPERATORS = re.compile(r'[+\-!(){}\[\]^"~*?:\\/|]|\b(?:AND|OR|NOT|TO)\b')


def text_of(body: Mapping[str, Any], path: str = "") -> str:
    """The text of a search body's query, empty where there is none.

    Args:
        path: where it stands, as names with dots between; without it, the first text of a full-text query that
            scores: what filters and negations look for is not what the user wants to see.
    """
    if path:
        value: Any = body
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, str) else ""
    return next(_texts({key: body[key] for key in ("query", "retriever", "knn") if key in body}), "")


def text_of_parameter(query: str) -> str:
    """The text of a query in Lucene's syntax, as `q` has it: without field names and operators."""
    return " ".join(_OPERATORS.sub(" ", _FIELD.sub("", query)).split())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    if not isinstance(value, Mapping):
        return
    for key, below in value.items():
        if key in _SKIPPED:
            continue
        if key in _OF_ALL and isinstance(below, Mapping):
            yield from (text_of_parameter(text) if key in _QUERY_SYNTAX else text for text in _strings(below))
        elif key in _BY_FIELD and isinstance(below, Mapping):
            for text in below.values():
                yield from _strings(text) if isinstance(text, Mapping) else _strings({"query": text})
        else:
            yield from _texts(below)


def _strings(values: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXTS:
        text = values.get(name)
        if isinstance(text, str) and text.strip():
            yield text
