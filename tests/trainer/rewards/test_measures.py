"""Measures of a window: the facts' vectors, and ir_measures' and scipy's own values."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from es_reasonrank.evaluation.measures import by_place, measure
from trainer.rewards.measures import kendall, ndcg, rbo, recall, relative_gain

TWENTY = list(range(20))
SWAPPED = [1, 0, *range(2, 20)]
WINDOWS = st.lists(st.integers(0, 3), min_size=1, max_size=25)


@pytest.mark.parametrize(
    ("order", "overlap", "weighted"),
    [(TWENTY, 1.0, 0.878423), (SWAPPED, 0.95, 0.778423), (TWENTY[::-1], 0.331229, 0.132865)],
)
def test_overlap_as_released_and_as_published(order: list[int], overlap: float, weighted: float) -> None:
    assert rbo(order, TWENTY, 1) == pytest.approx(overlap, abs=1e-6)
    assert rbo(order, TWENTY, 0.9) == pytest.approx(weighted, abs=1e-6)


@pytest.mark.parametrize(
    ("ranks", "head", "coverage"),
    [((1, 2), 1.0, 1.0), ((1, 11), 0.6131, 0.5), ((9, 10), 0.3618, 1.0)],
)
def test_two_relevant_passages(ranks: tuple[int, int], head: float, coverage: float) -> None:
    relevant = [float(rank in ranks) for rank in range(1, 21)]
    assert ndcg(TWENTY, relevant) == pytest.approx(head, abs=5e-5)
    assert recall(TWENTY, relevant) == coverage


@settings(max_examples=60, deadline=None)
@given(WINDOWS, st.randoms())
def test_they_are_ir_measures_own(grades: list[int], shuffle: random.Random) -> None:
    order = list(range(len(grades)))
    shuffle.shuffle(order)
    qrels = {"q": {f"d{place:02}": grade for place, grade in enumerate(grades)}}
    run = by_place({"q": [f"d{place:02}" for place in order]})
    reference = measure(qrels, run, ["nDCG@10", "R@10", "nDCG"]).means
    assert ndcg(order, grades) == pytest.approx(reference["nDCG@10"])
    assert recall(order, grades) == pytest.approx(reference["R@10"])
    assert ndcg(order, grades, None) == pytest.approx(reference["nDCG"])


@settings(deadline=None)
@given(st.permutations(range(8)), st.permutations(range(8)), st.floats(0.1, 1))
def test_overlap_has_no_sides_and_bounds(first: list[int], second: list[int], p: float) -> None:
    value = rbo(first, second, p)
    assert value == pytest.approx(rbo(second, first, p))
    assert 0 < value <= rbo(first, first, p) + 1e-12
    assert rbo(first, first, p) == pytest.approx(1 if p == 1 else 1 - p**8)


@settings(deadline=None)
@given(st.permutations(range(9)), st.permutations(range(9)))
def test_kendall_without_ties_is_scipys(scores: list[int], grades: list[int]) -> None:
    assert kendall(scores, grades) == pytest.approx(stats.kendalltau(scores, grades).statistic)


@pytest.mark.parametrize(
    ("scores", "grades", "tau"),
    [
        ([3, 2, 1], [1, 1, 0], 1.0),  # the tie in grades is no pair
        ([2, 2, 1], [2, 1, 0], 2 / 3),  # the tie in scores is for neither side
        ([1, 2, 3], [1, 0, 0], -1.0),
        ([1, 2, 3], [1, 1, 1], 0.0),
        ([8, 0, 9], [2, 0, 1], 1 / 3),
    ],
)
def test_kendall_with_ties(scores: list[int], grades: list[int], tau: float) -> None:
    assert kendall(scores, grades) == pytest.approx(tau)


@pytest.mark.parametrize(
    ("order", "gain"),
    [
        ([2, 0, 1, 3], 1.0),
        ([0, 1, 2, 3], 0.0),
        ([0, 2, 1, 3], (0.6309298 - 0.5) / 0.5),  # from rank 3, 1 / log2(4), to rank 2, 1 / log2(3)
        ([0, 1, 3, 2], (0.4306766 - 0.5) / 0.5),  # to rank 4, 1 / log2(5)
    ],
)
def test_gain_over_the_order_shown(order: list[int], gain: float) -> None:
    assert relative_gain(order, [0, 0, 1, 0]) == pytest.approx(gain)


def test_where_nothing_can_be_gained_a_loss_counts_as_it_is() -> None:
    assert relative_gain([0, 1, 2], [1, 0, 0]) == 0
    assert relative_gain([1, 0, 2], [1, 0, 0]) == pytest.approx(0.6309298 - 1)
    assert relative_gain([1, 0, 2], [0, 0, 0]) == 0
