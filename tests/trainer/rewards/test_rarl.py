"""RARL's reward: near grades, rightly ordered."""

from __future__ import annotations

import pytest

from tests.trainer.rewards.asked import GROUPWISE, grades, thought
from trainer.rewards.base import Gold
from trainer.rewards.rarl import RARLOptions, RARLReward

REWARD = RARLReward(RARLOptions(), GROUPWISE)
GOLD = Gold((2, 0, 1))


def test_by_hand() -> None:
    """Gold grades are 10, 0 and 5; errors 2, 0 and 4 of 5; two pairs of three are in order."""
    scored = REWARD.score(grades([8, 0, 9]), GOLD)
    regression = (1 - 4 / 25 + 1 + 1 - 16 / 25) / 3
    assert scored.parts == pytest.approx({"tags": 1, "answer": 1, "regression": regression, "ranking": 2 / 3})
    assert scored.value == pytest.approx(0.5 * regression + 0.4 * 2 / 3 + 0.1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (grades([10, 0, 5]), 1.0),
        (grades([0, 10, 5]), 0.5 / 3 + 0.1),
        (grades([10, 0]), 0),
        (grades([10, 0, 11]), 0),
        (thought("[1] > [3] > [2]"), 0),
        ('{"1": 10, "2": 0, "3": 5}', 0),
        ("<think>ten", 0),
    ],
)
def test_bounds_and_form(text: str, value: float) -> None:
    assert REWARD.score(text, GOLD).value == pytest.approx(value)


def test_delta_is_where_a_grade_is_worth_nothing() -> None:
    only = {"ranking": 0.0, "form": 0.0, "regression": 1.0}
    wide, narrow = (RARLReward(RARLOptions(delta=delta, **only), GROUPWISE) for delta in (10, 2))
    assert wide.score(grades([5, 5, 5]), GOLD).value == pytest.approx((0.75 + 0.75 + 1) / 3)
    assert narrow.score(grades([8, 1, 5]), GOLD).value == pytest.approx((0 + 0.75 + 1) / 3)


def test_a_window_of_equal_grades_rewards_no_order() -> None:
    assert REWARD.score(grades([0, 0]), Gold((0, 0))).value == pytest.approx(0.5 + 0.2 + 0.1)
