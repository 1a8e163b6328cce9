"""Replies with their outcomes, pairs of them, and what choosing one of n by a score is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from es_reasonrank.errors import InputError


@dataclass(frozen=True)
class Chain:
    """One reply that was sampled for a window."""

    window: str
    """Whatever tells windows apart."""
    prompt: str
    """As the model saw it, the chat template included."""
    completion: str
    outcome: float
    """The verifiable reward."""


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt, the one with the better outcome first."""

    window: str
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Chosen:
    """Mean outcomes over prompts, by what picks one of a prompt's replies."""

    first: float
    """The first one sampled: what there is without choosing."""
    model: float
    """The one with the highest score; of equal ones the first."""
    best: float
    """The one with the best outcome: what no choice can exceed."""


def pairs(chains: Sequence[Chain], *, margin: float = 0.05) -> list[Pair]:
    """All pairs of replies to one prompt whose outcomes differ by more than the margin: ties make none."""
    groups: dict[tuple[str, str], list[Chain]] = {}
    for chain in chains:
        groups.setdefault((chain.window, chain.prompt), []).append(chain)
    return [
        Pair(window, prompt, better.completion, worse.completion)
        for (window, prompt), group in groups.items()
        for better in group
        for worse in group
        if better.outcome - worse.outcome > margin
    ]


def split(found: Sequence[Pair], share: float, *, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and pairs to measure on; a window's are all on one side, and there is one on each.

    Raises:
        InputError: the pairs are of fewer than two windows.
    """
    windows = sorted({pair.window for pair in found})
    if len(windows) < 2:
        raise InputError("a reward model needs replies with different outcomes to two windows or more; sample more")
    size = min(max(round(share * len(windows)), 1), len(windows) - 1)
    held_out = set(Random(seed).sample(windows, size))
    learned, kept = ([pair for pair in found if (pair.window in held_out) is side] for side in (False, True))
    return learned, kept


def choose(chains: Sequence[Chain], scores: Sequence[float]) -> Chosen:
    """What comes of choosing each prompt's reply by its score.

    Args:
        scores: of each chain.

    Raises:
        InputError: there is no chain.
    """
    if not chains:
        raise InputError("there are no replies to choose from")
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for chain, score in zip(chains, scores, strict=True):
        groups.setdefault((chain.window, chain.prompt), []).append((score, chain.outcome))
    return Chosen(
        first=fmean(group[0][1] for group in groups.values()),
        model=fmean(max(group, key=lambda scored: scored[0])[1] for group in groups.values()),
        best=fmean(max(outcome for _, outcome in group) for group in groups.values()),
    )
