"""SFT: the model learns to say what the teacher said, by trl's SFTTrainer.

Source: ReasonRank (2508.07050, section 4.2): the loss is on the chain and the answer alone. Variants are the profile's:
a judge without thinking learns the answer alone; `variants` teaches one model several modes, as TFRank (2508.09539)
trains with chains and grades without.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from es_reasonrank.engines.tokens import quiet
from es_reasonrank.rerank.profile import Profile
from trainer.asking import Questions
from trainer.examples import Lesson, Lessons, lessons
from trainer.lists import TrainingList, read_lists
from trainer.stages import Made, Work
from trainer.training import Training, base_of, last_checkpoint, teller, trainable


class Options(Training):
    """How the lists are learned."""

    epochs: float = Field(5.0, gt=0, description="Passes over the lists.")
    max_tokens: int = Field(4096, ge=16, description="Tokens of a question and its reply; longer lists are left out.")
    packing: bool = Field(False, description="Whether short sequences share a row; wants flash attention.")
    neftune: float | None = Field(None, gt=0, description="Noise on embeddings (FIRST, 2406.15657: 5).")
    variants: tuple[dict[str, Any], ...] = Field(
        ({},), min_length=1, description="Changes to the profile's judge; each list is taught once for each of them."
    )


def run(work: Work, options: Options) -> Made:
    """Train on the lists, and save the adapter, or the model where all weights are trained.

    Raises:
        MissingError: the lists, the model or a package are not there.
        InputError: not one list can be learned from.
    """
    quiet()
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    lists = list(read_lists(work.need("lists", "synthesize")))
    taught = _taught(work, options, lists)
    rows = [
        {"input_ids": example.tokens, "labels": example.labels} for lesson in taught.kept for example in lesson.examples
    ]
    work.say(f"{len(rows)} examples of {len(taught.kept)} lessons; {len(taught.dropped)} lists left out")
    model = trainable(work, options)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **options.arguments(work),
            num_train_epochs=options.epochs,
            max_length=options.max_tokens,
            packing=options.packing,
            neftune_noise_alpha=options.neftune,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=_tokenizer(work),
        callbacks=[teller(work)],
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(work, base_of(work)))
    return saved(trainer, work, options, taught)


def saved(trainer: Any, work: Work, options: Training, taught: Lessons) -> Made:
    """What was trained, in the stage's folder."""
    name = "model" if options.lora is None else "adapter"
    folder = work.folder / name
    draft = work.folder / f"{name}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    trainer.save_model(str(draft))
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    history = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    numbers = {
        "lists": len(taught.kept),
        "dropped": dict(Counter(why for _, why in taught.dropped)),
        "steps": trainer.state.global_step,
        "first_loss": history[0] if history else None,
        "last_loss": history[-1] if history else None,
    }
    return Made({name: folder}, numbers)


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


def _tokenizer(work: Work) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_of(work))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
