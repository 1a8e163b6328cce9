"""What `batch` wrote serves searches too: a query that stands in a results index costs no model call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from es_reasonrank.elastic.failures import mapped
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.service.proxy.reordering import restored
from es_reasonrank.types import Candidate, Ranking, Status, Trace

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

_LONGEST_QUERY = 1024
"""Characters of a query that the results mapping finds again."""


class Stored:
    """Looks a ranking up.

    Args:
        client: the service's own: nothing of a result is shown but the order of hits that the caller may see anyway.
        index: where results are; None for nowhere.
        age: seconds after which a result is no longer fresh.
    """

    def __init__(self, client: AsyncElasticsearch, index: str | None, age: float) -> None:
        self._client = client
        self._index = index
        self._age = age

    async def ranking(
        self, profile: str, query: str, hits: Sequence[tuple[str, str]], candidates: Sequence[Candidate]
    ) -> Ranking | None:
        """The newest fresh result of this profile for this query, where it knows every one of these hits.

        Args:
            hits: index and id of each hit of the window.
            candidates: the same hits.
        """
        if self._index is None or len(query) > _LONGEST_QUERY:
            return None
        found = await self._found(self._index, profile, query)
        if found is None:
            return None
        known = [(str(entry["index"]), str(entry["id"])) for entry in found["order"]]
        order = restored(hits, known)
        if order is None:
            return None
        scores = {(str(entry["index"]), str(entry["id"])): float(entry["score"]) for entry in found["order"]}
        return Ranking(
            query,
            tuple(candidates),
            order,
            tuple(scores[hits[place]] for place in order),
            Trace(profile, str(found.get("model", ""))),
        )

    async def _found(self, index: str, profile: str, query: str) -> dict[str, Any] | None:
        """The result's document. A server that does not give it costs the search nothing but this."""
        wanted = [
            {"term": {"query.keyword": query}},
            {"term": {"profile": profile}},
            {"term": {"status": str(Status.OK)}},
            {"range": {"created": {"gte": f"now-{round(self._age)}s"}}},
        ]
        try:
            with mapped(index):
                answer = await self._client.options(max_retries=0).search(
                    index=index,
                    query={"bool": {"filter": wanted}},
                    sort=[{"created": "desc"}],
                    size=1,
                    source_includes=["order", "model"],
                    ignore_unavailable=True,
                )
        except ReasonRankError:
            return None
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits[0]["_source"] if hits else None
