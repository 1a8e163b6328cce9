"""The first stage's order joined with the ranker's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank import Candidate, Reranker, Status
from es_reasonrank.rerank.fusion import Fusion, fused
from tests.unit.fakes import Reply, ScriptedEngine, listwise, reverse

BASE = [9.0, 5.0, 1.0]
NEW = [0.1, 0.9, 0.5]
SCORES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"method": "none"}, [0.1, 0.9, 0.5]),
        ({"method": "rrf", "k": 60}, [1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]),
        ({"method": "rrf", "k": 0}, [1 + 1 / 3, 1 / 2 + 1, 1 / 3 + 1 / 2]),
        ({"method": "min_max", "weight": 0.9}, [0.1, 0.05 + 0.9, 0.45]),
        ({"method": "min_max", "weight": 0.0}, [1.0, 0.5, 0.0]),
        ({"method": "z", "weight": 0.8}, [0.2 * 1.224745 - 0.8 * 1.224745, 0.8 * 1.224745, -0.2 * 1.224745]),
        ({"method": "rescore"}, [9.1, 5.9, 1.5]),
        ({"method": "rescore", "query_weight": 0.5, "rescore_query_weight": 10}, [5.5, 11.5, 5.5]),
        ({"method": "rescore", "score_mode": "multiply"}, [0.9, 4.5, 0.5]),
        ({"method": "rescore", "score_mode": "avg"}, [4.55, 2.95, 0.75]),
        ({"method": "rescore", "score_mode": "max"}, [9.0, 5.0, 1.0]),
        ({"method": "rescore", "score_mode": "min"}, [0.1, 0.9, 0.5]),
    ],
)
def test_each_method_by_hand(values: dict[str, object], expected: list[float]) -> None:
    assert fused(Fusion(**values), BASE, NEW) == pytest.approx(expected)  # type: ignore[arg-type]


def test_a_first_stage_without_scores_counts_by_its_ranks() -> None:
    assert fused(Fusion(method="rescore"), [9.0, None, 1.0], [0.0, 0.0, 0.0]) == pytest.approx([1, 2 / 3, 1 / 3])


@given(SCORES, st.sampled_from(["min_max", "z", "rrf"]), st.floats(0, 1))
def test_equal_scores_and_any_weights_give_numbers(new: list[float], method: str, weight: float) -> None:
    result = fused(Fusion(method=method, weight=weight), [1.0] * len(new), new)  # type: ignore[arg-type]
    assert all(math.isfinite(score) for score in result)


DOCUMENTS = [Candidate(name, text=name, score=score) for name, score in zip("abcd", (9.0, 8.9, 8.8, 1.0), strict=True)]


async def ranked(script: Reply, **fusion: object) -> tuple[tuple[int, ...], tuple[float, ...], Status]:
    profile = listwise().model_copy(update={"fusion": Fusion(**fusion)})  # type: ignore[arg-type]
    engine = ScriptedEngine(reverse if script is None else lambda request: script)
    ranking = await Reranker.load(profile, engine=engine).arank("why", DOCUMENTS)
    return ranking.order, ranking.scores, ranking.trace.status


async def test_a_ranking_is_fused_at_its_end() -> None:
    """The judge turns the list round; the base scores keep its last one, which they find far worse, behind."""
    order, scores, _ = await ranked(None, method="min_max", weight=0.4)
    assert order == (2, 1, 0, 3)
    assert list(scores) == sorted(scores, reverse=True)
    assert (await ranked(None, method="none"))[0] == (3, 2, 1, 0)


async def test_a_failed_ranking_is_not_fused() -> None:
    assert await ranked("no order here", method="min_max") == ((0, 1, 2, 3), (1.0, 0.75, 0.5, 0.25), Status.FAILED)
