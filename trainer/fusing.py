"""A ranker's orders joined with the base order, as serving joins them, from what was ranked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from es_reasonrank.batch.runs import Reranked, Task
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.evaluation.runs import Qrels
from es_reasonrank.rerank.fusion import Fusion, fused

WEIGHTS = tuple(step / 20 for step in range(21))
"""Those that are tried: 0 is the base order, 1 the ranker's."""
NDCG = "nDCG@10"

Ranked = tuple[Sequence[Task], Qrels, Sequence[Reranked]]
"""A set's queries, its judgments, and what a ranker made of them."""


def joined(fusion: Fusion, todo: Sequence[Task], done: Sequence[Reranked]) -> list[Reranked]:
    """The same queries with their fused orders."""
    candidates = {task.id: task.candidates for task in todo}
    found = []
    for one in done:
        base = candidates[one.id]
        given = dict(zip(one.order, one.scores, strict=True))
        scores = fused(fusion, [each.score for each in base], [given[each.id] for each in base])
        best = sorted(range(len(base)), key=lambda place: -scores[place])
        order, values = tuple(base[place].id for place in best), tuple(scores[place] for place in best)
        found.append(replace(one, order=order, scores=values))
    return found


def tuned(fusion: Fusion, sets: Sequence[Ranked]) -> Fusion:
    """The fusion with the weight of the highest nDCG@10, the mean over sets; of equal ones, the one nearest to 0.5."""
    return max(
        (fusion.model_copy(update={"weight": weight}) for weight in WEIGHTS),
        key=lambda one: (round(fmean(_ndcg(one, ranked) for ranked in sets), 6), -abs(one.weight - 0.5)),
    )


def _ndcg(fusion: Fusion, ranked: Ranked) -> float:
    todo, qrels, done = ranked
    orders: Mapping[str, Sequence[str]] = {one.id: one.order for one in joined(fusion, todo, done)}
    return measure(qrels, by_place(orders), [NDCG]).means[NDCG]
