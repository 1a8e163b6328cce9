"""From a ranking of a window to the page of hits that the caller sees, with the scores of his choice. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from es_reasonrank.rerank.fusion import fused
from es_reasonrank.service.proxy.asked import Asked
from es_reasonrank.service.proxy.request import Window
from es_reasonrank.service.proxy.response import Hits, Placed
from es_reasonrank.types import Ranking


@dataclass(frozen=True)
class Scored:
    """The window's hits in their new order, and a score for each place, never increasing."""

    order: tuple[int, ...]
    scores: tuple[float, ...]


def scored(asked: Asked, ranking: Ranking) -> Scored:
    """The order and the scores that a search asked for: the ranker's, or both put together."""
    if asked.fusion is None:
        return Scored(ranking.order, ranking.scores)
    new = [0.0] * len(ranking)
    for index, score in zip(ranking.order, ranking.scores, strict=True):
        new[index] = score
    joined = fused(asked.fusion, [candidate.score for candidate in ranking.candidates], new)
    order = tuple(sorted(range(len(joined)), key=lambda index: -joined[index]))
    return Scored(order, tuple(joined[index] for index in order))


def page(window: Window, hits: Hits, result: Scored, *, kept: bool) -> list[Placed]:
    """The hits of the page. Behind the window the server's own order goes on, with scores no higher than before.

    Args:
        kept: whether hits keep the server's scores.
    """
    rest = () if window.retrieved else range(len(result.order), len(hits.values))
    order = [*result.order, *rest]
    level = result.scores[-1] if result.scores else 0.0
    scores = [*result.scores, *(level for _ in rest)]
    return [
        Placed(
            index,
            None if kept else scores[rank],
            _explained(hits, index, rank, scores[rank]) if window.asked.explain else None,
        )
        for rank, index in enumerate(order[window.start : window.end], start=window.start)
    ]


def shifted(score: float) -> float:
    """A relevance as the retriever `text_similarity_reranker` makes a score of it: never negative, order kept.

    Source: Elasticsearch's documentation of that retriever; max(s, 0) + min(e^s, 1).
    """
    return max(score, 0.0) + min(math.exp(score), 1.0)


def as_retrieved(result: Scored, min_score: float | None) -> Scored:
    """What the retriever gives: shifted scores, and only the hits of at least `min_score`."""
    scores = [shifted(score) for score in result.scores]
    count = sum(min_score is None or score >= min_score for score in scores)
    return Scored(result.order[:count], tuple(scores[:count]))


def restored(ids: Sequence[tuple[str, str]], known: Sequence[tuple[str, str]]) -> tuple[int, ...] | None:
    """The order of hits that an earlier result gives; None where it does not know one of them.

    Args:
        ids: index and id of each hit of the window, in the server's order.
        known: index and id of each hit of the earlier result, best first.
    """
    ranks = {key: rank for rank, key in enumerate(known)}
    if any(key not in ranks for key in ids):
        return None
    return tuple(sorted(range(len(ids)), key=lambda place: ranks[ids[place]]))


def _explained(hits: Hits, index: int, rank: int, score: float) -> dict[str, object]:
    base = hits.values[index].get("_score")
    return {"rank": rank + 1, "base_rank": index + 1, "score": score, "base_score": base}
