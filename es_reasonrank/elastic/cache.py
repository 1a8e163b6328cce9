"""Remembered verdicts in an index, so that processes and machines share them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.elastic.mappings import Kind, create_index
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.rerank.cache import packed, unpacked
from es_reasonrank.settings import CacheSettings
from es_reasonrank.types import Verdict

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_PAGE = 1_000
"""Documents that one request deletes."""
_SWEEP = 1_000
"""Verdicts that are written between two looks for what is too old or too many."""


class ElasticCache:
    """Verdicts as documents, bounded in number and in time.

    It never fails a search: what the server does not give counts as not there, and what it does not take is not kept.

    Args:
        client: the cluster.
        index: the index, made at the first writing.
        size: documents that are kept, about; the oldest go first.
        ttl: seconds that one is kept.
    """

    def __init__(self, client: AsyncElasticsearch, index: str, *, size: int, ttl: float) -> None:
        self._client = client
        self._index = index
        self._size = size
        self._ttl = timedelta(seconds=ttl)
        self._ready = False
        self._written = 0

    async def get(self, key: str, size: int) -> Verdict | None:
        """The verdict under the key, where it is whole and not too old. Reading by id is real time."""
        try:
            with mapped(self._index):
                answer = await self._client.options(ignore_status=404).get(index=self._index, id=key)
        except ReasonRankError:
            return None
        if "error" in answer:
            self._ready = False
        source = answer.get("_source") or {}
        expires = source.get("expires")
        if not isinstance(expires, str) or expires <= _now().isoformat():
            return None
        verdict = source.get("verdict")
        return unpacked(verdict, size) if isinstance(verdict, dict) else None

    async def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict; now and then, what is too old or too many is deleted."""
        now = _now()
        document = {
            "created": now.isoformat(),
            "expires": (now + self._ttl).isoformat(),
            "verdict": packed(verdict),
        }
        try:
            if not self._ready:
                await create_index(self._client, self._index, Kind.CACHE)
                self._ready = True
            with mapped(self._index):
                await self._client.index(index=self._index, id=key, document=document)
            self._written += 1
            if self._written % _SWEEP == 0:
                await self.sweep()
        except ReasonRankError:
            self._ready = False

    async def sweep(self) -> int:
        """Delete what is too old, and the oldest of what is too many; returns how many documents went.

        Raises:
            ElasticError: the server failed.
        """
        old = await self._delete({"range": {"expires": {"lte": _now().isoformat()}}}, None)
        with mapped(self._index):
            count = (await self._client.count(index=self._index))["count"]
        return old + await self._delete({"match_all": {}}, max(0, count - self._size))

    async def _delete(self, query: dict[str, Any], most: int | None) -> int:
        """Delete the oldest documents that match, `most` of them; by search and bulk, which every server has."""
        gone = 0
        while most is None or gone < most:
            page = _PAGE if most is None else min(_PAGE, most - gone)
            with mapped(self._index):
                await self._client.indices.refresh(index=self._index)
                found = await self._client.search(
                    index=self._index, query=query, sort=["created"], size=page, source=False
                )
                hits = found["hits"]["hits"]
                if hits:
                    await self._client.bulk(
                        index=self._index, operations=[{"delete": {"_id": hit["_id"]}} for hit in hits], refresh=True
                    )
            gone += len(hits)
            if len(hits) < page:
                break
        return gone


def _now() -> datetime:
    return datetime.now(UTC)


def cache_of(client: AsyncElasticsearch, settings: CacheSettings) -> ElasticCache | None:
    """The cache that the settings name, if any."""
    return ElasticCache(client, settings.index, size=settings.size, ttl=settings.ttl) if settings.index else None
