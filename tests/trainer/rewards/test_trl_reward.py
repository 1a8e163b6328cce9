"""A reward as trl calls it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from es_reasonrank.errors import InputError
from tests.trainer.rewards.asked import DIRECT, LISTWISE, POINTWISE, order, thought
from trainer.rewards import load_reward
from trainer.rewards.base import WindowReward
from trainer.rewards.trl_reward import TrlReward

REASONRANK = TrlReward(load_reward("reasonrank", {}, LISTWISE))
END = 2


def rewarded(completions: list[Any], reward: TrlReward = REASONRANK, **columns: Any) -> list[float]:
    ids = columns.pop("completion_ids", [[7, END]] * len(completions))
    given = {"grades": [[0, 1]] * len(completions), "order": [[1, 0]] * len(completions)} | columns
    return reward(prompts=["?"] * len(completions), completions=completions, completion_ids=ids, **given)


def test_one_value_a_completion() -> None:
    assert rewarded([order([1, 0]), thought("?"), "?"]) == pytest.approx([1.3, 0, -1])


def test_completions_can_be_conversations() -> None:
    chat = [{"role": "assistant", "content": order([1, 0])}]
    split = [{"role": "assistant", "reasoning_content": "because", "content": "<answer>[2] > [1]</answer>"}]
    assert rewarded([chat, split, [{"role": "assistant", "content": None}]]) == pytest.approx([1.3, 1.3, -1])


def test_it_goes_by_the_rewards_name() -> None:
    assert REASONRANK.__name__ == "reasonrank"


def test_each_completion_has_its_own_window() -> None:
    found = rewarded([order([1, 0])] * 2, grades=[[0, 1], [1, 0]], order=[[1, 0], [0, 1]])
    assert found == pytest.approx([1.3, 0.6309298 + 0.2 + 0.05])


def test_what_the_trainer_sends_besides_is_left_alone() -> None:
    assert rewarded([order([1, 0])], trainer_state=object(), log_extra=print, query=["?"]) == pytest.approx([1.3])


def test_parts_are_logged_by_their_means_over_those_that_have_them() -> None:
    logged: dict[str, float] = {}
    rewarded([order([1, 0]), order([0, 1]), thought("?"), "?"], log_metric=logged.__setitem__)
    assert logged == pytest.approx(
        {
            "reasonrank/tags": 0.75,
            "reasonrank/answer": 0.5,
            "reasonrank/ndcg": (1 + 0.6309298) / 2,
            "reasonrank/recall": 1,
            "reasonrank/rbo": 0.75,
        }
    )


def test_a_completion_without_an_end_was_cut() -> None:
    reward = load_reward("reasonrank", {}, DIRECT)
    told, untold = TrlReward(reward, ends=[0, END]), TrlReward(reward)
    ids = [[7, END], [7, 0], [7, 7], []]
    assert rewarded(["[2]"] * 4, told, completion_ids=ids) == [0, 0, -1, -1]
    assert rewarded(["[2]"] * 4, untold, completion_ids=ids) == [0] * 4


@pytest.mark.parametrize("columns", [{"grades": None}, {"grades": [[0, 1]] * 3}])
def test_a_missing_column_is_named(columns: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no column 'grades' for every completion"):
        rewarded([order([1, 0])], **columns)


def test_a_query_s_roll_outs_are_scored_together() -> None:
    """Query a: relevant 5 under an irrelevant 7; query b: relevant 5 above an irrelevant 3."""
    reward = TrlReward(load_reward("erank", {}, POINTWISE))
    found = rewarded(
        [thought(grade) for grade in ("5", "5", "7", "3")],
        reward,
        grades=[[1], [1], [0], [0]],
        order=None,
        qid=["a", "b", "a", "b"],
    )
    assert found == pytest.approx([1 / 2, 1, -1, -0.09])
    with pytest.raises(InputError, match="no column 'qid'"):
        rewarded([thought("5")], reward, grades=[[1]], order=None)


def test_scores_from_before_are_a_column() -> None:
    reward = TrlReward(load_reward("erank", {}, POINTWISE))
    assert rewarded([thought("5")], reward, grades=[[0]], order=None, qid=["a"], scores=[[3.0]]) == pytest.approx(
        [-0.04]
    )


def test_it_can_be_sent_to_another_process() -> None:
    reward = pickle.loads(pickle.dumps(REASONRANK))
    assert isinstance(reward.reward, WindowReward)
    assert rewarded([order([1, 0])], reward) == pytest.approx([1.3])
