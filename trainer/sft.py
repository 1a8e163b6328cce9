"""SFT: the model learns to say what the teacher said, by trl's SFTTrainer.

Source: ReasonRank (2508.07050, section 4.2): the loss is on the chain and the answer alone. Variants are the profile's:
a judge without thinking learns the answer alone; `variants` teaches one model several modes, as TFRank (2508.09539)
trains with chains and grades without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from es_reasonrank.files import replacing_folder
from es_reasonrank.rerank.profile import Profile
from trainer import list_training, memory
from trainer.asking import Questions
from trainer.examples import Lesson, Lessons, lessons
from trainer.lists import TrainingList, read_lists
from trainer.losses.ranknet import WEIGHT
from trainer.stages import Made, Work
from trainer.training import Training, base_of, callbacks, silence, tokenizer_of, train, trainable


class Options(Training):
    """How the lists are learned."""

    loss: list_training.Loss = Field("reply", description="What is learned: the reply, or a whole list's scores.")
    ranking_weight: float = Field(
        WEIGHT, gt=0, description="first: weight of RankNet beside the language model's loss."
    )
    accumulate: int = Field(8, ge=1, description="Passes in one step of the optimizer.")
    epochs: float = Field(5.0, gt=0, description="Passes over the lists.")
    max_tokens: int = Field(4096, ge=16, description="Tokens of a question and its reply; longer lists are left out.")
    packing: bool = Field(False, description="Whether short sequences share a row; wants flash attention.")
    neftune: float | None = Field(None, gt=0, description="Noise on embeddings (FIRST, 2406.15657: 5).")
    variants: tuple[dict[str, Any], ...] = Field(
        ({},), min_length=1, description="Changes to the profile's judge; each list is taught once for each of them."
    )


def training(options: Options, profile: Profile) -> memory.Training:
    """What it holds in memory."""
    return options.held(options.max_tokens)


def run(work: Work, options: Options) -> Made:
    """Train on the lists, and save the adapter, or the model where all weights are trained.

    Raises:
        MissingError: the lists, the model or a package are not there.
        InputError: not one list can be learned from.
        SettingsError: the loss is none for the judge.
    """
    silence()
    list_training.check(options.loss, work.profile.judge["name"])
    taught = _taught(work, options, list(read_lists(work.need("lists", "synthesize"))))
    work.say(f"{len(taught.kept)} lists to learn from, {len(taught.dropped)} left out")
    make = _by_reply if options.loss == "reply" else _by_list
    trainer = make(work, options, taught.kept)
    train(trainer, work, base_of(work))
    return saved(
        trainer, work, options, {"lists": len(taught.kept), "dropped": dict(Counter(why for _, why in taught.dropped))}
    )


def _by_reply(work: Work, options: Options, taught: Sequence[Lesson]) -> Any:
    """A trainer on the tokens of the replies."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    examples = [example for lesson in taught for example in lesson.examples]
    return SFTTrainer(
        model=trainable(work, options),
        args=SFTConfig(
            **options.arguments(work),
            gradient_accumulation_steps=options.accumulate,
            num_train_epochs=options.epochs,
            max_length=options.max_tokens,
            packing=options.packing,
            neftune_noise_alpha=options.neftune,
        ),
        train_dataset=Dataset.from_list([{"input_ids": each.tokens, "labels": each.labels} for each in examples]),
        processing_class=tokenizer_of(work),
        callbacks=callbacks(work, options),
    )


def _by_list(work: Work, options: Options, taught: Sequence[Lesson]) -> Any:
    """A trainer on whole lists."""
    from datasets import Dataset
    from transformers import TrainingArguments

    tokenizer = tokenizer_of(work)
    return list_training.list_trainer(
        options.loss,
        work.profile.judge["name"],
        options.ranking_weight,
        tokenizer.pad_token_id,
        model=trainable(work, options),
        args=TrainingArguments(
            **options.arguments(work),
            gradient_accumulation_steps=options.accumulate,
            num_train_epochs=options.epochs,
            neftune_noise_alpha=options.neftune,
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list(list_training.rows_of(taught)),
        processing_class=tokenizer,
        callbacks=callbacks(work, options),
    )


def saved(trainer: Any, work: Work, options: Training, numbers: Mapping[str, Any]) -> Made:
    """What was trained, in the stage's folder.

    Args:
        numbers: for the manifest; steps and losses are added.
    """
    name = "model" if options.lora is None else "adapter"
    folder = work.folder / name
    with replacing_folder(folder) as draft:
        trainer.save_model(str(draft))
    history = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    ends = {"first_loss": history[0], "last_loss": history[-1]} if history else {}
    return Made({name: folder}, {**numbers, "steps": trainer.state.global_step, **ends})


def _taught(work: Work, options: Options, lists: Sequence[TrainingList]) -> Lessons:
    """Every list in every mode."""
    kept: list[Lesson] = []
    dropped: list[tuple[TrainingList, str]] = []
    for changes in options.variants:
        profile = _changed(work.profile, changes)
        found = lessons(questions_of(work, profile), lists, most=options.max_tokens)
        kept += found.kept
        dropped += found.dropped
    return Lessons(kept, dropped)


def questions_of(work: Work, profile: Profile) -> Questions:
    """The profile's questions, fitted to the context that the profile is served with."""
    from transformers import AutoConfig

    path = base_of(work)
    context = profile.engine.get("context") or AutoConfig.from_pretrained(path).max_position_embeddings
    return Questions(profile, path, int(context))


def _changed(profile: Profile, changes: dict[str, Any]) -> Profile:
    return profile.model_copy(update={"judge": {**profile.judge, **changes}})
