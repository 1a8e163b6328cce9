"""Hits out: the top of any search as candidates, one page or many, each with its text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.fields import require_fields
from es_reasonrank.elastic.passages import TextSource, asking, candidate, values
from es_reasonrank.errors import SearchError
from es_reasonrank.types import Candidate

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

PAGE = 1000
"""Hits that one request brings; beyond it, pages of a point in time."""
_KEEP_ALIVE = "1m"


@dataclass(frozen=True)
class Candidates:
    """The first stage's answer: the server's response with all its hits, and the same hits as candidates."""

    response: dict[str, Any]
    items: tuple[Candidate, ...]

    @property
    def hits(self) -> list[dict[str, Any]]:
        """The server's hits, in the order of `items`."""
        hits: list[dict[str, Any]] = self.response["hits"]["hits"]
        return hits


async def fetch(
    client: AsyncElasticsearch,
    index: str,
    body: Mapping[str, Any],
    *,
    query: str,
    depth: int,
    source: TextSource,
    page: int = PAGE,
) -> Candidates:
    """The top `depth` hits of a search.

    Args:
        index: an index, pattern or alias.
        body: any search body; its `from` and `size` are the caller's business, not this one's.
        query: what the user asked, to find the fragments that match it.
        source: where a hit's text comes from.
        page: hits that one request may bring.

    Raises:
        SearchError: the index, a field or the body is wrong.
        ElasticError: the server failed.
    """
    asked = asking({key: value for key, value in body.items() if key not in ("from", "size")}, source, query)
    with mapped(index):
        if depth <= page:
            response = (await client.search(index=index, body={**asked, "size": depth})).body
        else:
            response = await _paged(client, index, asked, depth, page)
    hits = response["hits"]["hits"]
    await _check_fields(client, index, hits, source)
    return Candidates(response, tuple(candidate(hit, source) for hit in hits))


async def _paged(client: AsyncElasticsearch, index: str, body: dict[str, Any], depth: int, page: int) -> dict[str, Any]:
    """One response made of pages: the first page's, with the hits of all."""
    if "collapse" in body or "rescore" in body:
        key = "collapse" if "collapse" in body else "rescore"
        raise SearchError(f"{key!r} cannot be paged through; ask for a depth of at most {page}", index=index)
    pit = (await client.open_point_in_time(index=index, keep_alive=_KEEP_ALIVE))["id"]
    try:
        whole: dict[str, Any] | None = None
        async for response in _pages(client, pit, body, depth, page):
            if whole is None:
                whole = response
            else:
                whole["hits"]["hits"].extend(response["hits"]["hits"])
            pit = response.get("pit_id", pit)
        assert whole is not None
        return whole
    finally:
        await client.close_point_in_time(id=pit)


async def _pages(
    client: AsyncElasticsearch, pit: str, body: dict[str, Any], depth: int, page: int
) -> AsyncIterator[dict[str, Any]]:
    """Pages of a point in time until `depth` hits are there or the list ends."""
    left, after = depth, None
    while left > 0:
        size = min(page, left)
        paged = {"track_scores": True, **body, "size": size, "pit": {"id": pit, "keep_alive": _KEEP_ALIVE}}
        paged["sort"] = body.get("sort") or [{"_score": "desc"}]
        response = (await client.search(body=paged | ({"search_after": after} if after else {}))).body
        hits = response["hits"]["hits"]
        yield response
        if len(hits) < size:
            return
        left, after, pit = left - size, hits[-1]["sort"], response.get("pit_id", pit)


async def _check_fields(client: AsyncElasticsearch, index: str, hits: list[dict[str, Any]], source: TextSource) -> None:
    """Complain of a field that no hit has, where the index has no such field either."""
    absent = [name for name in source.names if not any(values(hit, name) for hit in hits)]
    if absent:
        await require_fields(client, index, absent)
