"""ReasonRank's reward: three tiers, three views."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import InputError
from tests.trainer.rewards.asked import DIRECT, LISTWISE, order, thought
from trainer.rewards.base import Gold
from trainer.rewards.reasonrank import ReasonRankOptions, ReasonRankReward

REWARD = ReasonRankReward(ReasonRankOptions(), LISTWISE)
TWENTY = tuple(range(20))


def window(*relevant: int) -> Gold:
    """Twenty passages, those at these ranks relevant, to be left in their order."""
    return Gold(tuple(int(rank in relevant) for rank in range(1, 21)), TWENTY)


@pytest.mark.parametrize(("relevant", "value"), [((1, 2), 1.2), ((1, 11), 0.7131), ((9, 10), 0.5618)])
def test_head_and_coverage(relevant: tuple[int, int], value: float) -> None:
    views = ReasonRankReward(ReasonRankOptions(rbo=0), LISTWISE).score(order(TWENTY), window(*relevant))
    assert views.value == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize(
    ("places", "released", "published"),
    [
        (TWENTY, 1.0, 0.878423),
        ((1, 0, *TWENTY[2:]), 0.95, 0.778423),
        (TWENTY[::-1], 0.331229, 0.132865),
    ],
)
def test_likeness_to_the_gold_order(places: tuple[int, ...], released: float, published: float) -> None:
    for overlap, likeness in (("released", released), ("published", published)):
        options = ReasonRankOptions(overlap=overlap, recall=0)
        scored = ReasonRankReward(options, LISTWISE).score(order(places), Gold((0,) * 20, TWENTY))
        assert scored.value == pytest.approx(0.1 * likeness, abs=1e-7)


def test_by_hand() -> None:
    """[3] > [1] > [2] with grades 1, 0, 2 and gold order 3, 1, 2 is ideal; with [1] first it is not."""
    gold = Gold((1, 0, 2), (2, 0, 1))
    assert REWARD.score(order([2, 0, 1]), gold).value == pytest.approx(1.3)
    scored = REWARD.score(order([0, 2, 1]), gold)
    assert scored.parts == pytest.approx(
        {
            "tags": 1,
            "answer": 1,
            "ndcg": (1 + 2 * 0.6309298) / (2 + 0.6309298),
            "recall": 1,
            "rbo": (0 + 1 + 1) / 3,
        }
    )
    assert scored.value == pytest.approx(0.8597187 + 0.2 + 0.0666667)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (order([1, 0, 2]), 1.3),
        (thought("[2] > [1]"), 0),  # an identifier is missing
        (thought("[2] > [1] > [1]"), 0),  # twice the same: the released check of counts sees it too
        (thought("[2] > [1] > [4]"), 0),  # out of range: the released check does not see it
        (thought("[2] > [1] > [0]"), 0),  # 0 is the last passage in the released code
        (thought("[2], [1], [3]"), 0),
        (thought("2 1 3"), 0),
        (thought(""), 0),
        ("<think>because</think> [2] > [1] > [3]", -1),
        ("<answer>[2] > [1] > [3]</answer>", -1),
        ("[2] > [1] > [3]", -1),
        ("<think>[2] > [1] > [3]", -1),
        (f"{order([1, 0, 2])} I hope this helps.", -1),
        ("", -1),
    ],
)
def test_three_tiers(text: str, value: float) -> None:
    assert REWARD.score(text, Gold((0, 1, 0), (1, 0, 2))).value == pytest.approx(value)


def test_a_cut_reply_is_in_the_last_tier() -> None:
    gold = Gold((0, 1), (1, 0))
    assert REWARD.score("<think>in 2019 [2] > [1]", gold, cut=True).value == -1
    assert REWARD.score("<think>a</think> <answer>[2] > [1]", gold, cut=True).value == -1


def test_a_direct_judge_wants_no_tags() -> None:
    direct, gold = ReasonRankReward(ReasonRankOptions(), DIRECT), Gold((0, 1), (1, 0))
    assert direct.score("[2] > [1]", gold).value == pytest.approx(1.3)
    assert direct.score("the second", gold).value == 0
    assert direct.score(order([1, 0]), gold).value == -1
    assert direct.score("[2] >", gold, cut=True).value == -1


def test_without_a_relevant_passage_only_likeness_teaches() -> None:
    gold = Gold((0, 0), (1, 0))
    assert REWARD.score(order([1, 0]), gold).value == pytest.approx(0.1)
    assert REWARD.score(order([0, 1]), gold).value == pytest.approx(0.05)


def test_it_needs_a_gold_order_where_likeness_counts() -> None:
    with pytest.raises(InputError, match="needs a gold order"):
        REWARD.score(order([0, 1]), Gold((0, 1)))
    assert ReasonRankReward(ReasonRankOptions(rbo=0), LISTWISE).score(order([1, 0]), Gold((0, 1))).value == 1.2


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=9), st.data())
def test_the_gold_order_is_the_best(grades: list[int], data: st.DataObject) -> None:
    gold = Gold(tuple(grades), tuple(sorted(range(len(grades)), key=lambda place: -grades[place])))
    best = REWARD.score(order(gold.order), gold).value
    assert best == pytest.approx(1.3 if any(grades) else 0.1)
    assert 0 <= REWARD.score(order(data.draw(st.permutations(gold.order))), gold).value <= best + 1e-12
