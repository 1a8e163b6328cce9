"""Soft permutations."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.losses.examples import SCORES, has_gradient, padded, rows
from trainer.losses.neuralsort import column_normalised, soft_permutation, survival


def test_two_items_by_hand() -> None:
    # s = (ln 2, 0), A 1 = (ln 2, ln 2). Row 1: s - A 1, softmax 2/3, 1/3; row 2: -s - A 1, softmax 1/3, 2/3.
    rank = soft_permutation(rows([math.log(2), 0.0]))
    assert rank[0].flatten().tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3, 2 / 3])


def test_three_items_by_hand() -> None:
    # s = (1, 0, -2), A 1 = (4, 3, 5). Row 1: 2s - A 1 = (-2, -3, -9); row 2: -A 1; row 3: -2s - A 1 = (-6, -3, -1).
    rank = soft_permutation(rows([1.0, 0.0, -2.0]), temperature=2.0)
    logits = rows([-2.0, -3.0, -9.0], [-4.0, -3.0, -5.0], [-6.0, -3.0, -1.0])
    assert torch.allclose(rank[0], (logits / 2).softmax(dim=-1))


@given(SCORES)
def test_a_low_temperature_sorts(scores: list[float]) -> None:
    rank = soft_permutation(rows(scores), temperature=1e-4)
    assert (rank[0] @ rows(scores)[0]).tolist() == pytest.approx(sorted(scores, reverse=True))


@given(SCORES, st.sampled_from([0.5, 1.0, 20.0]))
def test_every_rank_is_a_distribution_and_every_normalised_column_too(scores: list[float], temperature: float) -> None:
    rank = soft_permutation(rows(scores), temperature=temperature)
    assert rank.sum(dim=-1).flatten().tolist() == pytest.approx([1.0] * len(scores))
    columns = column_normalised(rank).sum(dim=-2).flatten().tolist()
    assert columns == pytest.approx([1.0] * len(scores))


@given(SCORES, st.sampled_from([-50.0, 0.0, 50.0]))
def test_what_is_not_there_is_not_read(scores: list[float], beside: float) -> None:
    size = len(scores)
    longer, mask = padded(rows(scores), beside)
    rank = soft_permutation(longer, mask)
    assert torch.allclose(rank[:, :size, :size], soft_permutation(rows(scores)))
    assert rank[:, size:].abs().sum() == rank[:, :, size:].abs().sum() == 0
    kept = survival(longer, 1, mask).kept
    assert torch.allclose(kept[:, :size], survival(rows(scores), 1).kept)
    assert kept[:, size:].abs().sum() == survival(longer, 1, mask).lost[:, size:].abs().sum() == 0


def test_survival_by_hand() -> None:
    # The first row of the two items above; its columns already sum to 1.
    found = survival(rows([math.log(2), 0.0]), 1)
    assert found.kept[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found.lost[0].tolist() == pytest.approx([1 / 3, 2 / 3])


@given(SCORES, st.integers(1, 8))
def test_survival_at_a_low_temperature_is_being_among_the_first(scores: list[float], q: int) -> None:
    first = sorted(scores, reverse=True)[:q]
    kept = survival(rows(scores), q, temperature=1e-4).kept[0].tolist()
    assert kept == pytest.approx([float(score in first) for score in scores])


@given(SCORES, st.integers(1, 8), st.sampled_from([0.5, 1.0, 20.0]))
def test_the_higher_score_survives_likelier(scores: list[float], q: int, temperature: float) -> None:
    kept = survival(rows(sorted(scores)), q, temperature=temperature).kept[0]
    assert bool((kept.diff() >= -1e-9).all())
    assert bool(((kept >= 0) & (kept <= 1 + 1e-9)).all())


def test_as_many_places_as_items_let_all_survive() -> None:
    longer, mask = padded(rows([3.0, 1.0]), 9.0)
    assert survival(longer, 2, mask).kept[0].tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0])


def test_equal_scores_share_the_places() -> None:
    assert survival(rows([1.0] * 4), 1).kept[0].tolist() == pytest.approx([0.25] * 4)


def test_an_empty_list_gives_nothing_and_no_nan() -> None:
    scores = torch.zeros(1, 3, requires_grad=True)
    survival(scores, 1, torch.zeros(1, 3, dtype=torch.bool)).kept.sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_gradients() -> None:
    scores, mask = padded(rows([0.3, -1.2, 2.0], [1.0, 0.4, 0.0]), 0.5)
    assert has_gradient(lambda learned: soft_permutation(learned, mask, temperature=2.0), scores)
    assert has_gradient(lambda learned: survival(learned, 2, mask, stop_gradient=False).lost, scores)


def test_a_stopped_gradient_takes_the_columns_sums_as_constants() -> None:
    def gradient(constants: bool) -> list[float]:
        scores = rows([0.3, -1.2, 2.0]).requires_grad_()
        rank = soft_permutation(scores)
        sums = rank.sum(dim=-2).detach() if constants else rank.sum(dim=-2)
        (rank[:, 0] / sums)[0, 0].backward()
        assert scores.grad is not None
        return list(scores.grad[0].tolist())

    for constants in (True, False):
        scores = rows([0.3, -1.2, 2.0]).requires_grad_()
        survival(scores, 1, stop_gradient=constants).kept[0, 0].backward()
        assert scores.grad is not None
        assert scores.grad[0].tolist() == pytest.approx(gradient(constants))
    assert gradient(True) != pytest.approx(gradient(False))


def test_with_constants_only_the_chance_to_be_lost_tells_the_best_item_to_go_down() -> None:
    """More of it at the ranks behind its own, the first, would mean a lower score: so `kept` would grow."""

    def gradient(lost: bool, constants: bool) -> float:
        scores = rows([1.5, 0.8, 0.6, 0.4, 0.2, -0.2, -0.4, -0.6, -0.8, -1.0]).requires_grad_()
        found = survival(scores, 5, temperature=5, stop_gradient=constants)
        (found.lost if lost else 1 - found.kept)[0, 0].backward()
        assert scores.grad is not None
        return float(scores.grad[0, 0])

    assert gradient(lost=True, constants=True) < 0
    assert gradient(lost=False, constants=True) > 0
    assert gradient(lost=True, constants=False) < 0
    assert gradient(lost=True, constants=False) == pytest.approx(gradient(lost=False, constants=False))
