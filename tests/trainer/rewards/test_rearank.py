"""Rearank's reward: relative gain and form."""

from __future__ import annotations

import pytest

from tests.trainer.rewards.asked import LISTWISE, order, thought
from trainer.rewards.base import Gold
from trainer.rewards.rearank import RearankOptions, RearankReward

REWARD = RearankReward(RearankOptions(), LISTWISE)
FOUR = Gold((0, 0, 1, 0))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (order([2, 0, 1, 3]), 1.0),
        (order([0, 1, 2, 3]), 0.2),
        (order([0, 2, 1, 3]), 0.8 * 0.2618595 + 0.2),
        (order([0, 1, 3, 2]), 0.8 * -0.1386469 + 0.2),
        (thought("[3]"), 0.8 + 0.1),  # read, but not as asked for
        (thought("the third"), -0.8 + 0.1),
        ("[3] > [1] > [2] > [4]", -0.8),
        ("", -0.8),
    ],
)
def test_by_hand(text: str, value: float) -> None:
    assert REWARD.score(text, FOUR).value == pytest.approx(value)


def test_a_loss_has_a_floor() -> None:
    """Shown (1 + 2 / log2(3)) / (2 + 1 / log2(3)) = 0.86, reached 0: a gain of -6.1."""
    gold = Gold((1, 2, *[0] * 10))
    assert REWARD.score(order(range(11, -1, -1)), gold).value == pytest.approx(-0.6)


def test_parts() -> None:
    assert REWARD.score(order([2, 0, 1, 3]), FOUR).parts == pytest.approx({"gain": 1, "tags": 1, "answer": 1})
