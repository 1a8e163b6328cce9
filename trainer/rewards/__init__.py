"""Rewards: what a roll-out is worth. One file a reward, pure of models.

A reward reads a roll-out with the parser that serves, and holds it against what is known of its window.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from es_reasonrank.errors import SettingsError
from es_reasonrank.validation import checked, nearest

if TYPE_CHECKING:
    from trainer.rewards.base import QueryReward, WindowReward
    from trainer.rewards.reading import Reader

REWARDS = {
    "reasonrank": "reasonrank:ReasonRankReward",
    "rearank": "rearank:RearankReward",
    "rank_r1": "rank_r1:RankR1Reward",
    "erank": "erank:ERankReward",
    "tfrank": "tfrank:TFRankReward",
    "tfrank_listwise": "tfrank:TFRankListwiseReward",
    "iranker": "iranker:IRankerReward",
    "rarl": "rarl:RARLReward",
}
"""Every reward's module and class."""


def load_reward(name: str, options: Mapping[str, Any], reader: Reader) -> WindowReward[Any] | QueryReward[Any]:
    """The reward of that name.

    Args:
        options: its own options, by their names.
        reader: reads replies as the judge does whose question they answer.

    Raises:
        SettingsError: there is none, an option is wrong, or it is no reward for this judge's question.
    """
    if name not in REWARDS:
        raise SettingsError(f"unknown reward {name!r}{nearest(name, REWARDS)}")
    module, _, kind = REWARDS[name].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), kind)
    reward: WindowReward[Any] | QueryReward[Any] = found(
        checked(found.options_model, options, where=f"reward {name}"), reader
    )
    return reward
