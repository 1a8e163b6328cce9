"""RL: the model is rewarded for how well what it says ranks, by trl's GRPOTrainer.

Source: GRPO (2402.03300) as ReasonRank (2508.07050, section 4.3 and its released scripts) runs it: 8 roll-outs a
prompt, advantages normalised by their group, clipped ratios, a loss averaged over tokens, and a penalty of 0.001 on the
distance from the policy that RL begins with.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from es_reasonrank.errors import InputError, SettingsError
from es_reasonrank.rerank.profile import Profile
from trainer import memory
from trainer.asking import Questions
from trainer.grpo import Choosing, Mutator, grpo
from trainer.lists import TrainingList, read_lists
from trainer.mutation import MutationOptions
from trainer.reward_model.model import AuxiliaryReward
from trainer.rewards import load_reward
from trainer.rewards.reading import Reader
from trainer.rewards.trl_reward import TrlReward
from trainer.sft import questions_of, saved
from trainer.stages import Made, Work
from trainer.training import Training, base_of, callbacks, silence, tokenizer_of, train, trainable


class Options(Training):
    """How roll-outs are drawn, rewarded and learned from."""

    reward: dict[str, Any] = Field({"name": "reasonrank"}, description="The reward: its name and its options.")
    auxiliary: float | None = Field(
        None, gt=0, description="Weight of the reward model's score, 0 to 1, beside the reward; wants stage reward."
    )
    rollouts: int = Field(8, ge=2, description="Roll-outs of a prompt.")
    prompts: int = Field(16, ge=1, description="Prompts whose roll-outs are drawn together.")
    updates: int = Field(2, ge=1, description="Steps of the optimizer on them.")
    max_prompt: int = Field(4096, ge=16, description="Tokens of a prompt; lists with a longer one are left out.")
    max_reply: int = Field(1024, ge=1, description="Tokens that a roll-out may take.")
    temperature: float = Field(1.0, gt=0, description="How freely roll-outs are drawn.")
    top_p: float = Field(1.0, gt=0, le=1, description="Likeliest tokens that together have this probability.")
    kl: float = Field(0.001, ge=0, description="Weight of the distance from the policy that RL begins with.")
    clip: float = Field(0.2, gt=0, description="How far a token's probability may move and still be learned from.")
    epochs: float = Field(1.0, gt=0, description="Passes over the lists.")
    choosing: Choosing = Field(Choosing(), description="Which roll-outs are trained on.")
    mutation: MutationOptions | None = Field(None, description="What groups get whose rewards do not vary.")
    vllm: Literal["off", "colocate", "server"] = Field("off", description="Whether vLLM draws the roll-outs.")
    vllm_url: str | None = Field(None, description="server: where it is.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        drawn = self.prompts * self.rollouts
        if drawn % (self.batch * self.updates):
            raise ValueError(
                f"prompts * rollouts ({drawn}) must be a multiple of batch * updates ({self.batch * self.updates})"
            )
        return self


def training(options: Options, profile: Profile) -> memory.Training:
    """What it holds in memory."""
    drawn = options.prompts * options.rollouts if options.vllm == "off" else 0
    length = options.max_prompt + options.max_reply
    return replace(options.held(length), reference=options.kl > 0, generated=drawn * length)


def run(work: Work, options: Options) -> Made:
    """Train on the lists' windows, and save the adapter, or the model where all weights are trained.

    Raises:
        MissingError: the lists, the model or a package are not there.
        InputError: not one list fits.
        SettingsError: the reward is none for the judge's question.
    """
    silence()
    questions = questions_of(work, work.profile)
    reader = Reader.of(questions.options)
    reward_options = {key: value for key, value in options.reward.items() if key != "name"}
    reward = load_reward(str(options.reward.get("name", "")), reward_options, reader)
    tokenizer = tokenizer_of(work)
    shown = asyncio.run(windows(questions, list(read_lists(work.need("lists", "synthesize"))), options.max_prompt))
    work.say(f"{len(shown.rows)} windows to learn from, {len(shown.dropped)} lists left out")
    called = TrlReward(reward, ends=(tokenizer.eos_token_id, tokenizer.pad_token_id))
    mutator = None
    if options.mutation is not None:
        mutator = Mutator(options.mutation, called, shown.rows, reader, tokenizer, work.seed)
    trainer = grpo(
        model=trainable(work, options),
        rewards={called: 1.0, **_auxiliary(work, options)},
        arguments=_arguments(work, options),
        rows=shown.rows,
        tokenizer=tokenizer,
        callbacks=callbacks(work, options),
        choosing=options.choosing,
        mutator=mutator,
        seed=work.seed,
    )
    train(trainer, work, base_of(work))
    return saved(trainer, work, options, {"windows": len(shown.rows), "dropped": dict(Counter(shown.dropped.values()))})


def _auxiliary(work: Work, options: Options) -> dict[Callable[..., list[float]], float]:
    """The reward model with its weight, where there is one."""
    if options.auxiliary is None:
        return {}
    return {AuxiliaryReward(work.need("reward_model", "reward")): options.auxiliary}


@dataclass(frozen=True)
class Windows:
    """The rows of a dataset, and why lists are not among them, by id."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)


async def windows(questions: Questions, lists: Sequence[TrainingList], most: int) -> Windows:
    """What the judge asks about each list, with what is known of its window.

    Args:
        most: tokens that a prompt may have.

    Raises:
        InputError: not one list fits.
    """
    found = Windows()
    for one in lists:
        try:
            asked = await questions.about(one.query, [passage.candidate for passage in one.passages])
        except InputError as error:
            if isinstance(error, SettingsError):
                raise
            found.dropped[one.qid] = str(error)
            continue
        prompts = [questions.tokenizer.rendered(each.request) for each in asked]
        longest = max(len(questions.tokenizer.encode(each.request)) for each in asked)
        if longest > most:
            found.dropped[one.qid] = f"{longest} tokens, more than {most}"
            continue
        found.rows.extend(_rows(one, prompts))
    if not found.rows:
        raise InputError(f"no list can be learned from: {next(iter(found.dropped.values()), 'there are none')}")
    return found


def _rows(one: TrainingList, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """A row for the window, or one for each passage."""
    if len(prompts) == 1:
        known: Mapping[str, Any] = {"grades": list(one.grades), "order": list(one.places), "reasoning": one.reasoning}
        return [{"prompt": prompts[0], "qid": one.qid, **known}]
    return [
        {"prompt": prompt, "qid": one.qid, "grades": [grade], "order": [], "reasoning": ""}
        for prompt, grade in zip(prompts, one.grades, strict=True)
    ]


def _arguments(work: Work, options: Options) -> dict[str, Any]:
    """The same as trl's GRPOConfig has it."""
    passes = options.prompts * options.rollouts // options.batch
    served: dict[str, Any] = {"vllm_mode": options.vllm} if options.vllm != "off" else {}
    if options.vllm_url:
        served["vllm_server_base_url"] = options.vllm_url
    return {
        **options.arguments(work),
        "gradient_accumulation_steps": passes // options.updates,
        "steps_per_generation": passes,
        "num_train_epochs": options.epochs,
        "num_generations": options.rollouts,
        "max_completion_length": options.max_reply,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "beta": options.kl,
        "epsilon": options.clip,
        "loss_type": "dapo",
        "use_vllm": options.vllm != "off",
        **served,
    }
