"""LCRON's losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.losses.examples import has_gradient, padded, rows
from trainer.losses.lcron import combined, end_to_end, single_stage, uncertainties
from trainer.losses.neuralsort import Survival, survival


def stage(*kept: float) -> Survival:
    """A stage in which items survive with these chances."""
    chances = rows(list(kept))
    return Survival(chances, 1 - chances)


FIRST, SECOND = stage(0.8, 0.5), stage(0.5, 0.4)
RELEVANT = rows([1.0, 0.0])


def test_a_stage_by_hand() -> None:
    expected = -(math.log(0.8) + math.log(1 - 0.5)) / 2
    assert single_stage(FIRST, RELEVANT).item() == pytest.approx(expected, abs=1e-5)


def test_the_whole_cascade_by_hand() -> None:
    # Chances 0.8 * 0.5 = 0.4 and 0.5 * 0.4 = 0.2.
    expected = -(math.log(0.4) + math.log(0.8)) / 2
    assert end_to_end([FIRST, SECOND], RELEVANT).item() == pytest.approx(expected, abs=1e-5)


def test_what_the_ranker_drops_costs_the_pre_ranker_nothing_in_the_whole_but_something_by_itself() -> None:
    kept = stage(1.0, 1.0)  # the pre-ranker keeps the irrelevant one too
    dropped = stage(1.0, 0.0)  # and the ranker drops it
    assert end_to_end([kept, dropped], RELEVANT).item() == pytest.approx(0.0, abs=1e-5)
    assert single_stage(kept, RELEVANT).item() > 6


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6))
def test_keeping_what_is_relevant_costs_less(scores: list[float]) -> None:
    relevant = rows([1.0] + [0.0] * (len(scores) - 1))
    good = survival(rows([max(scores) + 1, *scores[1:]]), 1)
    bad = survival(rows([min(scores) - 1, *scores[1:]]), 1)
    assert single_stage(good, relevant) < single_stage(bad, relevant)
    assert end_to_end([good, good], relevant) < end_to_end([good, bad], relevant)


def test_what_is_not_there_is_not_read() -> None:
    kept, mask = padded(FIRST.kept, 0.3)
    lost, relevant = (padded(values, 1.0)[0] for values in (FIRST.lost, RELEVANT))
    assert single_stage(Survival(kept, lost), relevant, mask).item() == pytest.approx(
        single_stage(FIRST, RELEVANT).item()
    )


def test_a_certain_mistake_costs_much_and_is_finite() -> None:
    assert single_stage(stage(0.0, 1.0), RELEVANT).item() == pytest.approx(-math.log(1e-6), rel=1e-3)


def test_the_combination_by_hand() -> None:
    # alpha = 2, beta = 1 and 3
    weights = torch.tensor([math.log(2), 0.0, math.log(3)])
    value = combined(torch.tensor(0.4), [torch.tensor(1.0), torch.tensor(1.8)], weights)
    assert value.item() == pytest.approx(0.4 / 8 + 1.0 / 2 + 1.8 / 18 + math.log(2 * 1 * 3))


def test_uncertainties_begin_at_one_and_settle_where_their_square_is_the_loss() -> None:
    weights = uncertainties(2)
    assert weights.tolist() == [0.0, 0.0, 0.0]
    losses = torch.tensor(0.25), [torch.tensor(1.0), torch.tensor(4.0)]
    optimizer = torch.optim.Adam([weights], lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        combined(*losses, weights).backward()
        optimizer.step()
    assert (2 * weights).exp().tolist() == pytest.approx([0.25, 1.0, 4.0], rel=0.01)


def test_gradients() -> None:
    lost = FIRST.lost
    assert has_gradient(lambda kept: single_stage(Survival(kept, lost), RELEVANT), FIRST.kept)
    assert has_gradient(lambda kept: end_to_end([Survival(kept, lost), SECOND], RELEVANT), FIRST.kept)
    assert has_gradient(lambda lost: end_to_end([Survival(FIRST.kept, lost), SECOND], RELEVANT), lost)
    assert has_gradient(lambda weights: combined(torch.tensor(0.4), [torch.tensor(1.0)], weights), rows([0.2, 0.4])[0])
