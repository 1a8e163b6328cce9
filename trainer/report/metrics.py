"""A stage's metrics as curves, gathered under the names that people read them by."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeGuard

Curve = tuple[tuple[float, float], ...]
"""Steps and values, by step."""


@dataclass(frozen=True)
class Panel:
    """Curves that are read together."""

    title: str
    note: str
    """What the values are, and what to look for."""
    curves: Mapping[str, Curve]


_PART = "{reward}/*"
"""The parts of a reward are logged under its name."""

_PANELS = (
    ("Loss", "What training makes smaller; in RL, its height tells little.", ("loss", "eval_loss", "loss/*")),
    ("Reward", "Mean over the replies of a step.", ("reward", "eval_reward", "rewards/*/mean", "eval_rewards/*/mean")),
    ("Parts of the reward", "Means before their weights, over the replies that have them.", (_PART,)),
    ("nDCG@10", "On the dev set, or of the replies of a step where the name says so.", ("*ndcg*", "*nDCG*")),
    (
        "Completion length",
        "Tokens of a reply.",
        tuple(f"completions/{kind}_length" for kind in ("mean", "mean_terminated", "min", "max")),
    ),
    (
        "Truncated completions",
        "Share of replies that were cut at their token limit (clipped_ratio).",
        ("completions/clipped_ratio",),
    ),
    (
        "Zero-variance groups",
        "Share of groups whose replies all got the same reward, and teach nothing.",
        ("frac_reward_zero_std", "silent/*"),
    ),
    ("KL", "How far the model is from the one that it started as; nats per token.", ("kl",)),
    (
        "Clipped updates",
        "Share of tokens whose probability moved beyond the clip range, and teaches no more (clip_ratio).",
        ("clip_ratio/*",),
    ),
    ("Entropy", "Of the next token, in nats; a fall to 0 is a collapse.", ("entropy",)),
    ("Learning rate", "", ("learning_rate",)),
    ("Gradient norm", "Before clipping.", ("grad_norm",)),
)


def curves(path: Path) -> dict[str, Curve]:
    """The curves of a file of metrics.

    A step that was done twice, before a kill and after it, counts as it was done last. Values that are no numbers, and
    a last line that was never finished, are left out.
    """
    found: dict[str, dict[float, float]] = {}
    for line in _lines(path):
        step = line.get("step")
        for name, value in line.items():
            if name not in ("step", "time") and _is_number(step) and _is_number(value):
                found.setdefault(name, {})[step] = value
    return {name: tuple(sorted(points.items())) for name, points in found.items()}


def panels(found: Mapping[str, Curve]) -> tuple[list[Panel], dict[str, Curve]]:
    """The curves in panels, each once, and those that belong to none."""
    left = dict(found)
    gathered = []
    rewards = [name.split("/")[1] for name in found if fnmatch(name, "rewards/*/mean")]
    for title, note, given in _PANELS:
        patterns = [_PART.format(reward=reward) for reward in rewards] if given == (_PART,) else given
        names = list(dict.fromkeys(name for pattern in patterns for name in left if fnmatch(name, pattern)))
        taken = {name: left.pop(name) for name in names}
        if taken:
            gathered.append(Panel(title, note, taken))
    return gathered, left


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
