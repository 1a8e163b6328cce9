"""Groups that teach nothing, and what is put into them."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from es_reasonrank.errors import InputError
from es_reasonrank.rerank.judges.listwise import ListwiseOptions
from trainer.mutation import Mutated, MutationOptions, mutate, spoilt, token_weights
from trainer.rewards.base import Gold
from trainer.rewards.reading import Reader
from trainer.rewards.reasonrank import ReasonRankOptions, ReasonRankReward
from trainer.sampling import advantages, still

READER = Reader.of(ListwiseOptions())
REWARD = ReasonRankReward(ReasonRankOptions(), READER)
GOLD = Gold((0, 2, 0, 1), (1, 3, 0, 2))
WRONG = "<think>my own chain</think> <answer>[1] > [3] > [4] > [2]</answer>"
RIGHT = "<think>my own chain</think> <answer>[2] > [4] > [1] > [3]</answer>"


def mutated(completions: list[str], reasoning: str = "a chain", seed: int = 0, **options: Any) -> Mutated:
    return mutate(
        completions,
        [REWARD.score(text, GOLD).value for text in completions],
        order=GOLD.order,
        reasoning=reasoning,
        reader=READER,
        options=MutationOptions(**options),
        random=Random(seed),
    )


def test_a_group_that_varies_is_left_alone() -> None:
    group = [WRONG, RIGHT, "?", "?"]
    assert mutated(group) == Mutated(tuple(group), ())


@pytest.mark.parametrize("text", [WRONG, RIGHT, "<think>cut", ""])
@pytest.mark.parametrize("seed", range(5))
def test_a_mutated_group_varies(text: str, seed: int) -> None:
    result = mutated([text] * 4, seed=seed)
    rewards = [REWARD.score(each, GOLD).value for each in result.completions]
    assert not still(rewards)
    assert any(advantages(rewards, 4))


def test_what_was_inserted_is_told_and_nothing_else_is_changed() -> None:
    result = mutated(["?"] * 6)
    assert len(result.inserted) == 2
    assert list(result.inserted) == sorted(result.inserted)
    assert {place for place, text in enumerate(result.completions) if text != "?"} == set(result.inserted)


def test_the_reference_and_a_spoilt_copy_are_written_as_the_judge_reads_them() -> None:
    result = mutated(["?"] * 4)
    replies = [READER.order(result.completions[place], 4) for place in result.inserted]
    assert all(reply.whole and reply.verdict.reasoning == "a chain" for reply in replies)
    orders = {reply.verdict.order for reply in replies}
    assert GOLD.order in orders
    (other,) = orders - {GOLD.order}
    assert sum(first != second for first, second in zip(other, GOLD.order, strict=True)) == 2


def test_without_a_chain_the_replaced_completion_s_own_leads_to_the_answer() -> None:
    result = mutated([WRONG] * 3, reasoning="")
    assert all("my own chain" in result.completions[place] for place in result.inserted)
    cut = mutated(["<think>my own chain"] * 3, reasoning="")
    assert not any("my own chain" in cut.completions[place] for place in cut.inserted)


@pytest.mark.parametrize(("references", "copies"), [(1, 0), (2, 1), (0, 1)])
def test_how_many_of_each_is_an_option(references: int, copies: int) -> None:
    result = mutated([WRONG] * 4, references=references, spoilt=copies)
    orders = [READER.order(result.completions[place], 4).verdict.order for place in result.inserted]
    assert (orders.count(GOLD.order), len(orders)) == (references, references + copies)


def test_one_completion_stays_the_models_own() -> None:
    with pytest.raises(InputError, match="2 of 2 completions over 4 passages cannot be replaced"):
        mutated(["?"] * 2)


@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(1, 9), st.integers(0, 99))
def test_a_spoilt_order_is_a_permutation_and_never_the_same(order: list[int], swaps: int, seed: int) -> None:
    result = spoilt(order, swaps, Random(seed))
    assert sorted(result) == sorted(order)
    assert sum(first != second for first, second in zip(order, result, strict=True)) == 2 * min(swaps, 3)


def test_inserted_tokens_count_by_their_probability_now() -> None:
    """Probabilities 1, 0.5 and 0.001 of tokens that were put there."""
    current = [0.0, math.log(0.5), math.log(0.001)]
    assert token_weights(current, 1.0) == pytest.approx([1, 0.5, 0.1])
    assert token_weights(current, 1.0, lowest=0) == pytest.approx([1, 0.5, 0.001])


def test_a_negative_advantage_fades_out() -> None:
    assert token_weights([math.log(0.5), math.log(0.001)], -1.0) == pytest.approx([0.5, 0.001])


def test_sampled_tokens_count_by_their_ratio() -> None:
    now, then = [math.log(0.6), math.log(0.2), 0.0], [math.log(0.3), math.log(0.4), -1000.0]
    assert token_weights(now, 1.0, then, highest=1.2) == pytest.approx([1.2, 0.5, 1.2])


@pytest.mark.parametrize("options", [{"behaviour": [0.0]}, {"lowest": 2.0}])
def test_what_does_not_fit_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="do not fit"):
        token_weights([0.0, 0.0], 1.0, **options)
