"""Which roll-outs GRPO is given: chosen by their advantages, and inserted where a group would teach nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from es_reasonrank.rerank.profile import load_profile
from trainer.asking import Questions
from trainer.grpo import Choosing, Mutator, _picked
from trainer.mutation import MutationOptions
from trainer.rewards import load_reward
from trainer.rewards.reading import Reader
from trainer.rewards.trl_reward import TrlReward
from trainer.rl import Options

ADVANTAGES = [1.5, -0.5, -0.5, -0.5, 0.1, 0.0, -0.1, 0.0]
"""Two groups of four roll-outs; the first one's ends are farther apart."""


def test_all_roll_outs_are_trained_on_by_default() -> None:
    assert Choosing().chosen(ADVANTAGES, 4, Random(7)) == list(range(8))


def test_pairs_of_high_contrast_are_kept_of_each_group() -> None:
    assert Choosing(pairwise=0.5).chosen(ADVANTAGES, 4, Random(7)) == [0, 3, 4, 6]


def test_a_shuffled_batch_has_its_size_and_its_strong_pairs_more_often() -> None:
    drawn = [Choosing(pairwise=0.5, shuffle=2).chosen(ADVANTAGES, 4, Random(seed)) for seed in range(200)]
    assert {len(numbers) for numbers in drawn} == {4}
    assert sum(numbers.count(0) for numbers in drawn) > 3 * sum(numbers.count(4) for numbers in drawn)


def test_a_batch_of_chosen_roll_outs_counts_their_tokens() -> None:
    import torch

    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    batch = {
        "advantages": torch.tensor([0.0, 1.0, -1.0]),
        "completion_mask": mask,
        "completion_ids": torch.arange(9).view(3, 3),
        "num_items_in_batch": mask.sum(),
    }
    picked = _picked(batch, [1, 2, 1])
    assert picked["advantages"].tolist() == [1.0, -1.0, 1.0]
    assert picked["completion_ids"].tolist() == [[3, 4, 5], [6, 7, 8], [3, 4, 5]]
    assert int(picked["num_items_in_batch"]) == 4
    assert _picked(batch, [0, 1, 2]) is batch


@pytest.fixture(scope="module")
def questions() -> Questions:
    profile = load_profile("embedded").assigned(["judge={name: listwise, template: listwise, thinking: false}"])
    return Questions(profile, "embedded:smollm2-135m", 2048)


def mutator(questions: Questions, **options: Any) -> Mutator:
    reader = Reader.of(questions.options)
    row = {"prompt": "p", "qid": "1", "grades": [0, 1, 0], "order": [1, 0, 2], "reasoning": ""}
    reward = TrlReward(load_reward("reasonrank", {}, reader))
    return Mutator(MutationOptions(**options), reward, [row], reader, questions.tokenizer.inner, 7)


def test_a_group_without_a_difference_gets_the_answer_and_a_spoilt_copy(questions: Questions) -> None:
    tokens, texts, inserted = mutator(questions)(["p"] * 4, [[1, 2]] * 4, ["no"] * 4, 4)
    assert len(inserted) == 2
    said = [texts[place] for place in inserted]
    assert "[2] > [1] > [3]" in said
    assert [text for place, text in enumerate(texts) if place not in inserted] == ["no"] * 2
    end = questions.tokenizer.inner.eos_token_id
    for place in inserted:
        assert tokens[place][-1] == end
        assert questions.tokenizer.inner.decode(tokens[place][:-1]) == texts[place]


def test_a_group_that_differs_stays_as_it_is(questions: Questions) -> None:
    texts = ["[2] > [1] > [3]", "[1] > [2] > [3]", "no", "no"]
    tokens, said, inserted = mutator(questions)(["p"] * 4, [[1], [2], [3], [4]], texts, 4)
    assert (tokens, said, inserted) == ([[1], [2], [3], [4]], texts, ())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prompts": 3, "rollouts": 3, "batch": 2}, r"prompts \* rollouts \(9\) must be a multiple of"),
        ({"prompts": 2, "rollouts": 4, "batch": 8, "updates": 2}, r"must be a multiple of batch \* updates \(16\)"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values: dict[str, int], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Options(**values)
