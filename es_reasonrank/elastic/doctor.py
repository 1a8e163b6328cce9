"""Questions to a server and an index that show whether they serve; each answer is a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.fields import require_fields, text_fields
from es_reasonrank.errors import ElasticError, SearchError

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


async def check_server(client: AsyncElasticsearch) -> str:
    """Version, health and licence.

    Raises:
        ElasticError: the server does not answer, or not to this login.
    """
    with mapped():
        info = await client.info()
        health = await client.cluster.health()
    version = info["version"]["number"]
    return f"{version}, cluster {info['cluster_name']!r} is {health['status']}, licence {await _license(client)}"


async def check_index(client: AsyncElasticsearch, index: str, fields: Sequence[str]) -> str:
    """How many documents it has, and which of its fields a hit's text is read from.

    Raises:
        SearchError: there is no such index, or it has no such field, or no text at all.
    """
    await require_fields(client, index, fields)
    texts = fields or await text_fields(client, index)
    with mapped(index):
        count = (await client.count(index=index))["count"]
    return f"{count:,} documents, text from {', '.join(texts)}"


async def _license(client: AsyncElasticsearch) -> str:
    """Reranking here needs none; the server's own needs Enterprise, which is why one asks."""
    try:
        with mapped():
            return str((await client.license.get())["license"]["type"])
    except (ElasticError, SearchError):
        return "unknown (no licence API, as in the embedded server); none is needed"
