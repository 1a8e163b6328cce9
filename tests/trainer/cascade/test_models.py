"""Two scorers, and the order that they make together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.cascade.models import cascade, order


def test_the_ranker_decides_on_what_the_pre_ranker_keeps() -> None:
    pre, ranker = torch.tensor([[5.0, 4.0, 3.0, 2.0]]), torch.tensor([[1.0, 2.0, 9.0, 8.0]])
    there = torch.ones(1, 4, dtype=torch.bool)
    assert order(pre, ranker, there, 2).tolist() == [[1, 0, 2, 3]]
    assert order(pre, ranker, there, 3).tolist() == [[2, 1, 0, 3]]
    assert order(pre, ranker, there, 9).tolist() == [[2, 3, 1, 0]]


def test_what_is_not_there_stands_last() -> None:
    pre, ranker = torch.tensor([[1.0, 9.0, 2.0]]), torch.tensor([[1.0, 9.0, 2.0]])
    assert order(pre, ranker, torch.tensor([[True, False, True]]), 1).tolist() == [[2, 0, 1]]


def test_equal_scores_keep_their_order() -> None:
    even = torch.zeros(1, 5)
    assert order(even, even, torch.ones(1, 5, dtype=torch.bool), 3).tolist() == [[0, 1, 2, 3, 4]]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_an_order_is_a_permutation_headed_by_the_pre_rankers_best(size: int, keep: int, seed: int) -> None:
    pre, ranker = torch.rand(2, 1, size, generator=torch.Generator().manual_seed(seed))
    made = order(pre, ranker, torch.ones(1, size, dtype=torch.bool), keep)[0].tolist()
    assert sorted(made) == list(range(size))
    best = pre[0].argsort(descending=True).tolist()
    assert set(made[:keep]) == set(best[:keep])
    assert made[keep:] == best[keep:]


def test_each_scorer_sees_its_own_columns_on_one_scale() -> None:
    features = torch.tensor([[[0.0, 100.0, 7.0], [2.0, 300.0, 7.0], [99.0, 99.0, 99.0]]])
    mask = torch.tensor([[True, True, False]])
    model = cascade(features, mask, columns=([0], [1, 2]), hidden=(0, 4))
    assert model.mean.tolist() == [1, 200, 7]
    assert model.deviation.tolist() == pytest.approx([1, 100, 1e-6])
    changed = features.clone()
    changed[0, 0, 1] = -500
    before, after = model.scores(features), model.scores(changed)
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert before[0].shape == before[1].shape == (1, 3)
