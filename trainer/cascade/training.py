"""Training a cascade: jointly by LCRON, or each stage by itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.validation import Checked
from trainer.cascade.features import Lists
from trainer.cascade.models import Cascade, Columns, cascade, order
from trainer.cascade.threads import one_thread
from trainer.losses.lcron import combined, end_to_end, single_stage, uncertainties
from trainer.losses.listnet import softmax_cross_entropy
from trainer.losses.neuralsort import survival
from trainer.losses.padding import mean_over

if TYPE_CHECKING:
    from torch import Tensor

Objective = Literal["bce", "softmax", "lcron"]
OBJECTIVES: tuple[Objective, ...] = ("bce", "softmax", "lcron")
"""Each stage by itself, a candidate at a time; each by itself, a list at a time; both together."""


class CascadeTraining(Checked):
    """How a cascade is built and trained."""

    keep: int = Field(20, ge=1, description="Candidates that the pre-ranker lets through.")
    top: int = Field(10, ge=1, description="Candidates that come out and are measured.")
    survivors: tuple[int, int] = Field(
        (10, 10), description="lcron: how many are taken to survive each stage in training; 10 and 10 in its code."
    )
    temperature: float = Field(50.0, gt=0, description="lcron: temperature of the soft order; 50 in its code.")
    stop_gradient: bool = Field(True, description="lcron: take the soft order's column sums as constants, as its code.")
    hidden: tuple[int, int] = Field((8, 32), description="Width of the two hidden layers; 0 makes a scorer linear.")
    learning_rate: float = Field(3e-3, gt=0, description="Adam's.")
    batch: int = Field(64, ge=1, description="Lists in a step.")
    epochs: int = Field(40, ge=1, description="Passes over the lists at most.")
    patience: int = Field(6, ge=1, description="Passes without a better recall before training ends.")


@dataclass(frozen=True)
class Trained:
    """A cascade whose stages are as of their best passes over the lists."""

    cascade: Cascade
    epochs: tuple[int, int]
    """Each stage's best pass, from 1."""


def train(
    lists: Lists, held_out: Lists, objective: Objective, *, columns: Columns, options: CascadeTraining, seed: int
) -> Trained:
    """Train a cascade, and keep each stage as of its best pass by `progress` on held-out lists.

    Args:
        lists: what is learned from; those without anything relevant are left out.
        held_out: what the best pass is chosen by.
        columns: the features that each of the two scorers sees.

    Raises:
        InputError: nothing is relevant in either part.
    """
    teaching, held_out = lists.teaching, held_out.teaching
    if not len(teaching) or not len(held_out):
        raise InputError("no list to train on, or to choose by, holds a relevant candidate; give more queries or depth")
    with one_thread():
        return _trained(teaching, held_out, objective, columns, options, seed)


def _trained(
    teaching: Lists, held_out: Lists, objective: Objective, columns: Columns, options: CascadeTraining, seed: int
) -> Trained:
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = cascade(teaching.features, teaching.mask, columns=columns, hidden=options.hidden)
    weights = uncertainties(2)
    optimizer = torch.optim.Adam([*model.parameters(), weights], lr=options.learning_rate)
    kept, best, epochs = [model.pre, model.ranker], [-1.0, -1.0], [0, 0]
    for epoch in range(1, options.epochs + 1):
        for places in torch.randperm(len(teaching), generator=generator).split(options.batch):
            optimizer.zero_grad()
            loss(model, teaching.part(places.tolist()), objective, weights, options).backward()
            optimizer.step()
        for stage, reached in enumerate(progress(model, held_out, objective, options)):
            if reached > best[stage]:
                best[stage], epochs[stage] = reached, epoch
                kept[stage] = copy.deepcopy((model.pre, model.ranker)[stage])
        if epoch - max(epochs) >= options.patience:
            break
    return Trained(replace(model, pre=kept[0], ranker=kept[1]), (epochs[0], epochs[1]))


def progress(model: Cascade, lists: Lists, objective: Objective, options: CascadeTraining) -> tuple[float, float]:
    """How good each stage is: as part of the cascade where both are trained together, else by itself.

    By itself, a stage is given all candidates, and the pre-ranker's first `keep` count, the ranker's first `top`.
    """
    import torch

    with torch.no_grad():
        pre, ranker = model.scores(lists.features)
    if objective == "lcron":
        reached = recall(order(pre, ranker, lists.mask, options.keep), lists, options.top)
        return reached, reached
    alone = [order(stage, stage, lists.mask, options.keep) for stage in (pre, ranker)]
    return recall(alone[0], lists, options.keep), recall(alone[1], lists, options.top)


def loss(model: Cascade, batch: Lists, objective: Objective, weights: Tensor, options: CascadeTraining) -> Tensor:
    """The loss of a batch, a scalar. Stages share no weights, so a sum over them trains each by itself.

    Args:
        weights: LCRON's uncertainties, of shape (3,); the others leave them alone.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    scores, relevant, mask = model.scores(batch.features), batch.relevant, batch.mask
    if objective == "bce":
        costs = [binary_cross_entropy_with_logits(stage, relevant, reduction="none") for stage in scores]
        return mean_over(costs[0] + costs[1], mask)
    if objective == "softmax":
        return softmax_cross_entropy(scores[0], relevant, mask) + softmax_cross_entropy(scores[1], relevant, mask)
    kept = [
        survival(stage, q, mask, temperature=options.temperature, stop_gradient=options.stop_gradient)
        for stage, q in zip(scores, options.survivors, strict=True)
    ]
    single = [single_stage(stage, relevant, mask) for stage in kept]
    return combined(end_to_end(kept, relevant, mask), single, weights)


def recall(ordered: Tensor, lists: Lists, top: int) -> float:
    """The share of relevant candidates that are among the first `top`, of those that have a place there.

    That is hits / min(top, relevant candidates), the mean over lists that hold any.

    Args:
        ordered: places of candidates, best first, of shape (lists, items).
    """
    hits = lists.relevant.gather(1, ordered)[:, :top].sum(dim=-1)
    reachable = lists.relevant.sum(dim=-1).clamp(max=top)
    return float(mean_over(hits / reachable.clamp(min=1), reachable > 0))
