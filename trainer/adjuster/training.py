"""The adjuster from pairs of orders.

The loss is -log sigmoid(beta * (log p(preferred) - log p(other))) with the Plackett-Luce likelihood of an order: DPO
(2305.18290) from a reference that thinks all orders equally likely, so that its terms cancel. That, and not the
difference of two discounted sums of scores, because it makes the scorer a policy: its likeliest order is what is shown,
the scores from the highest to the lowest, and orders drawn from it are what to try next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.adjuster import FEATURES, Adjuster, Feature, observed
from es_reasonrank.validation import Checked
from trainer.adjuster.trying import Head, Preference
from trainer.cascade.threads import one_thread
from trainer.losses.pairwise import pairwise
from trainer.losses.plackett_luce import log_likelihood

if TYPE_CHECKING:
    from torch import Tensor


class AdjusterTraining(Checked):
    """How the scorer is built and trained."""

    features: tuple[Feature, ...] = Field(
        FEATURES, min_length=1, description="What it sees of a passage; who serves it must know as much."
    )
    hidden: int = Field(16, ge=1, description="Width of its hidden layer.")
    beta: float = Field(0.1, gt=0, description="How fast a difference of log-likelihoods saturates, as in DPO.")
    margin: float = Field(0.01, ge=0, description="Two orders are a pair where their nDCG@10 differ by more.")
    learning_rate: float = Field(1e-2, gt=0, description="AdamW's.")
    weight_decay: float = Field(1e-3, ge=0, description="AdamW's.")
    epochs: int = Field(60, ge=1, description="Passes over the pairs.")
    batch: int = Field(256, ge=1, description="Pairs in a step.")
    held_out: float = Field(0.1, ge=0, lt=1, description="Share of the heads whose pairs are measured, not learned.")


@dataclass(frozen=True)
class Fitted:
    """A trained adjuster, and how it orders pairs."""

    adjuster: Adjuster
    pairs: int
    """Pairs that were learned from."""
    accuracy: float
    """Share of them whose preferred order it thinks likelier."""
    held_out: tuple[int, ...]
    """Heads that were not learned from."""
    held_out_pairs: int
    held_out_accuracy: float | None
    """The same over their pairs; None where there are none."""


def fit(
    heads: Sequence[Head], pairs: Sequence[Preference], options: AdjusterTraining | None = None, *, seed: int = 0
) -> Fitted:
    """Train an adjuster on preferences.

    Raises:
        InputError: there is nothing to learn from.
    """
    options = options or AdjusterTraining()
    held = sorted(Random(seed).sample(range(len(heads)), round(options.held_out * len(heads))))
    learned, kept = ([pair for pair in pairs if (pair.head in held) is side] for side in (False, True))
    if not learned:
        raise InputError("no two orders of a head differ in what came of them; try more orders, or more heads")
    batch = _Batch.of(heads, learned, options.features)
    with one_thread():
        scorer = _trained(batch, options, seed)
    inner, _, outer = scorer
    rows = [(*weights, bias) for weights, bias in zip(inner.weight.tolist(), inner.bias.tolist(), strict=True)]
    return Fitted(
        Adjuster(options.features, tuple(rows), tuple(outer.weight[0].tolist())),
        len(learned),
        _accuracy(batch, scorer),
        tuple(held),
        len(kept),
        _accuracy(_Batch.of(heads, kept, options.features), scorer) if kept else None,
    )


def _trained(batch: _Batch, options: AdjusterTraining, seed: int) -> Any:
    """The scorer: a linear layer, a ReLU, and a linear layer without bias."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inner = nn.Linear(len(options.features), options.hidden)
        scorer = nn.Sequential(inner, nn.ReLU(), nn.Linear(options.hidden, 1, bias=False))
    optimizer = torch.optim.AdamW(scorer.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(options.epochs):
        for places in torch.randperm(len(batch.mask), generator=generator).split(options.batch):
            optimizer.zero_grad()
            preferred, other = batch.part(places).likelihoods(scorer)
            pairwise(options.beta * preferred, options.beta * other).backward()
            optimizer.step()
    return scorer


@dataclass(frozen=True)
class _Batch:
    """Pairs as tensors. Shapes: (pairs, items, features), and (pairs, items) for the others."""

    features: Tensor
    mask: Tensor
    preferred: Tensor
    other: Tensor

    @classmethod
    def of(cls, heads: Sequence[Head], pairs: Sequence[Preference], names: Sequence[Feature]) -> _Batch:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        seen = {number: torch.tensor(observed(heads[number].seen, names)) for number in {pair.head for pair in pairs}}
        features = pad_sequence([seen[pair.head] for pair in pairs], batch_first=True)
        size = features.shape[1]
        mask = torch.tensor([[place < len(pair.other) for place in range(size)] for pair in pairs])
        return cls(
            features,
            mask,
            torch.tensor([[*pair.preferred, *range(len(pair.preferred), size)] for pair in pairs]),
            torch.tensor([[*pair.other, *range(len(pair.other), size)] for pair in pairs]),
        )

    def part(self, places: Tensor) -> _Batch:
        return _Batch(self.features[places], self.mask[places], self.preferred[places], self.other[places])

    def likelihoods(self, scorer: Any) -> tuple[Tensor, Tensor]:
        """log p of the preferred order and of the other, of shape (pairs,)."""
        scores = scorer(self.features).squeeze(-1)
        return log_likelihood(scores, self.preferred, self.mask), log_likelihood(scores, self.other, self.mask)


def _accuracy(batch: _Batch, scorer: Any) -> float:
    import torch

    with torch.no_grad():
        preferred, other = batch.likelihoods(scorer)
    return float((preferred > other).float().mean())
