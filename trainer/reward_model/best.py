"""Best of n: a judge that is asked several times, and the reward model says which of its replies counts.

Source: self-motivated learning (2404.07017): what the model learned of its own outcomes chooses among its chains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from es_reasonrank.engines.base import Capability
from es_reasonrank.engines.embedded import resolve
from es_reasonrank.errors import SettingsError
from es_reasonrank.rerank.loading import load_engine, load_ranker
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.rerank.session import Asking
from es_reasonrank.types import Candidate, Verdict
from trainer.asking import Questions
from trainer.reward_model.model import RewardModel


class BestOf:
    """Asks several judges, which differ in what they draw, and gives the verdict whose reply scores highest.

    Args:
        questions: the judge's, for the prompt that the reward model is shown.
    """

    def __init__(self, samples: Sequence[Asking], questions: Questions, model: RewardModel) -> None:
        self._samples = samples
        self._questions = questions
        self._model = model
        self._lock = asyncio.Lock()
        """Questions, and the reward model, serve one window at a time."""

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        """The best verdict that names an order, else the first; it has the tokens of all."""
        verdicts = await asyncio.gather(*(sample.judge(query, passages) for sample in self._samples))
        usable = [verdict for verdict in verdicts if verdict.outcome.ranks]
        best = verdicts[0]
        if usable:
            scores = await self._scores(query, passages, [verdict.reply for verdict in usable])
            best = usable[max(range(len(usable)), key=lambda place: scores[place])]
        return replace(
            best,
            prompt_tokens=sum(verdict.prompt_tokens for verdict in verdicts),
            generated_tokens=sum(verdict.generated_tokens for verdict in verdicts),
            attempts=sum(verdict.attempts for verdict in verdicts),
        )

    async def _scores(self, query: str, passages: Sequence[Candidate], replies: Sequence[str]) -> list[float]:
        async with self._lock:
            asked = await self._questions.about(query, passages)
            prompt = self._questions.tokenizer.rendered(asked[0].request)
            begun = asked[0].request.prefix
            texts = [reply.removeprefix(begun) for reply in replies]
            return await asyncio.to_thread(self._model.score, [prompt] * len(texts), texts)


def best_of(profile: Profile, model: RewardModel, n: int, *, seed: int, temperature: float = 1.0) -> Reranker:
    """The profile's ranker, each of its windows asked `n` times.

    Args:
        temperature: how freely replies are drawn; by default as RL and the reward model's training draw them.

    Raises:
        SettingsError: its judge draws no replies.
    """
    engine = load_engine(profile)
    ranker = load_ranker(profile, engine)
    if Capability.TEXT not in ranker.judge.needs or "sampling" not in type(ranker.judge.options).model_fields:
        raise SettingsError(f"profile {profile.name}: judge {profile.judge['name']!r} draws no replies to choose from")
    samples = [load_ranker(_drawing(profile, temperature, seed + number), engine).asking for number in range(n)]
    context = profile.engine.get("context") or _context(str(profile.engine["model"]))
    questions = Questions(profile, str(profile.engine["model"]), int(context))
    return Reranker(profile, replace(ranker, asking=BestOf(samples, questions, model)))


def _drawing(profile: Profile, temperature: float, seed: int) -> Profile:
    sampling = {**(profile.judge.get("sampling") or {}), "temperature": temperature, "seed": seed}
    return profile.model_copy(update={"judge": {**profile.judge, "sampling": sampling}})


def _context(model: str) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(resolve(model)).max_position_embeddings
