"""Order in: the server's own response with its hits in the new order. Pure, and the input is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from es_reasonrank.elastic.candidates import Candidates
from es_reasonrank.elastic.passages import without_extras
from es_reasonrank.types import Ranking

RANK_KEY = "_rerank"
"""The key of a hit that holds its new and its base rank and score."""


def reordered(
    candidates: Candidates, ranking: Ranking, body: Mapping[str, Any], *, start: int, size: int
) -> dict[str, Any]:
    """The response with hits in the ranking's order and its scores.

    Base rank and base score are kept in each hit under `_rerank`. Everything else is as the server sent it.

    Args:
        body: the caller's search body: what it did not ask for is taken out of the hits again.
        start: hits to leave out at the head.
        size: hits to return at most.
    """
    hits = []
    for rank, (index, score) in enumerate(zip(ranking.order, ranking.scores, strict=True), start=1):
        hit = without_extras(candidates.hits[index], body)
        base = {"rank": rank, "base_rank": index + 1, "score": score, "base_score": hit.get("_score")}
        hits.append({**hit, "_score": score, RANK_KEY: base})
    response = {key: value for key, value in candidates.response.items() if key != "pit_id"}
    top = ranking.scores[0] if ranking.scores else None
    return {**response, "hits": {**response["hits"], "max_score": top, "hits": hits[start : start + size]}}
