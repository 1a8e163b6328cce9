"""Probabilities and grades out of logits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.losses.examples import has_gradient, rows
from trainer.losses.probability import expectation, likeliest, log_odds, probability

# Of five tokens: no is 1, yes is 3.
LOGITS = rows([9.0, 0.0, -4.0, math.log(3), 2.0])


def test_only_the_two_tokens_count() -> None:
    assert log_odds(LOGITS, yes=3, no=1).tolist() == pytest.approx([math.log(3)])
    assert probability(LOGITS, yes=3, no=1).tolist() == pytest.approx([3 / 4])


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(-5, 5))
def test_it_is_rank1s_formula_and_no_shift_of_all_logits_changes_it(yes: float, no: float, shift: float) -> None:
    logits = torch.tensor([no, 1.0, yes], dtype=torch.float64)
    expected = math.exp(yes) / (math.exp(yes) + math.exp(no))
    assert probability(logits + shift, yes=2, no=0).item() == pytest.approx(expected)


def test_leading_shape_is_kept() -> None:
    assert probability(torch.zeros(2, 7, 5), yes=3, no=1).shape == (2, 7)
    assert expectation(torch.zeros(2, 7, 5), [0, 1, 2]).shape == (2, 7)


def test_an_expectation_is_over_the_grades_alone() -> None:
    # Probabilities 1/6, 2/6, 3/6 for the grades 0, 1, 2; the token 4 is no grade.
    logits = rows([math.log(1), math.log(2), 0.0, math.log(3), 50.0])
    assert expectation(logits, [0, 1, 3]).tolist() == pytest.approx([8 / 6])
    assert expectation(logits, [0, 1, 3], [0.0, 0.5, 1.0]).tolist() == pytest.approx([4 / 6])


def test_the_likeliest_grade_counts_by_its_probability_among_all_tokens() -> None:
    # Probabilities 1/10, 2/10, 3/10 for the grades, 4/10 for another token: 2 * 3/10.
    logits = rows([math.log(4), math.log(1), math.log(2), math.log(3)])
    assert likeliest(logits, [1, 2, 3]).tolist() == pytest.approx([0.6])


def test_gradients() -> None:
    assert has_gradient(lambda logits: probability(logits, 3, 1), LOGITS)
    assert has_gradient(lambda logits: expectation(logits, [1, 3, 4]), LOGITS)
    assert has_gradient(lambda logits: likeliest(logits, [1, 3, 4]), LOGITS)
