"""Training a reward model on pairs of replies: a thin layer over trl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from pydantic import Field

from es_reasonrank.files import replacing_folder
from es_reasonrank.validation import Checked
from trainer import training
from trainer.reward_model.chains import Chain, Pair, pairs, split
from trainer.reward_model.model import FILE, Report, encoded, scored
from trainer.stages import Work
from trainer.training import Lora, base_of, bookkeeping, silence, teller

FOLDER = "reward_model"
"""Of a stage's folder, the part that holds the model."""


class RewardTraining(Checked):
    """How a reward model is trained."""

    margin: float = Field(0.05, ge=0, description="Two replies are a pair where their outcomes differ by more.")
    held_out: float = Field(0.1, gt=0, lt=1, description="Share of the windows whose pairs are measured, not learned.")
    lora: Lora = Field(Lora(rank=16), description="Adapters; the head is trained beside them.")
    learning_rate: float = Field(1e-4, gt=0, description="Highest learning rate, falling to 0.")
    batch: int = Field(4, ge=1, description="Pairs in one pass.")
    accumulate: int = Field(4, ge=1, description="Passes in one step of the optimizer.")
    epochs: float = Field(1.0, gt=0, description="Passes over the pairs.")
    steps: int | None = Field(None, ge=1, description="Steps at most.")
    longest: int = Field(4096, ge=16, description="Tokens of prompt and reply; of longer ones the end is read.")
    save_every: int = Field(50, ge=1, description="Steps between checkpoints: what a kill can cost.")


def train(work: Work, chains: Sequence[Chain], options: RewardTraining) -> Report:
    """Train a reward model on pairs of replies, from the run's model on, and save it in the stage's folder `FOLDER`.

    Raises:
        InputError: there are too few pairs.
        MissingError: a package or the model is missing.
    """
    learned, held_out = divided(chains, options, work.seed)
    base, folder = base_of(work), work.folder / FOLDER
    trainer = _trainer(learned, base, work, options)
    training.train(trainer, work, base)
    report = Report(base, len(learned), len(held_out), _accuracy(trainer, held_out, options), options.longest)
    with replacing_folder(folder) as draft:
        trainer.save_model(str(draft))
        (draft / FILE).write_text(json.dumps(asdict(report)), encoding="utf-8")
    return report


def divided(chains: Sequence[Chain], options: RewardTraining, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from, and pairs to measure on.

    Raises:
        InputError: there are too few.
    """
    return split(pairs(chains, margin=options.margin), options.held_out, seed=seed)


def _trainer(learned: Sequence[Pair], model: str, work: Work, options: RewardTraining) -> Any:
    """trl's trainer over pairs that are tokens already, so that they are read as `RewardModel.score` reads them."""
    silence()
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    target = options.lora.target
    return RewardTrainer(
        model=model,
        args=RewardConfig(
            **bookkeeping(work, options.save_every),
            learning_rate=options.learning_rate,
            per_device_train_batch_size=options.batch,
            gradient_accumulation_steps=options.accumulate,
            num_train_epochs=options.epochs,
            max_steps=options.steps or -1,
            max_length=options.longest,
            bf16=bf16,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list([_tokens(tokenizer, pair, options.longest) for pair in learned]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type="SEQ_CLS",
            r=options.lora.rank,
            lora_alpha=options.lora.alpha,
            lora_dropout=options.lora.dropout,
            target_modules=target if isinstance(target, str) else list(target),
            modules_to_save=["score"],
        ),
        callbacks=[teller(work)],
    )


def _tokens(tokenizer: Any, pair: Pair, longest: int) -> dict[str, list[int]]:
    return {
        "chosen_ids": encoded(tokenizer, pair.prompt, pair.chosen, longest),
        "rejected_ids": encoded(tokenizer, pair.prompt, pair.rejected, longest),
    }


def _accuracy(trainer: Any, held_out: Sequence[Pair], options: RewardTraining) -> float:
    rows = [_tokens(trainer.processing_class, pair, options.longest) for pair in held_out]
    model = trainer.model.eval()
    chosen, rejected = (scored(model, [row[side] for row in rows], 2 * options.batch) for side in rows[0])
    return fmean(float(better > worse) for better, worse in zip(chosen, rejected, strict=True))
