"""IRanker's reward of a step."""

from __future__ import annotations

import pytest

from tests.trainer.rewards.asked import WORST, choice, thought
from trainer.rewards.base import Gold
from trainer.rewards.iranker import IRankerOptions, IRankerReward

REWARD = IRankerReward(IRankerOptions(), WORST)
THREE = Gold((0, 1, 0))


@pytest.mark.parametrize(
    ("text", "step", "form", "tags"),
    [
        (choice(0), 1, 0, 0),
        (choice(2), 1, 0, 0),
        (choice(1), 0, 0, 0),
        (choice(8), -0.5, 0, 0),
        (thought("the first"), -1, 0, 0),
        (thought(""), -1, 0, 0),
        ("[1]", 1, -1, -1),
        ("<answer>[1]</answer>", 1, -1, -0.5),
        ("<think>a</think>", -1, -1, -0.5),
        ("<think>a", -1, -1, -0.75),
        ("", -1, -1, -1),
    ],
)
def test_by_hand(text: str, step: float, form: float, tags: float) -> None:
    scored = REWARD.score(text, THREE)
    assert scored.parts == {"step": step, "format": form, "tags": tags}
    assert scored.value == step + form + tags


def test_of_several_grades_the_lowest_goes_first() -> None:
    assert [REWARD.score(choice(place), Gold((2, 1, 0))).value for place in range(3)] == [0, 0, 1]
    assert [REWARD.score(choice(place), Gold((2, 1))).value for place in range(2)] == [0, 1]
