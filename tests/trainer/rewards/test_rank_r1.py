"""Rank-R1's reward: the best passage or nothing."""

from __future__ import annotations

import pytest

from es_reasonrank.errors import InputError
from tests.trainer.rewards.asked import SETWISE, choice, thought
from trainer.rewards.base import Gold
from trainer.rewards.rank_r1 import RankR1Options, RankR1Reward

REWARD = RankR1Reward(RankR1Options(), SETWISE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (choice(1), 1),
        (choice(0), 0),
        (choice(2), 0),
        (thought("2"), 0),
        (thought("[2] > [1]"), 0),
        (thought("[9]"), 0),
        ("[2]", 0),
        ("<think>it is [2]", 0),
    ],
)
def test_an_exact_match(text: str, value: float) -> None:
    assert REWARD.score(text, Gold((0, 2, 1))).value == value


def test_of_equally_good_passages_any_is_right() -> None:
    assert [REWARD.score(choice(place), Gold((0, 1, 1), (1, 2, 0))).value for place in range(3)] == [0, 1, 1]


def test_where_grades_tell_nothing_the_gold_order_does() -> None:
    assert [REWARD.score(choice(place), Gold((0, 0), (1, 0))).value for place in range(2)] == [0, 1]
    with pytest.raises(InputError, match="a passage that is better than others, or a gold order"):
        REWARD.score(choice(0), Gold((1, 1)))
