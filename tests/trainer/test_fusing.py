"""Fusion afterwards gives what fusion in serving gives, and the weight is the dev set's best."""

from __future__ import annotations

import pytest

from es_reasonrank.batch.runs import Reranked, Task
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.types import Candidate
from trainer.fusing import joined, tuned

TASK = Task(
    "q", "a question", tuple(Candidate(name, name, "", score) for name, score in (("a", 9.0), ("b", 6.0), ("c", 3.0)))
)


def ranked(order: str, scores: tuple[float, ...]) -> Reranked:
    return Reranked("q", tuple(order), "ok", {}, 0, 0, 0.0, scores=scores)


def test_scores_are_joined_by_passage_and_not_by_place() -> None:
    (found,) = joined(Fusion(method="min_max", weight=0.5), [TASK], [ranked("bca", (1.0, 0.5, 0.0))])
    assert found.order == ("b", "a", "c")
    assert found.scores == pytest.approx((0.75, 0.5, 0.25))


@pytest.mark.parametrize(("relevant", "best"), [({"c": 1}, "c"), ({"b": 2, "c": 1}, "b")])
def test_the_chosen_weight_puts_the_dev_sets_relevant_passages_first(relevant: dict[str, int], best: str) -> None:
    done = [ranked("cba", (1.0, 0.9, 0.0))]
    fusion = tuned(Fusion(method="min_max", weight=0.0), [([TASK], {"q": relevant}, done)])
    (found,) = joined(fusion, [TASK], done)
    assert found.order[0] == best


def test_a_weight_that_changes_nothing_is_the_middle_one() -> None:
    sets = [([TASK], {"q": {"a": 1}}, [ranked("abc", (1.0, 0.5, 0.0))])]
    assert tuned(Fusion(method="z"), sets).weight == 0.5
