"""FIRST's weighted RankNet."""

from __future__ import annotations

import math
from random import Random
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.losses.examples import SCORES, has_gradient, padded, rows
from trainer.losses.ranknet import joint, weighted_ranknet

SCORED = rows([0.0, math.log(3), math.log(2)])
RANKS = rows([1.0, 2.0, 3.0])
# log(1 + 3) / 3, log(1 + 2) / 4, log(1 + 2/3) / 5
PAIRS = [math.log(4) / 3, math.log(3) / 4, math.log(5 / 3) / 5]


def test_the_papers_sum_by_hand() -> None:
    assert weighted_ranknet(SCORED, RANKS, pairs="sum").item() == pytest.approx(sum(PAIRS))


def test_the_released_codes_mean_by_hand() -> None:
    assert weighted_ranknet(SCORED, RANKS).item() == pytest.approx(sum(PAIRS) / 3)


def test_a_sum_is_averaged_over_lists() -> None:
    two = torch.cat([SCORED, torch.zeros_like(SCORED)])
    even = math.log(2) * (1 / 3 + 1 / 4 + 1 / 5)
    assert weighted_ranknet(two, RANKS.expand(2, 3), pairs="sum").item() == pytest.approx((sum(PAIRS) + even) / 2)


def test_equal_ranks_make_no_pair() -> None:
    assert weighted_ranknet(SCORED, rows([1.0, 1.0, 1.0])).item() == 0.0
    one = math.log(3) / 3 + math.log(5 / 3) / 3
    assert weighted_ranknet(SCORED, rows([1.0, 1.0, 2.0]), pairs="sum").item() == pytest.approx(one)


@given(SCORES, st.floats(-5, 5), st.randoms(use_true_random=False))
def test_neither_a_shift_nor_the_order_shown_matters(scores: list[float], shift: float, lot: Random) -> None:
    shuffled = lot.sample(range(len(scores)), len(scores))
    ranks = rows([float(place + 1) for place in range(len(scores))])
    expected = weighted_ranknet(rows(scores), ranks).item()
    assert weighted_ranknet(rows(scores)[:, shuffled] + shift, ranks[:, shuffled]).item() == pytest.approx(expected)


@given(SCORES)
def test_the_order_to_learn_costs_least_of_all_swaps(scores: list[float]) -> None:
    learned = sorted(scores, reverse=True)
    ranks = rows([float(place + 1) for place in range(len(scores))])
    perfect = weighted_ranknet(rows(learned), ranks)
    for place in range(len(scores) - 1):
        swapped = learned.copy()
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        assert perfect < weighted_ranknet(rows(swapped), ranks)


def test_a_mistake_at_the_top_costs_more() -> None:
    top, bottom = rows([2.0, 3.0, 1.0, 0.0]), rows([3.0, 2.0, 0.0, 1.0])
    ranks = rows([1.0, 2.0, 3.0, 4.0])
    assert weighted_ranknet(top, ranks) > weighted_ranknet(bottom, ranks)


@given(SCORES, st.sampled_from([-50.0, 0.0, 50.0]), st.sampled_from(["mean", "sum"]))
def test_what_is_not_there_is_not_read(scores: list[float], beside: float, pairs: Literal["mean", "sum"]) -> None:
    ranks = rows([float(place + 1) for place in range(len(scores))])
    longer, mask = padded(rows(scores), beside)
    expected = weighted_ranknet(rows(scores), ranks, pairs=pairs).item()
    assert weighted_ranknet(longer, padded(ranks, 0.0)[0], mask, pairs=pairs).item() == pytest.approx(expected)


def test_its_gradient() -> None:
    longer, mask = padded(SCORED, 0.5)
    ranks = padded(RANKS, 0.0)[0]
    assert has_gradient(lambda scores: weighted_ranknet(scores, ranks, mask), longer)
    assert has_gradient(lambda scores: weighted_ranknet(scores, ranks, mask, pairs="sum"), longer)


def test_the_joint_loss_adds_ten_times_the_ranking() -> None:
    assert joint(torch.tensor(2.0), torch.tensor(0.25)).item() == pytest.approx(4.5)
    assert joint(torch.tensor(2.0), torch.tensor(0.25), weight=0.1).item() == pytest.approx(2.025)
