"""TFRank's rewards: a grade, or an order."""

from __future__ import annotations

import pytest

from es_reasonrank.errors import InputError
from tests.trainer.rewards.asked import LISTWISE, TO_FOUR, order, thought
from trainer.rewards.base import Gold
from trainer.rewards.tfrank import TFRankListwiseOptions, TFRankListwiseReward, TFRankOptions, TFRankReward

GRADE = TFRankReward(TFRankOptions(), TO_FOUR)
LABEL = TFRankReward(TFRankOptions(answer="label"), TO_FOUR)
ORDER = TFRankListwiseReward(TFRankListwiseOptions(), LISTWISE)
FOUR = Gold((0, 0, 1, 0))


@pytest.mark.parametrize(
    ("text", "gold", "value"),
    [
        (thought("4"), 4, 1.5),
        (thought("3"), 4, 0.75 / 2 + 0.5),
        (thought("0"), 4, 0.5),
        (thought("5"), 4, 0.5),  # no grade of the scale
        (thought("yes(4)"), 4, 0.5),
        ("4", 4, 0),
        ("<think>so 4", 4, 0),
    ],
)
def test_a_grade(text: str, gold: int, value: float) -> None:
    assert GRADE.score(text, Gold((gold,))).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "gold", "value"),
    [
        ("yes(3)", 3, 1.0),
        ("Yes( 2 )", 3, (1 + 0.75) / 2),
        ("no(1)", 0, (1 + 0.75) / 2),
        ("yes(1)", 3, 1 / 2),  # the grade contradicts its label
        ("no(3)", 1, 1 / 2),
        ("no(2)", 3, 0),  # near, but the label is wrong
        ("yes(2)", 1, 0),
        ("yes(5)", 3, 0),  # no grade of the scale
        ("3", 3, 0),
    ],
)
def test_a_label_with_a_grade(answer: str, gold: int, value: float) -> None:
    assert LABEL.score(thought(answer), Gold((gold,))).value == pytest.approx(value + 0.5)


def test_its_window_is_one_passage_on_the_scale() -> None:
    for grades in ((5,), (1, 2)):
        with pytest.raises(InputError, match="one grade from 0 to 4"):
            GRADE.score(thought("4"), Gold(grades))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (order([2, 0, 1, 3]), 1.5),
        (order([2, 3, 1, 0]), 1.5),
        (order([0, 1, 2, 3]), 0.5),
        (order([0, 2, 1, 3]), 0.2618595 / 2 + 0.5),
        (thought("[3] > [1]"), -2.0),
        ("[3] > [1] > [2] > [4]", -2.5),
    ],
)
def test_an_order(text: str, value: float) -> None:
    assert ORDER.score(text, FOUR).value == pytest.approx(value)


def test_a_gain_behind_the_tenth_place_counts() -> None:
    """From rank 12, 1 / log2(13), to rank 11, 1 / log2(12)."""
    gold = Gold((*[0] * 11, 1))
    gain = (0.2789429 - 0.2702382) / (1 - 0.2702382)
    assert ORDER.score(order([*range(10), 11, 10]), gold).value == pytest.approx(gain / 2 + 0.5, abs=1e-6)


def test_a_loss_is_clipped() -> None:
    """Shown (3 + 4 / log2(3)) / (4 + 3 / log2(3)) = 0.937, reached 0.272: a gain of -10.6."""
    assert ORDER.score(order(range(19, -1, -1)), Gold((3, 4, *[0] * 18))).value == pytest.approx(-5 / 2 + 0.5)


def test_an_unreadable_order_can_count_as_released() -> None:
    released = TFRankListwiseReward(TFRankListwiseOptions(malformed=0), LISTWISE)
    assert released.score("<think>", FOUR, cut=True).value == 0
