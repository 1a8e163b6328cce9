"""ERank's reward: all roll-outs of a query together."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import InputError
from tests.trainer.rewards.asked import POINTWISE, YES_OR_NO, thought
from trainer.rewards.base import Gold
from trainer.rewards.erank import ERankOptions, ERankReward

REWARD = ERankReward(ERankOptions(), POINTWISE)
RELEVANT, OTHER = Gold((1,)), Gold((0,))


def values(*rollouts: tuple[int | str, Gold]) -> list[float]:
    texts = [thought(str(grade)) for grade, _ in rollouts]
    return [scored.value for scored in REWARD.score_all(texts, [gold for _, gold in rollouts])]


def test_by_hand() -> None:
    """Relevant 7 and 4, others 5, 2 and no grade: 5 is above 4, and 2 is below both."""
    found = values((7, RELEVANT), (4, RELEVANT), (5, OTHER), (2, OTHER), ("good", OTHER))
    assert found == pytest.approx([1, 1 / 2, -1, -0.04, -1])


def test_the_answers_of_a_question_of_yes_or_no_are_the_grades_1_and_0() -> None:
    reward = ERankReward(ERankOptions(), YES_OR_NO)
    found = reward.score_all(["yes", "yes", "no", "maybe"], [RELEVANT, OTHER, OTHER, OTHER])
    assert [one.value for one in found] == [1 / 2, -1, 0, -1]


def test_ties_are_no_win() -> None:
    assert values((5, RELEVANT), (5, OTHER), (5, OTHER)) == pytest.approx([1 / 3, -1, -1])


def test_relevant_passages_do_not_stand_in_each_others_way() -> None:
    assert values((9, RELEVANT), (9, RELEVANT), (8, RELEVANT), (0, OTHER)) == pytest.approx([1, 1, 1, 0])


def test_an_irrelevant_passage_is_drawn_to_its_grade_from_before() -> None:
    assert values((9, RELEVANT), (2, Gold((0,), scores=(3.0,)))) == pytest.approx([1, -0.01])


def test_without_a_relevant_passage_grades_are_drawn_down() -> None:
    assert values((10, OTHER), (3, OTHER)) == pytest.approx([-1, -0.09])


def test_a_cut_reply_has_no_grade() -> None:
    scored = REWARD.score_all(["<think>maybe 9", thought("9")], [RELEVANT, RELEVANT], cuts=[True, False])
    assert [each.value for each in scored] == [-1, 1]
    assert [dict(each.parts) for each in scored] == [{"answer": 0}, {"answer": 1, "reciprocal_rank": 1}]


@pytest.mark.parametrize("text", ["9", "<answer>9</answer>", "<think>a</think> 9", thought("9 of 10")])
def test_a_grade_that_is_not_in_the_form_is_none(text: str) -> None:
    assert REWARD.score_all([text], [RELEVANT])[0].value == -1


def test_a_window_of_several_passages_is_refused() -> None:
    with pytest.raises(InputError, match="one passage at a time"):
        REWARD.score_all([thought("3")], [Gold((0, 1))])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.sampled_from([RELEVANT, OTHER])), min_size=1), st.randoms())
def test_the_order_of_roll_outs_says_nothing(rollouts: list[tuple[int, Gold]], shuffle: random.Random) -> None:
    places = list(range(len(rollouts)))
    shuffle.shuffle(places)
    found = values(*rollouts)
    assert values(*(rollouts[place] for place in places)) == [found[place] for place in places]
    assert all(-1 <= value <= 1 for value in found)


@settings(deadline=None)
@given(st.lists(st.sampled_from([RELEVANT, OTHER]), min_size=1))
def test_perfect_grades_get_the_most(golds: list[Gold]) -> None:
    best = values(*((10 if gold is RELEVANT else 0, gold) for gold in golds))
    assert best == [1 if gold is RELEVANT else 0 for gold in golds]
