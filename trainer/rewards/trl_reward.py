"""A reward as trl's GRPOTrainer calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.judges.thinking import CLOSE
from trainer.rewards.base import Gold, QueryReward, Scored, WindowReward
from trainer.rewards.reading import OPEN

Completion = str | Sequence[Mapping[str, Any]]
_CHAIN = ("reasoning_content", "thinking")
"""Where tokenizers that split a closed chain off put it."""


class TrlReward:
    """Calls a reward with what the trainer knows of each completion.

    The columns of the dataset: `grades`, a list of whole numbers as the passages are shown; `order`, places, where the
    reward needs one; `scores`, where it takes them; and `qid` for a reward over a query's whole set, which sees what
    this process holds of it.

    Args:
        ends: token ids that end a completion, the end of the turn and the padding; one that ends with another token
            was cut. Without them, nothing counts as cut.
    """

    def __init__(self, reward: WindowReward[Any] | QueryReward[Any], *, ends: Sequence[int] = ()) -> None:
        self.reward = reward
        self.ends = frozenset(ends)
        self.__name__ = reward.name

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Completion],
        completion_ids: Sequence[Sequence[int]] | None = None,
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        """One value a completion; the parts' means, over the completions that have them, go to `log_metric`.

        Raises:
            InputError: a column is missing, or does not hold what the reward needs.
        """
        texts = [_text(completion) for completion in completions]
        golds = _golds(columns, len(texts))
        scored = self._scored(texts, golds, self._cuts(completion_ids, len(texts)), columns)
        if log_metric is not None:
            for part in dict.fromkeys(part for each in scored for part in each.parts):
                log_metric(f"{self.reward.name}/{part}", fmean(one.parts[part] for one in scored if part in one.parts))
        return [each.value for each in scored]

    def _cuts(self, completion_ids: Sequence[Sequence[int]] | None, size: int) -> list[bool]:
        if completion_ids is None or not self.ends:
            return [False] * size
        return [not ids or ids[-1] not in self.ends for ids in completion_ids]

    def _scored(
        self, texts: list[str], golds: list[Gold], cuts: list[bool], columns: Mapping[str, Any]
    ) -> list[Scored]:
        reward = self.reward
        if isinstance(reward, WindowReward):
            return [reward.score(text, gold, cut=cut) for text, gold, cut in zip(texts, golds, cuts, strict=True)]
        scored: dict[int, Scored] = {}
        for places in _queries(_column(columns, "qid", len(texts))):
            together = reward.score_all(
                [texts[place] for place in places],
                [golds[place] for place in places],
                cuts=[cuts[place] for place in places],
            )
            scored.update(zip(places, together, strict=True))
        return [scored[place] for place in range(len(texts))]


def _text(completion: Completion) -> str:
    """What the model wrote, a chain that was split off included."""
    if isinstance(completion, str):
        return completion
    written = []
    for message in completion:
        chain = next((message[key] for key in _CHAIN if message.get(key)), "")
        written.append((f"{OPEN}{chain}{CLOSE}" if chain else "") + (message.get("content") or ""))
    return "".join(written)


def _golds(columns: Mapping[str, Any], size: int) -> list[Gold]:
    grades = _column(columns, "grades", size)
    orders, scores = (columns.get(name) or [()] * size for name in ("order", "scores"))
    return [
        Gold(tuple(each), tuple(order or ()), tuple(score or ()))
        for each, order, score in zip(grades, orders, scores, strict=True)
    ]


def _column(columns: Mapping[str, Any], name: str, size: int) -> Sequence[Any]:
    found: Sequence[Any] = columns.get(name) or ()
    if len(found) != size:
        raise InputError(f"the dataset has no column {name!r} for every completion; the reward is made of it")
    return found


def _queries(names: Sequence[Any]) -> list[list[int]]:
    """The places of each query's completions."""
    found: dict[Any, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return list(found.values())
