"""The likelihood of an order."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given

from tests.trainer.losses.examples import SCORES, has_gradient, padded, rows
from trainer.losses.plackett_luce import log_likelihood

# Strengths 1, 2 and 3.
SCORED = rows([math.log(1), math.log(2), math.log(3)])


def test_by_hand() -> None:
    # The third of 6, the first of the 3 that are left, the second of 2.
    assert log_likelihood(SCORED, torch.tensor([[2, 0, 1]])).tolist() == pytest.approx([math.log(3 / 6 * 1 / 3 * 1)])


def test_all_orders_together_are_certain() -> None:
    orders = torch.tensor(list(permutations(range(3))))
    assert log_likelihood(SCORED.expand(6, 3), orders).exp().sum().item() == pytest.approx(1)


@given(SCORES)
def test_the_order_of_the_scores_is_likelier_than_any_swap_of_neighbours(scores: list[float]) -> None:
    best = rows(scores).argsort(dim=-1, descending=True)
    likeliest = log_likelihood(rows(scores), best).item()
    for place in range(len(scores) - 1):
        swapped = best.clone()
        swapped[0, [place, place + 1]] = best[0, [place + 1, place]]
        assert log_likelihood(rows(scores), swapped).item() < likeliest


def test_equal_scores_make_all_orders_equally_likely() -> None:
    assert log_likelihood(rows([0.5] * 4), torch.tensor([[3, 1, 0, 2]])).tolist() == pytest.approx([-math.log(24)])


def test_what_is_not_there_is_not_read() -> None:
    longer, mask = padded(SCORED, 50.0)
    order = torch.tensor([[2, 0, 1, 3, 4]])
    assert log_likelihood(longer, order, mask).tolist() == pytest.approx([math.log(1 / 6)])


def test_its_gradient() -> None:
    longer, mask = padded(SCORED, 0.5)
    order = torch.tensor([[2, 0, 1, 3, 4]])
    assert has_gradient(lambda scores: log_likelihood(scores, order, mask), longer)
