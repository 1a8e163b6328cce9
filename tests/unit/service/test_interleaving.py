"""Team-draft interleaving: the algorithm's promises, for any two orders."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from es_reasonrank.evaluation.rollout_log import Team
from es_reasonrank.service.interleaving import team_draft

SEEDS = st.text(max_size=12)
ORDERS = st.integers(0, 30).flatmap(lambda size: st.permutations(range(size)))
PAIRS = ORDERS.flatmap(lambda base: st.tuples(st.just(base), st.permutations(base)))


@given(PAIRS, SEEDS)
def test_nothing_is_lost(pair: tuple[list[int], list[int]], seed: str) -> None:
    order, team = team_draft(*pair, seed=seed)
    assert sorted(order) == sorted(pair[0])
    assert len(team) == len(order)


@given(PAIRS, SEEDS)
def test_each_team_puts_its_best_that_is_left(pair: tuple[list[int], list[int]], seed: str) -> None:
    ranked: dict[Team, list[int]] = {"base": pair[0], "reranked": pair[1]}
    order, team = team_draft(*pair, seed=seed)
    for place, (item, name) in enumerate(zip(order, team, strict=True)):
        left = [other for other in ranked[name] if other not in order[:place]]
        assert item == left[0]


@given(PAIRS, SEEDS)
def test_the_teams_are_never_more_than_one_apart(pair: tuple[list[int], list[int]], seed: str) -> None:
    _, team = team_draft(*pair, seed=seed)
    for end in range(len(team) + 1):
        counted = Counter(team[:end])
        assert abs(counted["base"] - counted["reranked"]) <= end % 2


@given(PAIRS, SEEDS)
def test_a_seed_gives_one_mixture(pair: tuple[list[int], list[int]], seed: str) -> None:
    assert team_draft(*pair, seed=seed) == team_draft(*pair, seed=seed)


def test_the_same_everywhere() -> None:
    """The coins must not change between machines and releases: a list must not change under a user's eyes."""
    order, team = team_draft(range(6), [5, 4, 3, 2, 1, 0], seed="a user and a search")
    assert order == (5, 0, 4, 1, 2, 3)
    assert team == ("reranked", "base", "reranked", "base", "base", "reranked")


def test_the_coin_is_fair_in_every_round() -> None:
    size, seeds = 20, 4000
    first = [Counter[str]() for _ in range(size // 2)]
    for seed in range(seeds):
        _, team = team_draft(range(size), range(size), seed=str(seed))
        for number, counted in enumerate(first):
            counted[team[2 * number]] += 1
    for counted in first:
        assert stats.binomtest(counted["base"], seeds).pvalue > 1e-4


def test_rounds_are_tossed_apart() -> None:
    """What the first round gave says nothing about the second."""
    pairs = Counter(team_draft(range(4), range(4), seed=str(seed))[1][0::2] for seed in range(4000))
    assert len(pairs) == 4
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-4


def test_users_who_click_anywhere_prefer_none() -> None:
    """Clicks that depend on the place alone are shared evenly, whatever the two orders are."""
    dice = random.Random(7)
    won = Counter[str]()
    for seed in range(4000):
        _, team = team_draft(range(10), dice.sample(range(10), 10), seed=str(seed))
        won[team[min(int(dice.expovariate(0.7)), 9)]] += 1
    assert stats.binomtest(won["base"], 4000).pvalue > 1e-4


@pytest.mark.parametrize(("base", "reranked"), [([0, 1], [0, 2]), ([0, 1], [0]), ([0, 0], [0, 0]), ([0, 0], [0, 1])])
def test_two_orders_of_different_items(base: list[int], reranked: list[int]) -> None:
    with pytest.raises(ValueError, match="do not hold the same items"):
        team_draft(base, reranked, seed="")
