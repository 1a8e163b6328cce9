"""The reward model: the model's own replies to the lists, ordered by what they are worth, teach a model of rewards.

Source: self-motivated learning (2404.07017). Replies are drawn from the run's model through the engine that serves it,
to the very prompts that RL asks; one of the pure rewards says what each is worth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from pydantic import Field

from es_reasonrank.batch.journal import Journal
from es_reasonrank.engines.base import Completion, Finish, Request, Sampling, TextEngine
from es_reasonrank.errors import InputError, PartialError, ReasonRankError, SettingsError
from es_reasonrank.evaluation.provenance import fingerprint
from es_reasonrank.rerank.judges.thinking import CLOSE
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.profile import Profile
from trainer import memory
from trainer.asking import Questions
from trainer.lists import TrainingList, read_lists
from trainer.reward_model.chains import Chain, choose
from trainer.reward_model.model import RewardModel
from trainer.reward_model.training import FOLDER, RewardTraining, divided, train
from trainer.rewards import load_reward
from trainer.rewards.base import Gold, WindowReward
from trainer.rewards.reading import OPEN, Reader
from trainer.serving import served
from trainer.sft import questions_of
from trainer.stages import Made, Work


class Options(RewardTraining):
    """How replies are drawn and rewarded, and how the model is trained on them."""

    reward: dict[str, Any] = Field({"name": "reasonrank"}, description="What a reply is worth: a reward of `rl`.")
    chains: int = Field(8, ge=2, description="Replies to a prompt.")
    max_reply: int = Field(1024, ge=1, description="Tokens that a reply may take.")
    temperature: float = Field(1.0, gt=0, description="How freely replies are drawn.")
    top_p: float = Field(1.0, gt=0, le=1, description="Likeliest tokens that together have this probability.")
    lists: int | None = Field(None, ge=1, description="Lists at most, the first.")
    at_once: int = Field(16, ge=1, description="Lists that are worked on at a time.")


def training(options: Options, profile: Profile) -> memory.Training:
    """What it holds in memory: both replies of each pair, and no logits."""
    return memory.Training(
        tokens=2 * options.batch * options.longest, rank=options.lora.rank, checkpointing=False, logits=0
    )


def run(work: Work, options: Options) -> Made:
    """Draw replies, reward them, and train the model.

    Raises:
        MissingError: the lists, the model or a package are not there.
        PartialError: replies to some lists could not be drawn; the others are kept, and are not drawn again.
        InputError: the replies do not differ in what they are worth.
        SettingsError: the reward is none for the judge's question, or looks at more than one reply.
    """
    lists = list(read_lists(work.need("lists", "synthesize")))[: options.lists]
    chains = asyncio.run(_drawn(work, options, lists))
    work.say(f"{len(chains)} replies drawn")
    report = train(work, chains, options)
    windows = {pair.window for pair in divided(chains, options, work.seed)[1]}
    unseen = [chain for chain in chains if chain.window in windows]
    model = RewardModel(work.folder / FOLDER)
    chosen = choose(unseen, model.score([chain.prompt for chain in unseen], [chain.completion for chain in unseen]))
    told = {f"reward of {name} of {options.chains}": value for name, value in asdict(chosen).items()}
    numbers = {
        "replies": len(chains),
        "pairs": report.pairs,
        "held-out pairs": report.held_out_pairs,
        "held-out accuracy": report.held_out_accuracy,
        **told,
    }
    return Made({"reward_model": work.folder / FOLDER}, numbers)


async def _drawn(work: Work, options: Options, lists: Sequence[TrainingList]) -> list[Chain]:
    """Replies to every list; what an earlier attempt drew is not drawn again."""
    profile = served(work)
    drawing = Drawing.of(work, options)
    engine = load_engine(profile)
    if not isinstance(engine, TextEngine):
        raise SettingsError(f"profile {profile.name}: engine {profile.engine['name']!r} draws no replies")
    drawn = options.model_dump_json(include={"reward", "chains", "max_reply", "temperature", "top_p"})
    mark = fingerprint(profile, work.need("lists", "synthesize"), f"{drawn} {work.seed}")
    failed: list[ReasonRankError] = []
    with Journal(work.folder / "drawn.jsonl", mark) as journal:
        rows = {row["list"]: row["chains"] for row in journal.rows if row["list"] < len(lists)}

        async def work_on(number: int) -> list[dict[str, Any]]:
            chains = [asdict(chain) for chain in await drawing.chains(engine, number, lists[number])]
            journal.add({"list": number, "chains": chains})
            return chains

        todo = (number for number in range(len(lists)) if number not in rows)
        try:
            async with aclosing(run_all(todo, work_on, at_once=options.at_once)) as results:
                async for number, result in results:
                    if isinstance(result, ReasonRankError):
                        failed.append(result)
                        continue
                    rows[number] = result
                    outcomes = [chain["outcome"] for chain in result]
                    work.progress(len(rows), len(lists), {"reward": fmean(outcomes)} if outcomes else {})
        finally:
            await engine.aclose()
    if failed:
        message = f"replies to {len(failed)} of {len(lists)} lists could not be drawn: {failed[0]}"
        raise PartialError(message, failed=len(failed), total=len(lists))
    return [Chain(**chain) for number in sorted(rows) for chain in rows[number]]


@dataclass(frozen=True)
class Drawing:
    """Draws replies to a list's questions, and says what each is worth."""

    questions: Questions
    reward: WindowReward[Any]
    options: Options
    seed: int

    @classmethod
    def of(cls, work: Work, options: Options) -> Drawing:
        """As a stage's options say it.

        Raises:
            SettingsError: the reward is unknown, or none for the judge's question or for a single reply.
        """
        questions = questions_of(work, work.profile)
        values = {key: value for key, value in options.reward.items() if key != "name"}
        reward = load_reward(str(options.reward.get("name", "")), values, Reader.of(questions.options))
        if not isinstance(reward, WindowReward):
            raise SettingsError(f"reward {reward.name!r} looks at all replies of a query; choose one that looks at one")
        return cls(questions, reward, options, work.seed)

    async def chains(self, engine: TextEngine, number: int, one: TrainingList) -> list[Chain]:
        """Replies to each question about a list; none where one does not fit the context.

        Raises:
            EngineError: the engine failed.
        """
        try:
            asked = await self.questions.about(one.query, [passage.candidate for passage in one.passages])
        except InputError as error:
            if type(error) is not InputError:  # settings are wrong for every list
                raise
            return []
        whole = len(asked) == 1
        golds = [Gold(one.grades, one.places)] if whole else [Gold((grade,)) for grade in one.grades]
        found = [
            await self._replies(engine, each.request, gold, str(number))
            for each, gold in zip(asked, golds, strict=True)
        ]
        return [chain for chains in found for chain in chains]

    async def _replies(self, engine: TextEngine, request: Request, gold: Gold, window: str) -> list[Chain]:
        prompt = self.questions.tokenizer.rendered(request)
        completions = await asyncio.gather(*(engine.generate(self._request(request, seed)) for seed in self._seeds))
        return [
            Chain(window, prompt, text, self.reward.score(text, gold, cut=completion.finish is Finish.LENGTH).value)
            for completion in completions
            for text in [_said(completion)]
        ]

    @property
    def _seeds(self) -> range:
        return range(self.seed, self.seed + self.options.chains)

    def _request(self, request: Request, seed: int) -> Request:
        """The question, to be answered freely, as in RL: the judge's own stops and forms are left out."""
        options = self.options
        return Request(
            messages=request.messages,
            max_tokens=options.max_reply,
            sampling=Sampling(temperature=options.temperature, top_p=options.top_p, seed=seed),
            prefix=request.prefix,
            chat_options=request.chat_options,
        )


def _said(completion: Completion) -> str:
    """All that was written, a chain that the server split off included."""
    return (f"{OPEN}{completion.reasoning}{CLOSE}" if completion.reasoning else "") + completion.text
