"""Advantages, and Shuffle-R1's pairs and draws."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import InputError
from trainer.sampling import Pair, advantages, pairwise, reshuffled, silent, still

REWARDS = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.3]), min_size=8, max_size=8)


def pairs(*weights: float) -> list[Pair]:
    return [Pair(2 * number, 2 * number + 1, weight) for number, weight in enumerate(weights)]


def test_advantages_by_hand() -> None:
    """Mean 2 and a sample's deviation of sqrt(20 / 3) in the first group; the second does not vary."""
    deviation = (20 / 3) ** 0.5
    assert advantages([5, -1, 1, 3, 0.7, 0.7, 0.7, 0.7], 4) == pytest.approx(
        [3 / deviation, -3 / deviation, -1 / deviation, 1 / deviation, 0, 0, 0, 0]
    )


@pytest.mark.parametrize(
    ("rewards", "nothing"), [([1, 1, 1], True), ([0.3, 0.1 + 0.2], True), ([1, 1, 0], False), ([1], True)]
)
def test_a_group_that_does_not_vary(rewards: list[float], nothing: bool) -> None:
    assert still(rewards) is nothing


def test_rounding_is_no_advantage() -> None:
    assert advantages([0.3, 0.1 + 0.2], 2) == [0, 0]


def test_a_split_group_is_refused() -> None:
    with pytest.raises(InputError, match="5 roll-outs are no whole number of groups of 4"):
        advantages([1, 2, 3, 4, 5], 4)


def test_the_share_of_silent_roll_outs_before_and_after() -> None:
    """Two of the first group and all of the last have no advantage; of the pairs kept, only the last group's."""
    found = advantages([3, 1, 2, 2, 2, 2, 2, 1, 0, 2, 1, 0, 5, 5, 5, 5], 4)
    assert silent(found) == 6 / 16
    kept = [number for pair in pairwise(found, 4) for number in pair.rollouts]
    assert silent([found[number] for number in kept]) == 2 / 8


def test_pairs_by_hand() -> None:
    """The best with the worst, the second best with the second worst; numbers run through the batch."""
    found = pairwise([0.5, -2, 1.5, 0, 0, 1, -1, 0], 4, ratio=0)
    assert found == [Pair(2, 1, 3.5), Pair(0, 3, 0.5), Pair(5, 6, 2), Pair(4, 7, 0)]
    assert pairwise([0.5, -2, 1.5, 0, 0, 1, -1, 0], 4) == [found[0], found[2]]


@pytest.mark.parametrize(("ratio", "kept"), [(0.0, 4), (0.25, 3), (0.5, 2), (0.75, 1), (0.99, 1)])
def test_the_ratio_is_the_share_left_out(ratio: float, kept: int) -> None:
    assert len(pairwise([float(number) for number in range(16)], 8, ratio=ratio)) == 2 * kept


@settings(deadline=None)
@given(st.lists(REWARDS, min_size=1, max_size=4), st.sampled_from([0.0, 0.5]))
def test_groups_keep_the_same_size_and_their_highest_contrasts(groups: list[list[float]], ratio: float) -> None:
    found = advantages([reward for group in groups for reward in group], 8)
    kept = pairwise(found, 8, ratio=ratio)
    assert Counter(pair.best // 8 for pair in kept) == dict.fromkeys(range(len(groups)), 4 if ratio == 0 else 2)
    assert all(pair.best // 8 == pair.worst // 8 for pair in kept)
    rollouts = [number for pair in kept for number in pair.rollouts]
    assert len(set(rollouts)) == len(rollouts)
    for group in range(len(groups)):
        gaps = [found[pair.best] - found[pair.worst] for pair in kept if pair.best // 8 == group]
        assert gaps == sorted(gaps, reverse=True)
        own = found[8 * group : 8 * group + 8]
        assert gaps[0] == max(own) - min(own)


@pytest.mark.parametrize(("size", "ratio"), [(3, 0.5), (4, 1.0), (4, -0.1)])
def test_what_cannot_be_paired_is_refused(size: int, ratio: float) -> None:
    with pytest.raises(InputError, match="cannot be paired"):
        pairwise([0.0] * 12, size, ratio=ratio)


def test_one_draw_resamples_nothing() -> None:
    batch = pairs(1, 5, 0, 2, 0)
    drawn = reshuffled(batch, replay_times=1, random=Random(1))
    assert sorted(drawn, key=lambda pair: pair.best) == batch
    assert {pair.weight for pair in drawn[:3]} == {1, 5, 2}


@settings(deadline=None)
@given(st.lists(st.floats(0, 4), max_size=9), st.integers(1, 4), st.floats(0, 3), st.integers(0, 99))
def test_a_draw_holds_a_pair_once_and_the_batch_keeps_its_size(
    weights: list[float], times: int, power: float, seed: int
) -> None:
    batch = pairs(*weights)
    drawn = reshuffled(batch, replay_times=times, random=Random(seed), power=power)
    assert len(drawn) == len(batch)
    assert max(Counter(drawn).values(), default=0) <= times
    size, more = divmod(len(batch), times)
    start = 0
    for draw in range(times):
        held = drawn[start : start + size + (draw < more)]
        assert len(set(held)) == len(held)
        start += len(held)


def test_a_seed_gives_the_same_draws() -> None:
    batch = pairs(1, 2, 3, 4)
    first, second = (reshuffled(batch, replay_times=2, random=Random(7)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("power", "shares"), [(1, [1 / 8, 2 / 8, 5 / 8]), (2, [1 / 30, 4 / 30, 25 / 30]), (0, [1 / 3] * 3)]
)
def test_pairs_are_drawn_in_proportion_to_their_weights_power(power: float, shares: list[float]) -> None:
    """As many draws as pairs, so that each draw is of one pair; 30,000 of them, 5 deviations at most off."""
    random, batch, counts = Random(3), pairs(1, 2, 5), Counter[float]()
    for _ in range(10_000):
        counts.update(pair.weight for pair in reshuffled(batch, replay_times=3, random=random, power=power))
    for weight, share in zip((1, 2, 5), shares, strict=True):
        assert counts[weight] / 30_000 == pytest.approx(share, abs=5 * (share * (1 - share) / 30_000) ** 0.5)


def test_within_a_draw_those_left_keep_their_proportions() -> None:
    """Weights 1, 2 and 5 in turn: the heaviest first and then the middle one comes with 5/8 * 2/3."""
    random, batch = Random(5), pairs(1, 2, 5)
    orders = Counter(
        tuple(pair.weight for pair in reshuffled(batch, replay_times=1, random=random)) for _ in range(20_000)
    )
    assert orders[(5, 2, 1)] / 20_000 == pytest.approx(5 / 8 * 2 / 3, abs=0.018)
    assert orders[(1, 2, 5)] / 20_000 == pytest.approx(1 / 8 * 2 / 7, abs=0.007)


def test_pairs_without_contrast_come_last() -> None:
    batch = pairs(0, 0, 0, 1)
    drawn = reshuffled(batch, replay_times=2, random=Random(2))
    assert [pair.weight for pair in drawn] == [1, 0, 1, 0]


def test_no_draws_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be drawn 0 times"):
        reshuffled(pairs(1), replay_times=0, random=Random(0))
