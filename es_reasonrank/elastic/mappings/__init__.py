"""What the project's own indices look like: the JSON files beside this one, as templates or as one index's body.

Every mapping is `dynamic: false`. A field that it does not name is kept in the document and returned with it, but
never indexed: data of any shape goes in, and nobody's field names can blow a mapping up or make two documents clash
over a type. What must be searchable has its own field; the rest of a passage goes under `metadata`, a single
`flattened` field. A results document is searched by its run, query, profile, status, time and `ids`; the order itself
and the reasoning are only stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import cause, mapped
from es_reasonrank.errors import SearchError

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

PREFIX = "es-reasonrank-"
_FORBIDDEN = frozenset('*,?"<>|\\/# ')


class Kind(StrEnum):
    """What an index holds."""

    PASSAGES = "passages"
    """Documents to search and rerank."""
    RESULTS = "results"
    """One document a query and run: the order, what happened to its windows, time and tokens."""
    JUDGMENTS = "judgments"
    """One document a query and document: a grade, and who gave it (human or model); one a click or conversion."""
    CACHE = "cache"
    """One document a window that was judged, found by a key of all that was asked."""


def component_templates() -> dict[str, dict[str, Any]]:
    """The bodies of all component templates by name."""
    return {f"{PREFIX}{name}": _json(f"{name}.component") for name in ("settings", *Kind)}


def index_templates() -> dict[str, dict[str, Any]]:
    """The bodies of all index templates by name. They match es-reasonrank-passages-*, and so on."""
    return {f"{PREFIX}{kind}": _json(f"{kind}.index") for kind in Kind}


def index_body(kind: Kind) -> dict[str, Any]:
    """Settings and mappings of an index of this kind, composed as the server composes its templates."""
    components = component_templates()
    body: dict[str, Any] = {}
    for name in index_templates()[f"{PREFIX}{kind}"]["composed_of"]:
        body = _merged(body, components[name]["template"])
    return body


async def install_templates(client: AsyncElasticsearch) -> None:
    """Put the templates on the server, so that an index with a matching name gets its mapping when it is created.

    Raises:
        ElasticError: the server failed, or the login may not manage templates.
    """
    with mapped():
        for name, body in component_templates().items():
            await client.cluster.put_component_template(
                name=name, template=body["template"], version=body["version"], meta=body["_meta"]
            )
        for name, body in index_templates().items():
            await client.indices.put_index_template(
                name=name,
                index_patterns=body["index_patterns"],
                composed_of=body["composed_of"],
                priority=body["priority"],
                version=body["version"],
                meta=body["_meta"],
            )


async def create_index(client: AsyncElasticsearch, name: str, kind: Kind) -> bool:
    """Create an index of this kind under any name; one that is there is left as it is.

    Returns:
        Whether it was created: False where an index or an alias of this name was there.

    Raises:
        SearchError: the name is none for an index.
        ElasticError: the server failed, or the login may not create indices.
    """
    from elasticsearch import BadRequestError

    check_name(name)
    with mapped(name):
        if await client.indices.exists(index=name):
            return False
        try:
            await client.indices.create(index=name, **index_body(kind))
        except BadRequestError as error:
            if cause(error.body)[0] != "resource_already_exists_exception":
                raise
            return False
    return True


async def recreate_index(client: AsyncElasticsearch, name: str, kind: Kind) -> None:
    """Delete the index of this name with all its documents, if it is there, and create it new.

    Raises:
        SearchError: the name is none for an index, or that of an alias.
        ElasticError: the server failed, or the login may not do this.
    """
    check_name(name)
    with mapped(name):
        if await client.indices.exists(index=name):
            await client.indices.delete(index=name)
    await create_index(client, name, kind)


def check_name(name: str) -> None:
    """A pattern or a list must never stand where one index is written or deleted.

    Raises:
        SearchError: `name` is not the name of one index.
    """
    if not name or name.startswith(("-", "_", "+")) or _FORBIDDEN & set(name):
        raise SearchError(
            f"{name!r} cannot be the name of one index; use lower-case letters, digits, hyphens and dots", index=name
        )


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _json(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return body
