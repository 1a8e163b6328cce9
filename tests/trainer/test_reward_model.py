"""The reward model: pairs of chains, the best of n, and one real training."""

from __future__ import annotations

import math
import pickle
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.errors import DataError, InputError
from es_reasonrank.rerank.profile import load_profile
from trainer.reward_model.chains import Chain, Pair, choose, pairs, split
from trainer.reward_model.model import AuxiliaryReward, Report, RewardModel, encoded
from trainer.reward_model.training import FOLDER, RewardTraining, train
from trainer.stages import Work
from trainer.training import Lora

BASE = "embedded:smollm2-135m"


def chains(outcomes: dict[str, list[float]]) -> list[Chain]:
    return [
        Chain(window, f"prompt of {window}", f"reply {number}", outcome)
        for window, values in outcomes.items()
        for number, outcome in enumerate(values)
    ]


def test_pairs_are_of_one_window_with_the_better_outcome_first() -> None:
    found = pairs(chains({"a": [0.2, 1.3, -1.0], "b": [0.5]}))
    assert found == [
        Pair("a", "prompt of a", "reply 0", "reply 2"),
        Pair("a", "prompt of a", "reply 1", "reply 0"),
        Pair("a", "prompt of a", "reply 1", "reply 2"),
    ]


def test_ties_and_what_is_within_the_margin_make_no_pair() -> None:
    assert pairs(chains({"a": [0.5, 0.5]}), margin=0) == []
    assert pairs(chains({"a": [0.5, 0.75]}), margin=0.25) == []
    assert len(pairs(chains({"a": [0.5, 0.75]}), margin=0.2)) == 1


def test_replies_to_different_prompts_of_a_window_make_no_pair() -> None:
    first, second = chains({"a": [0.0, 1.0]})
    assert pairs([first, replace(second, prompt="another")]) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1, 1.3)), max_size=12), st.floats(0, 0.5))
def test_a_pair_never_goes_against_the_outcomes(drawn: list[tuple[str, float]], margin: float) -> None:
    made = [Chain(window, window, str(number), outcome) for number, (window, outcome) in enumerate(drawn)]
    for pair in pairs(made, margin=margin):
        chosen, rejected = made[int(pair.chosen)], made[int(pair.rejected)]
        assert chosen.window == rejected.window == pair.window
        assert chosen.outcome - rejected.outcome > margin


def test_a_window_is_learned_from_or_measured_but_not_both() -> None:
    found = pairs(chains({str(number): [0.0, 0.5, 1.0] for number in range(10)}))
    learned, held_out = split(found, 0.3, seed=0)
    assert {pair.window for pair in learned}.isdisjoint(pair.window for pair in held_out)
    assert (len(learned), len(held_out)) == (7 * 3, 3 * 3)
    assert split(found, 0.3, seed=0) == (learned, held_out)
    assert split(found, 0.3, seed=1) != (learned, held_out)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_there_is_a_window_on_each_side(share: float) -> None:
    learned, held_out = split(pairs(chains({"a": [0, 1], "b": [0, 1]})), share, seed=0)
    assert len(learned) == len(held_out) == 1


def test_pairs_of_one_window_are_too_few() -> None:
    with pytest.raises(InputError, match="two windows or more"):
        split(pairs(chains({"a": [0, 1, 2]})), 0.5, seed=0)


def test_the_best_of_n_by_hand() -> None:
    """Of a the score picks .9, of b the worst: .1."""
    made = chains({"a": [0.3, 0.9], "b": [0.5, 0.7, 0.1]})
    assert astuple(choose(made, [0.0, 1.0, 2.0, 2.5, 3.0])) == pytest.approx((0.4, 0.5, 0.8))


def test_equal_scores_choose_the_first() -> None:
    chosen = choose(chains({"a": [0.3, 0.9]}), [1.0, 1.0])
    assert chosen.model == chosen.first == 0.3


def test_nothing_to_choose_from() -> None:
    with pytest.raises(InputError, match="no replies"):
        choose([], [])


def test_a_folder_without_a_reward_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"reward_model\.json: cannot be read"):
        RewardModel(tmp_path).score(["a"], ["b"])
    (tmp_path / "reward_model.json").write_text('{"base": "x"}')
    with pytest.raises(DataError, match="holds no reward model"):
        RewardModel(tmp_path).score(["a"], ["b"])


SAYS = ["[2] > [1] > [3]", "[1] > [3] > [2]", "[3] > [2] > [1]", "[2] > [3] > [1]"]
RAMBLES = ["I am not sure about that.", "Sorry, what was the question?", "They are all nice.", "Hm, maybe the first?"]


def replies(count: int) -> list[Chain]:
    """Windows with two replies that name an order, and two that do not."""
    made = []
    for number in range(count):
        prompt = f"<|im_start|>user\nRank passages [1] [2] [3] for query {number}.<|im_end|>\n<|im_start|>assistant\n"
        for turn in range(2):
            made.append(Chain(str(number), prompt, RAMBLES[(number + turn) % 4], 0.0))
            made.append(Chain(str(number), prompt, SAYS[(number + turn) % 4], 1.0))
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    work = Work(tmp_path_factory.mktemp("reward"), {}, BASE, load_profile("embedded"), 0)
    options = RewardTraining(
        lora=Lora(rank=8, alpha=16), learning_rate=1e-3, batch=4, accumulate=1, steps=6, held_out=0.25, longest=64
    )
    return work.folder / FOLDER, train(work, replies(16), options)


def test_a_few_steps_learn_what_is_plain_to_see(trained: tuple[Path, Report]) -> None:
    """Pairs of windows that were not learned from. What is saved scores as what was trained."""
    folder, report = trained
    assert (report.pairs, report.held_out_pairs) == (12 * 4, 4 * 4)
    assert report.held_out_accuracy > 0.8
    unseen = [replace(chain, prompt=chain.prompt.replace("query", "question")) for chain in replies(20)[64:]]
    scores = RewardModel(folder).score([chain.prompt for chain in unseen], [chain.completion for chain in unseen])
    assert choose(unseen, scores).model > choose(unseen, scores).first == 0.0
    assert RewardModel(folder).report == report


def test_a_score_does_not_depend_on_the_batch(trained: tuple[Path, Report]) -> None:
    model, some = RewardModel(trained[0]), replies(2)
    prompts, completions = [chain.prompt for chain in some], [chain.completion for chain in some]
    assert model.score(prompts, completions, batch=1) == pytest.approx(
        model.score(prompts, completions, batch=8), abs=1e-3
    )


def test_it_is_a_reward_for_trl(trained: tuple[Path, Report]) -> None:
    """A value from 0 to 1 a completion, of texts or of chats; it survives being sent to another process."""
    folder = trained[0]
    reward = pickle.loads(pickle.dumps(AuxiliaryReward(folder)))
    prompts = [chain.prompt for chain in replies(1)]
    completions = [chain.completion for chain in replies(1)]
    found = reward(prompts=prompts, completions=completions, completion_ids=[[1]] * 4, qid=["0"] * 4)
    scores = RewardModel(folder).score(prompts, completions)
    assert found == pytest.approx([1 / (1 + math.exp(-score)) for score in scores], abs=1e-3)
    assert reward.__name__ == "reward_model"


def test_a_chat_is_read_as_its_text_and_of_a_long_one_the_end() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve(BASE))
    chat = [{"role": "user", "content": "Rank these."}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    whole = encoded(tokenizer, text, "[2] > [1]", 512)
    assert encoded(tokenizer, chat, [{"role": "assistant", "content": "[2] > [1]"}], 512) == whole
    assert whole[-1] == tokenizer.eos_token_id
    assert encoded(tokenizer, text, "[2] > [1]", 5) == whole[-5:]
