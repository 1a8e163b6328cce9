"""Cross-entropy over a list."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.losses.examples import SCORES, has_gradient, padded, rows
from trainer.losses.listnet import listnet, softmax_cross_entropy


def test_softmax_cross_entropy_by_hand() -> None:
    # Softmax 1/6, 2/6, 3/6; relevance 1/3, 0, 2/3.
    scores = rows([math.log(1), math.log(2), math.log(3)])
    expected = -(math.log(1 / 6) / 3 + 2 * math.log(3 / 6) / 3)
    assert softmax_cross_entropy(scores, rows([1.0, 0.0, 2.0])).item() == pytest.approx(expected)


def test_listnet_by_hand() -> None:
    # Softmax of the scores 1/4, 3/4; of the grades 1/3, 2/3.
    scores, grades = rows([0.0, math.log(3)]), rows([0.0, math.log(2)])
    expected = -(math.log(1 / 4) / 3 + 2 * math.log(3 / 4) / 3)
    assert listnet(scores, grades).item() == pytest.approx(expected)


def test_a_low_temperature_leaves_the_best_grade_alone() -> None:
    scores, grades = rows([0.0, math.log(3)]), rows([0.0, 1.0])
    assert listnet(scores, grades, temperature=0.01).item() == pytest.approx(-math.log(3 / 4))


def test_equal_scores_cost_the_logarithm_of_the_list() -> None:
    assert softmax_cross_entropy(rows([2.0] * 5), rows([0.0, 1.0, 0.0, 0.0, 1.0])).item() == pytest.approx(math.log(5))


@given(SCORES, st.floats(-5, 5))
def test_a_shift_of_all_scores_changes_nothing(scores: list[float], shift: float) -> None:
    grades = rows([float(place % 2) for place in range(len(scores))])
    for loss in (listnet, softmax_cross_entropy):
        assert loss(rows(scores) + shift, grades).item() == pytest.approx(loss(rows(scores), grades).item())


@given(SCORES)
def test_the_better_score_for_the_relevant_one_costs_less(scores: list[float]) -> None:
    worst, best = min(scores), max(scores)
    rest = [score for score in scores if score not in (worst, best)]
    grades = rows([1.0] + [0.0] * (len(scores) - 1))
    for loss in (listnet, softmax_cross_entropy):
        assert loss(rows([best, worst, *rest]), grades) < loss(rows([worst, best, *rest]), grades)


@given(SCORES, st.sampled_from([-50.0, 0.0, 50.0]))
def test_what_is_not_there_is_not_read(scores: list[float], beside: float) -> None:
    grades = rows([float(place == 0) for place in range(len(scores))])
    longer, mask = padded(rows(scores), beside)
    for loss in (listnet, softmax_cross_entropy):
        assert loss(longer, padded(grades, 3.0)[0], mask).item() == pytest.approx(loss(rows(scores), grades).item())


def test_a_list_without_relevance_or_without_items_does_not_count() -> None:
    scores, grades = rows([0.0, math.log(3)], [5.0, -5.0]), rows([0.0, 1.0], [0.0, 0.0])
    assert softmax_cross_entropy(scores, grades).item() == pytest.approx(-math.log(3 / 4))
    mask = torch.tensor([[True, True], [False, False]])
    grades = rows([0.0, math.log(2)], [1.0, 2.0])
    for loss in (listnet, softmax_cross_entropy):
        learned = scores.clone().requires_grad_()
        value = loss(learned, grades, mask)
        assert value.item() == pytest.approx(loss(scores[:1], grades[:1]).item())
        value.backward()
        assert learned.grad is not None
        assert learned.grad[1].tolist() == [0.0, 0.0]
    assert softmax_cross_entropy(scores, torch.zeros_like(grades)).item() == 0.0


def test_gradients() -> None:
    scores, mask = padded(rows([0.3, -1.2, 2.0], [1.0, 1.0, 0.0]), 0.5)
    grades = rows([1.0, 0.0, 2.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0, 1.0])
    assert has_gradient(lambda learned: listnet(learned, grades, mask), scores)
    assert has_gradient(lambda learned: softmax_cross_entropy(learned, grades, mask), scores)
