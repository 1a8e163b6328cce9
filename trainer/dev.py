"""Measuring while training: the model as it stands ranks dev sets as it will be served; training does not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pydantic import Field

from es_reasonrank.batch.outcomes import final
from es_reasonrank.batch.runs import Task
from es_reasonrank.engines.local import Loaded
from es_reasonrank.engines.tokens import ChatTokenizer
from es_reasonrank.engines.transformers import TransformersEngine, TransformersOptions
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.evaluation.runs import Qrels
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import EngineSettings
from es_reasonrank.validation import Checked, checked
from trainer.fusing import NDCG
from trainer.sets import Set
from trainer.stages import Work

if TYPE_CHECKING:
    from transformers import TrainerCallback

METRIC = "dev_ndcg@10"
"""The mean over the queries of all sets; where there are several, each has its own under "dev_ndcg@10/NAME"."""

Served = Callable[[Any], AbstractContextManager[Reranker]]
"""Makes the ranker that the model in memory is served as, for as long as it ranks."""


class Dev(Checked):
    """Sets that are ranked while a model is trained."""

    sets: tuple[Set, ...] = Field(min_length=1, description="Dev sets, as evaluate has them; a few queries do.")
    every: int = Field(50, ge=1, description="Steps from one time to the next; after the last step it is done too.")


def as_language_model(profile: Profile, base: str, *, autocast: bool) -> Served:
    """How a profile serves a language model that is in memory: by transformers, whatever the profile's own engine.

    Args:
        base: the folder or name of the model, which its tokenizer comes from.
        autocast: whether its float32 weights are multiplied in bfloat16.
    """
    engine = profile.served_by(EngineSettings(name="transformers", model=base)).engine
    values = {key: value for key, value in engine.items() if key != "name"}
    options = checked(TransformersOptions, values, where=f"profile {profile.name}, engine transformers")
    options = options.model_copy(update={"autocast": options.autocast or autocast})
    tokenizer = ChatTokenizer(base)

    @contextmanager
    def served(model: Any) -> Iterator[Reranker]:
        context = options.context or model.config.max_position_embeddings
        loaded = Loaded(model, tokenizer, context, identity=f"{base} in training")
        yield Reranker.load(profile, engine=TransformersEngine(options, loaded))

    return served


def measurer(work: Work, dev: Dev, served: Served) -> TrainerCallback:
    """A callback that ranks the sets now and then, and logs how well.

    That happens before the step's checkpoint is saved, so that a stage which goes on from there has its values.

    Raises:
        DataError: a set's file is wrong.
    """
    from transformers import TrainerCallback

    sets = {one.name: one.load() for one in dev.sets}

    class Measurer(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            if state.global_step % dev.every and not control.should_training_stop:
                return
            with untouched(model), served(model) as reranker:
                values = asyncio.run(_measured(reranker, sets))
            work.say(f"step {state.global_step}: dev {NDCG} {values[METRIC]:.4f}")
            work.log(state.global_step, state.max_steps, **values)

    return Measurer()


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Use a model that is being trained, without dropout; its modes and torch's random numbers are as before, after."""
    import torch

    trained = [module for module in model.modules() if module.training]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        model.eval()
        try:
            yield
        finally:
            for module in trained:
                module.training = True


async def _measured(reranker: Reranker, sets: Mapping[str, tuple[Sequence[Task], Qrels]]) -> dict[str, float]:
    """The metric's values by name.

    Raises:
        EngineError: the model failed.
    """
    found: dict[str, list[float]] = {}
    async with reranker:
        for name, (todo, qrels) in sets.items():
            orders: dict[str, list[str]] = {}
            async for number, ranking in reranker.arank_many((task.query, task.candidates) for task in todo):
                orders[todo[number].id] = [candidate.id for candidate in final(ranking)]
            found[name] = list(measure(qrels, by_place(orders), [NDCG]).by_query[NDCG].values())
    each = {f"{METRIC}/{name}": fmean(values) for name, values in found.items()} if len(found) > 1 else {}
    return {METRIC: fmean(value for values in found.values() for value in values), **each}
