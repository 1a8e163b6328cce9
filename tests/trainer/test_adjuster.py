"""CoRanking's order adjuster: orders tried on a large ranker, pairs of them, and what a scorer learns from those."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.errors import EngineError, InputError, SettingsError
from es_reasonrank.rerank.adjuster import Adjuster, Seen
from es_reasonrank.types import Candidate, Outcome, Verdict
from es_reasonrank.validation import checked
from trainer.adjuster.training import AdjusterTraining, fit
from trainer.adjuster.trying import Head, Preference, Trial, preferences, shown, trials, values

HEAD = [Seen(3, 9.0), Seen(1, 3.0), Seen(0, 6.0)]


@dataclass
class Reader:
    """A large ranker that knows what is relevant, but of the passages shown reads only some; the others stay behind."""

    reads: Callable[[int], Sequence[int]]
    """The places that it reads of so many."""
    outcome: Outcome = Outcome.OK

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        read = self.reads(len(passages))
        known = sorted(read, key=lambda place: "relevant" not in passages[place].text)
        return Verdict((*known, *(place for place in range(len(passages)) if place not in read)), self.outcome)


def head_of(query: str, candidates: Sequence[Candidate], grades: Sequence[int]) -> Head:
    known = tuple(Seen(len(candidate.text.split()), candidate.score) for candidate in candidates)
    return Head(query, tuple(candidates), known, tuple(grades))


async def tried_on(
    some: Sequence[Head], large: Reader, *, orders: int, seed: int = 0, adjuster: Adjuster | None = None
) -> list[Trial]:
    found = [
        await trials(number, head, large, orders=orders, seed=seed, adjuster=adjuster)
        for number, head in enumerate(some)
    ]
    return [trial for each in found for trial in each]


def first(size: int) -> range:
    return range(size // 2)


def last(size: int) -> range:
    return range(size // 2, size)


def heads(count: int, size: int = 10) -> list[Head]:
    """Heads in which what is relevant is long, wherever the small ranker put it."""
    made = []
    for seed in range(count):
        grades = [1, 1, *([0] * (size - 2))]
        Random(seed).shuffle(grades)
        texts = ["a relevant passage of many words indeed" if grade else "short one" for grade in grades]
        candidates = [Candidate(str(place), text, score=-float(place)) for place, text in enumerate(texts)]
        made.append(head_of(f"query {seed}", candidates, grades))
    return made


def test_policies() -> None:
    backwards = Adjuster(("place",), ((1.0, 0.0),), (1.0,))
    assert shown("small", HEAD) == (0, 1, 2)
    assert shown("reversed", HEAD) == shown("learned", HEAD, adjuster=backwards) == (2, 1, 0)
    assert {shown("random", HEAD, random=Random(seed)) for seed in range(50)} > {(0, 1, 2), (2, 1, 0), (1, 2, 0)}


def test_a_policy_says_what_it_lacks() -> None:
    with pytest.raises(InputError, match="'random' needs random numbers"):
        shown("random", HEAD)
    with pytest.raises(InputError, match="'learned' needs a trained adjuster"):
        shown("learned", HEAD)


async def test_an_order_is_worth_what_comes_of_it() -> None:
    """Of 4 passages the ranker reads the first 2; the relevant one is the small ranker's third."""
    head = head_of("", [Candidate(str(place), "relevant" if place == 2 else "") for place in range(4)], (0, 0, 1, 0))
    found = await values([head] * 3, [(0, 1, 2, 3), (3, 2, 1, 0), (0, 3, 1, 2)], Reader(first))
    assert found == pytest.approx([1 / math.log2(4), 1, 1 / math.log2(5)])


async def test_a_failed_window_counts_as_it_is_served() -> None:
    """In the small ranker's order, whatever the ranker was shown."""
    head = head_of("", (Candidate("a", "relevant"), Candidate("b")), (1, 0))
    assert await values([head], [(1, 0)], Reader(lambda size: (), Outcome.MALFORMED)) == [1.0]
    assert await values([head], [(1, 0)], Reader(lambda size: ())) == pytest.approx([1 / math.log2(3)])


async def test_a_failed_engine_says_nothing_of_an_order() -> None:
    head = head_of("", (Candidate("a", "relevant"), Candidate("b")), (1, 0))
    with pytest.raises(EngineError):
        await values([head], [(1, 0)], Reader(lambda size: (), Outcome.ENGINE_ERROR))


async def test_each_head_is_tried_in_different_orders_and_the_fixed_ones_among_them() -> None:
    tried = await tried_on(heads(3), Reader(first), orders=6, seed=0)
    assert Counter(trial.head for trial in tried) == {0: 6, 1: 6, 2: 6}
    for head in range(3):
        orders = [trial.shown for trial in tried if trial.head == head]
        assert len(set(orders)) == 6
        assert orders[:2] == [tuple(range(10)), tuple(range(9, -1, -1))]
        assert all(sorted(order) == list(range(10)) for order in orders)
    assert tried == await tried_on(heads(3), Reader(first), orders=6, seed=0)
    assert tried != await tried_on(heads(3), Reader(first), orders=6, seed=1)


async def test_a_short_head_has_no_more_orders_than_there_are() -> None:
    head = head_of("", (Candidate("a", "relevant"), Candidate("b")), (1, 0))
    assert [trial.shown for trial in await tried_on([head], Reader(first), orders=8, seed=0)] == [(0, 1), (1, 0)]


async def test_a_trained_adjuster_draws_what_to_try_next() -> None:
    """One that is certain of the last passage shows it first, but for the two orders that are always tried."""
    certain = Adjuster(("place",), ((100.0, -95.0),), (10.0,))
    tried = await tried_on(heads(4), Reader(first), orders=6, seed=0, adjuster=certain)
    assert all(trial.shown[0] == 9 for trial in tried if trial.shown != tuple(range(10)))


def test_pairs_are_of_one_head_and_differ_by_more_than_the_margin() -> None:
    tried = [Trial(0, (0, 1), 0.5), Trial(0, (1, 0), 0.75), Trial(1, (0, 1), 0.9), Trial(1, (1, 0), 0.9)]
    assert preferences(tried) == [Preference(0, (1, 0), (0, 1))]
    assert preferences(tried, margin=0.25) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=12), st.floats(0, 0.5))
def test_a_preference_never_goes_against_the_values(drawn: list[tuple[int, float]], margin: float) -> None:
    tried = [Trial(head, (number,), value) for number, (head, value) in enumerate(drawn)]
    for pair in preferences(tried, margin=margin):
        better, worse = tried[pair.preferred[0]], tried[pair.other[0]]
        assert better.head == worse.head == pair.head
        assert better.value - worse.value > margin


@pytest.mark.parametrize("reads", [first, last])
async def test_what_is_learned_beats_every_fixed_order(reads: Callable[[int], range]) -> None:
    """The ranker reads one half; long passages are relevant, so they belong there. 40 heads that nobody has seen."""
    large, unseen = Reader(reads), heads(120)[80:]
    tried = await tried_on(heads(80), large, orders=8, seed=0)
    fitted = fit(heads(80), preferences(tried))
    assert fitted.held_out_pairs > 50
    assert fitted.held_out_accuracy is not None
    assert fitted.held_out_accuracy > 0.7
    random = Random(0)
    means = {}
    for policy in ("small", "reversed", "random", "learned"):
        orders = [shown(policy, head.seen, random=random, adjuster=fitted.adjuster) for head in unseen]
        means[policy] = sum(await values(unseen, orders, large)) / len(unseen)
    assert means["learned"] > 0.99
    assert max(means["small"], means["reversed"], means["random"]) < 0.9


async def test_it_learns_from_the_place_alone_where_nothing_else_is_served() -> None:
    """Relevant is always the small ranker's best, and the large one reads the last half: reversed is right."""
    texts = ["relevant", *(["other"] * 5)]
    head = head_of("", [Candidate(str(place), text) for place, text in enumerate(texts)], (1, 0, 0, 0, 0, 0))
    tried = await tried_on([head] * 10, Reader(last), orders=8, seed=0)
    fitted = fit([head] * 10, preferences(tried), AdjusterTraining(features=("place",), held_out=0))
    assert fitted.adjuster.features == ("place",)
    assert fitted.adjuster.order(head.seen).index(0) >= 3
    assert fitted.held_out_accuracy is None


def test_heads_of_different_length_are_learned_from_together() -> None:
    some = [heads(1, size=4)[0], heads(1, size=7)[0]]
    pairs = [Preference(0, (3, 2, 1, 0), (0, 1, 2, 3)), Preference(1, tuple(range(6, -1, -1)), tuple(range(7)))]
    fitted = fit(some, pairs, AdjusterTraining(features=("place",), held_out=0), seed=1)
    assert fitted.accuracy == 1
    assert fitted.adjuster.order(some[0].seen) == (3, 2, 1, 0)


def test_the_same_seed_gives_the_same_adjuster() -> None:
    pairs = [Preference(0, (1, 0, 2), (0, 1, 2))]
    head = [head_of("", [Candidate("a"), Candidate("b", "one"), Candidate("c", "one two")], (0, 1, 0))]
    options = AdjusterTraining(held_out=0, epochs=3)
    assert fit(head, pairs, options) == fit(head, pairs, options)
    assert fit(head, pairs, options) != fit(head, pairs, options, seed=1)


def test_without_a_pair_there_is_nothing_to_learn() -> None:
    with pytest.raises(InputError, match="no two orders of a head differ"):
        fit(heads(2), [])


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(SettingsError, match=r"features\.0"):
        checked(AdjusterTraining, {"features": ["colour"]}, where="adjuster")
