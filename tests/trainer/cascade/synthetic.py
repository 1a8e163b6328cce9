"""Lists on which stages that know of each other beat stages that do not."""

from __future__ import annotations

import torch

from trainer.cascade.features import Lists
from trainer.cascade.training import CascadeTraining

COLUMNS = ([0, 1], [2])
"""The pre-ranker sees two noisy features, the ranker one that is sharp."""
OPTIONS = CascadeTraining(
    keep=12, top=3, survivors=(12, 9), temperature=10, hidden=(0, 0), learning_rate=0.02, batch=50, patience=40
)


def trade_off(count: int, seed: int) -> Lists:
    """Lists of 3 relevant items, 6 that only the pre-ranker can tell from them, and 21 that the ranker tells better.

    A pre-ranker by itself turns against the 21, which are most of what is wrong. The ranker would have dropped them
    without its help, and cannot drop the 6: in a good cascade the pre-ranker turns against those.
    """
    generator = torch.Generator().manual_seed(seed)
    relevant = torch.tensor([1.0] * 3 + [0.0] * 27)
    first = torch.tensor([1.0] * 3 + [-1.0] * 6 + [1.0] * 21)
    second = torch.tensor([1.0] * 9 + [-1.0] * 21)
    clean = torch.stack([first, second, second], dim=-1)
    noise = torch.tensor([1.5, 1.5, 0.0])
    features, labels = [], []
    for _ in range(count):
        places = torch.randperm(30, generator=generator)
        features.append(clean[places] + noise * torch.randn(30, 3, generator=generator))
        labels.append(relevant[places])
    return Lists(
        tuple(f"q{number}" for number in range(count)),
        tuple(tuple(f"d{number}" for number in range(30)) for _ in range(count)),
        torch.stack(features),
        torch.ones(count, 30, dtype=torch.bool),
        torch.stack(labels),
    )
