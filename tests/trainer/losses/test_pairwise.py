"""The pairwise loss."""

from __future__ import annotations

import math

import pytest
import torch

from tests.trainer.losses.examples import has_gradient, rows
from trainer.losses.pairwise import pairwise


def test_it_is_minus_log_sigmoid_of_the_difference() -> None:
    # sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4
    apart = torch.tensor([math.log(3)], dtype=torch.float64)
    assert pairwise(apart, torch.zeros(1)).item() == pytest.approx(-math.log(3 / 4))
    assert pairwise(torch.zeros(1), apart).item() == pytest.approx(-math.log(1 / 4))


def test_no_difference_costs_ln_2_and_pairs_are_averaged() -> None:
    scores = torch.tensor([math.log(3), 1.0], dtype=torch.float64)
    assert pairwise(scores, torch.tensor([0.0, 1.0])).item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_a_margin_is_what_the_preferred_one_has_to_be_ahead() -> None:
    scores = torch.tensor([2.0], dtype=torch.float64)
    assert pairwise(scores, torch.zeros(1), 2.0).item() == pytest.approx(math.log(2))
    assert pairwise(scores, torch.zeros(1), torch.tensor([2.0])).item() == pytest.approx(math.log(2))


def test_a_wide_difference_stays_finite() -> None:
    assert pairwise(torch.tensor([-1e4]), torch.tensor([1e4])).item() == pytest.approx(2e4)


def test_its_gradient() -> None:
    scores = rows([0.3, -1.2, 2.0])[0]
    assert has_gradient(lambda preferred: pairwise(preferred, scores.flip(0), 0.5), scores)
