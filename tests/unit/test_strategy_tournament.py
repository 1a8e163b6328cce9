"""The tournament: stages as published, points for advancing, what a perfect judge's order keeps."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.strategies.tournament import Stage, TournamentOptions, TournamentStrategy, drawn
from es_reasonrank.types import Outcome, Verdict
from es_reasonrank.validation import checked
from tests.unit.strategy_judges import Flaky, Hanging, Perfect, Waves, best, cancelled, ranked, unhurried

PLAN = [(20, 10), (10, 4), (20, 10), (10, 5), (5, 2)]


def tournament(rounds: int = 1, seed: int = 0) -> TournamentStrategy:
    return TournamentStrategy(TournamentOptions(rounds=rounds, seed=seed))


def shapes(judge: Perfect) -> list[tuple[int, int]]:
    """(number of groups, size of the largest) of each stage: runs of windows that share no item."""
    stages: list[list[tuple[int, ...]]] = []
    for group in judge.asked:
        if stages and not any(set(group) & set(other) for other in stages[-1]):
            stages[-1].append(group)
        else:
            stages.append([group])
    return [(len(stage), max(map(len, stage))) for stage in stages]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1000, [(50, 20), (25, 20), (13, 20), (7, 19), (4, 17), (4, 9), (1, 16), (1, 8), (1, 4)]),
        (100, [(5, 20), (5, 10), (1, 20), (1, 10), (1, 5)]),
        (60, [(3, 20), (3, 10), (1, 12), (1, 6), (1, 3)]),
        (50, [(5, 10), (1, 20), (1, 10), (1, 5)]),
        (21, [(3, 7), (1, 9), (1, 5)]),
        (20, [(1, 20), (1, 10), (1, 5)]),
        (11, [(1, 11), (1, 6), (1, 3)]),
        (10, [(1, 10), (1, 5)]),
        (5, [(1, 5)]),
        (3, [(1, 3)]),
        (2, [(1, 2)]),
    ],
)
async def test_stages_of_shorter_and_longer_lists(size: int, expected: list[tuple[int, int]]) -> None:
    """100 as published; a shorter list enters where it fits, a longer one plays the first stage again."""
    judge = Perfect(range(size))
    await ranked(tournament(), judge)
    assert shapes(judge) == expected


@unhurried
@given(st.integers(1, 4), st.integers())
async def test_13_calls_a_tournament_at_depth_100(rounds: int, seed: int) -> None:
    judge = Waves(random.Random(seed).sample(range(100), 100))
    await ranked(tournament(rounds, seed), judge)
    assert judge.waves == [rounds * groups for groups in (5, 5, 1, 1, 1)]
    assert len(judge.asked) == rounds * 13


def kept(size: int) -> int:
    """How much of the head a perfect judge keeps: the fewest that a group of several sends on."""
    head, rooms = size, [100, 50, 20, 10, 5]
    while size > 1:
        number = max((place for place, room in enumerate(rooms) if room >= size), default=0)
        group, advance = PLAN[number]
        count = ceil(size / group)
        sizes = [size // count + (place < size % count) for place in range(count)]
        quotas = [min(each - 1, ceil(each * advance / group)) for each in sizes]
        if count > 1:
            head = min(head, *quotas)
        elif number == len(PLAN) - 1:
            break
        size = sum(quotas)
    return head


def test_how_much_of_the_head_is_kept() -> None:
    assert [kept(size) for size in (2, 5, 20, 21, 50, 100, 1000)] == [2, 5, 20, 3, 4, 4, 4]
    assert min(map(kept, range(21, 500))) == 3


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 130), st.integers(1, 3), st.integers())
async def test_a_perfect_judges_head_comes_out_in_order(size: int, rounds: int, seed: int) -> None:
    """The best is first of every group, so it is first; so far as every group sends on enough, the next follow."""
    grades = random.Random(seed).sample(range(size), size)
    order = await ranked(tournament(rounds, seed), Perfect(grades))
    head = kept(size)
    assert order[:head] == best(grades)[:head]


async def test_a_plan_of_one_stage_is_played_until_one_group_is_left() -> None:
    strategy = TournamentStrategy(TournamentOptions(plan=(Stage(size=5, advance=2),)))
    judge = Perfect(range(30))
    assert (await ranked(strategy, judge))[:2] == (29, 28)
    assert shapes(judge) == [(6, 5), (3, 4), (2, 3), (1, 4)]


async def test_more_tournaments_find_more_of_the_head() -> None:
    """One finds most of the top 20, because the draw spreads them; ten with other groups find all but a few."""

    async def found(rounds: int, seed: int) -> int:
        grades = random.Random(seed).sample(range(100), 100)
        order = await ranked(tournament(rounds, seed), Perfect(grades))
        return len(set(order[:20]) & set(best(grades)[:20]))

    one, ten = [[await found(rounds, seed) for seed in range(30)] for rounds in (1, 10)]
    assert min(one) >= 16
    assert min(ten) >= 18
    assert sum(ten) > sum(one)


class Chooses(Perfect):
    """A judge of the paper's kind: it names those that advance, and they come in the order shown."""

    def verdict(self, items: Sequence[int]) -> Verdict:
        by_grade = sorted(range(len(items)), key=lambda place: -self.grades[items[place]])
        half = len(items) // 2
        return Verdict((*sorted(by_grade[:half]), *sorted(by_grade[half:])), Outcome.OK)


async def test_points_decide_before_places() -> None:
    judge = Chooses(random.Random(3).sample(range(100), 100))
    order = await ranked(tournament(), judge)
    reached = Counter(item for group in judge.asked for item in group)
    stages = [reached[item] for item in order]
    assert stages == sorted(stages, reverse=True)


async def test_the_draw_is_seeded() -> None:
    async def groups(seed: int) -> list[tuple[int, ...]]:
        judge = Perfect(range(100))
        await ranked(tournament(2, seed), judge)
        return judge.asked

    first = await groups(7)
    assert first == await groups(7)
    assert first != await groups(8)
    assert set(map(frozenset, first[:5])) != set(map(frozenset, first[5:10]))


@unhurried
@given(st.integers(1, 200), st.integers(1, 20), st.integers())
def test_groups_are_of_equal_size_and_strength(size: int, count: int, seed: int) -> None:
    """Of every `count` that stand together, each group has one; of a last few, at most one."""
    groups = drawn(range(size), count, random.Random(seed))
    assert sorted(item for group in groups for item in group) == list(range(size))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    for group in groups:
        assert [item // count for item in group] == list(range(len(group)))


async def test_a_failed_group_gives_no_points_and_sends_on_its_first() -> None:
    """Both groups of the first stage: one fails, its five go on behind those that won their places."""
    grades = list(range(40))
    judge = Flaky(grades, lambda number: number in (0, 4, 5, 6, 7))
    order = await ranked(tournament(), judge)
    failed, others = set(judge.asked[0]), {item for group in judge.asked[1:4] for item in group}
    winners = {item for group in judge.asked[1:4] for item in group[-4:]}
    assert failed | others == set(range(40))
    assert set(order[:12]) == winners
    untouched = [item for item in order if item in failed]
    assert untouched == sorted(untouched)
    assert set(judge.asked[4]) == winners | set(judge.asked[0][:4])


async def test_a_stage_counts_when_all_its_groups_are_through() -> None:
    """Time is up before the second stage, or in the middle of the first."""
    grades = list(range(100))
    standing = await cancelled(tournament(), Hanging(grades, 5))
    assert set(standing.result()[:50]) != set(range(50))
    assert sum(standing.result()[:50]) > sum(standing.result()[50:])
    standing = await cancelled(tournament(), Hanging(grades, 3))
    assert standing.result() == tuple(range(100))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"plan": []}, "key 'plan': tuple should have at least 1 item"),
        ({"plan": [{"size": 2, "advance": 1}]}, "key 'plan.0.size': input should be greater than or equal to 3, not 2"),
        ({"plan": [{"size": 5, "advance": 5}]}, "advance 5 must be smaller than size 5: all would advance"),
        ({"rounds": 0}, "key 'rounds': input should be greater than or equal to 1, not 0"),
    ],
)
def test_impossible_numbers(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(TournamentOptions, values, where="strategy tournament")
