"""Training a reward model on pairs of replies: a thin layer over trl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import Field

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import MissingError
from es_reasonrank.files import replacing
from es_reasonrank.validation import Checked
from trainer.reward_model.chains import Chain, Pair, pairs, split
from trainer.reward_model.model import FILE, Report, encoded, scored
from trainer.training import Lora


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
    seed: int = 0


def train(chains: Sequence[Chain], base: str, folder: Path, options: RewardTraining | None = None) -> Report:
    """Train a reward model on pairs of replies, and save it to a folder.

    Args:
        base: the model to begin with: a Hugging Face name, a folder, or embedded:NAME.

    Raises:
        InputError: there are too few pairs.
        MissingError: a package or the model is missing.
    """
    options = options or RewardTraining()
    learned, held_out = split(pairs(chains, margin=options.margin), options.held_out, seed=options.seed)
    trainer = _trainer(learned, resolve(base), folder, options)
    trainer.train()
    trainer.save_model(str(folder))
    report = Report(base, len(learned), len(held_out), _accuracy(trainer, held_out, options), options.longest)
    with replacing(folder / FILE) as file:
        json.dump(asdict(report), file)
    return report


def _trainer(learned: Sequence[Pair], model: str, folder: Path, options: RewardTraining) -> Any:
    """trl's trainer over pairs that are tokens already, so that they are read as `RewardModel.score` reads them."""
    try:
        quiet()
        import torch
        from datasets import Dataset
        from peft import LoraConfig
        from transformers import AutoTokenizer
        from trl import RewardConfig, RewardTrainer
    except ImportError as error:
        raise MissingError(f"training needs {error.name}; run: pip install 'es-reasonrank[train]'") from error
    tokenizer = AutoTokenizer.from_pretrained(model)
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    target = options.lora.target
    return RewardTrainer(
        model=model,
        args=RewardConfig(
            output_dir=str(folder / "checkpoints"),
            learning_rate=options.learning_rate,
            per_device_train_batch_size=options.batch,
            gradient_accumulation_steps=options.accumulate,
            num_train_epochs=options.epochs,
            max_steps=options.steps or -1,
            max_length=options.longest,
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
            seed=options.seed,
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
