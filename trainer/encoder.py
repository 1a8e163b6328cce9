"""The small ranker: a bi-encoder learns to tell positives from hard negatives, by sentence-transformers' own trainer.

Source: in-batch negatives with hard ones beside them (Karpukhin et al., 2004.04906), as MultipleNegativesRankingLoss
has it: cross-entropy over scaled cosines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from pydantic import Field

from es_reasonrank.engines.embedded import resolve, with_adapter
from es_reasonrank.engines.sentence_transformers import SentenceTransformersEngine, SentenceTransformersOptions
from es_reasonrank.errors import InputError
from es_reasonrank.files import replacing_folder
from es_reasonrank.rerank.judges.encoder import EncoderOptions, shown
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.text import whole
from es_reasonrank.validation import Checked
from trainer.dev import Dev, Served, measurer
from trainer.lists import TrainingList, read_lists
from trainer.stages import Made, Work
from trainer.training import Lora, bookkeeping, silence, teller, train


class Options(Checked):
    """Which encoder, and how it learns."""

    model: str = Field("embedded:minilm-l6", description="Bi-encoder: Hugging Face name, folder or embedded:NAME.")
    name: str = Field("encoder", pattern=r"[a-z0-9][a-z0-9._+-]*", description="Name in reports.")
    lora: Lora | None = Field(None, description="Adapters; null trains all weights.")
    negatives: int = Field(4, ge=1, description="Hard negatives beside each positive.")
    title: bool = Field(True, description="Whether a passage's title stands in front of its text.")
    max_tokens: int = Field(256, ge=8, description="Tokens of a text that are read while it trains.")
    scale: float = Field(20.0, gt=0, description="Factor of the cosines: 1 / temperature.")
    learning_rate: float = Field(2e-5, gt=0, description="Highest learning rate; it falls linearly.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which it rises.")
    epochs: float = Field(1.0, gt=0, description="Passes over the pairs.")
    batch: int = Field(32, ge=2, description="Pairs of a step; each one's positive is a negative of the others.")
    mixed: bool = Field(False, description="Whether float32 weights are multiplied in bfloat16.")
    steps: int | None = Field(None, ge=1, description="Steps at most.")
    save_every: int = Field(100, ge=1, description="Steps between checkpoints: what a kill can cost.")
    dev: Dev | None = Field(None, description="Sets that are ranked while it trains; null: none.")


def run(work: Work, options: Options) -> Made:
    """Train the encoder on the lists' positives and negatives.

    Raises:
        MissingError: the lists or the model are not there.
        InputError: no list has both a positive and a negative.
    """
    silence()
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    rows = list(pairs(read_lists(work.need("lists", "synthesize")), options, Random(work.seed)))
    if not rows:
        raise InputError("no list has both a relevant passage and another one; nothing can be told apart")
    work.say(f"{len(rows)} pairs of query and positive, each with {options.negatives} negatives")
    base = resolve(options.model)
    model = SentenceTransformer(base)
    limit, model.max_seq_length = model.max_seq_length, options.max_tokens
    if options.lora is not None:
        model.add_adapter(options.lora.config("FEATURE_EXTRACTION"))
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            **bookkeeping(work, options.save_every),
            learning_rate=options.learning_rate,
            warmup_steps=options.warmup,
            num_train_epochs=options.epochs,
            max_steps=options.steps or -1,
            bf16=options.mixed,
            per_device_train_batch_size=options.batch,
        ),
        train_dataset=Dataset.from_list(rows),
        loss=MultipleNegativesRankingLoss(model, scale=options.scale),
        callbacks=[teller(work), *([measurer(work, options.dev, _served(options, limit))] if options.dev else [])],
    )
    train(trainer, work, base)
    model.max_seq_length = limit
    made = {f"encoder.{options.name}": work.folder / "encoder"}
    if options.lora is not None:
        adapter = made[f"adapter.{options.name}"] = work.folder / "adapter"
        with replacing_folder(adapter) as draft:
            model[0].auto_model.save_pretrained(str(draft))
        model = with_adapter(base, adapter)
    with replacing_folder(work.folder / "encoder") as draft:
        model.save_pretrained(str(draft))
    return Made(made, {"pairs": len(rows), "steps": trainer.state.global_step})


def _served(options: Options, limit: int | None) -> Served:
    """How the encoder is served while it is in memory.

    Args:
        limit: tokens of a text that it reads then.
    """
    profile = load_profile("encoder")
    profile = profile.model_copy(update={"judge": {**profile.judge, "title": options.title}})
    engine = SentenceTransformersOptions(model=options.model)

    @contextmanager
    def served(model: Any) -> Iterator[Reranker]:
        model.max_seq_length = limit
        try:
            yield Reranker.load(profile, engine=SentenceTransformersEngine(engine, model))
        finally:
            model.max_seq_length = options.max_tokens

    return served


def pairs(lists: Iterable[TrainingList], options: Options, random: Random) -> Iterable[dict[str, Any]]:
    """Each query with each of its positives and some negatives, as serving shows them to the encoder.

    A list with fewer negatives gives some of them again.
    """
    form = EncoderOptions(title=options.title)
    for one in lists:
        texts = [shown(passage.candidate, form) for passage in one.passages]
        grades = one.grades
        negatives = [text for text, grade in zip(texts, grades, strict=True) if grade == 0]
        if not negatives:
            continue
        for text, grade in zip(texts, grades, strict=True):
            if grade > 0:
                shuffled = random.sample(negatives, len(negatives))
                chosen = [shuffled[number % len(shuffled)] for number in range(options.negatives)]
                hard = {f"negative_{number}": negative for number, negative in enumerate(chosen)}
                yield {"query": whole(one.query), "positive": text, **hard}
