"""The stage that trains a reward model on the model's own replies, RL with it, and the best of n."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from es_reasonrank.engines.base import Completion, Finish, Request
from es_reasonrank.engines.transformers import TransformersEngine
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.loading import load_engine
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.types import Candidate, Outcome, Verdict
from tests.trainer.test_evaluate import SMOKE
from tests.trainer.test_rl import metrics
from tests.trainer.test_rl import options as rl_options
from tests.trainer.test_sft import DIRECT, LISTS, MODEL, work_in
from trainer import deploy, evaluate, rl
from trainer.asking import Questions
from trainer.reward_model import stage
from trainer.reward_model.best import BestOf, best_of
from trainer.reward_model.chains import Chain
from trainer.reward_model.model import Report, RewardModel, Text
from trainer.reward_model.training import RewardTraining
from trainer.serving import served
from trainer.stages import Made, Work
from trainer.training import Lora

OPTIONS = stage.Options(
    lora=Lora(rank=4, alpha=8), chains=3, max_reply=8, held_out=0.5, longest=128, steps=1, batch=2, accumulate=1
)
SAYS = ["[2] > [3] > [1]", "[1] > [2] > [3]", "I am not sure."]
"""What is drawn, by seed: of the first list the first is right, of the second neither."""


async def said(self: TransformersEngine, request: Request) -> Completion:
    assert request.sampling.seed is not None
    return Completion(SAYS[(request.sampling.seed - 7) % 3], Finish.STOP)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small: str) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransformersEngine, "generate", said)
        return stage.run(work_in(tmp_path_factory.mktemp("reward"), base=small), OPTIONS)


def test_replies_are_rewarded_and_learned_from(made: Made) -> None:
    """Each list has three replies of different worth, and so three pairs."""
    numbers = made.numbers
    assert (numbers["replies"], numbers["pairs"], numbers["held-out pairs"]) == (6, 3, 3)
    assert numbers["reward of best of 3"] >= numbers["reward of model of 3"]
    assert RewardModel(made.artifacts["reward_model"]).report.held_out_accuracy == numbers["held-out accuracy"]


async def test_replies_are_drawn_to_the_prompts_of_rl(tmp_path: Path, small: str) -> None:
    work = work_in(tmp_path, base=small)
    drawing = await asyncio.to_thread(stage.Drawing.of, work, OPTIONS)
    engine = load_engine(served(work))
    assert isinstance(engine, TransformersEngine)
    chains = await drawing.chains(engine, 0, LISTS[0])
    (row,) = (await rl.windows(drawing.questions, LISTS[:1], 4096)).rows
    assert {chain.prompt for chain in chains} == {row["prompt"]}
    assert len({chain.completion for chain in chains}) == 3
    assert chains == await drawing.chains(engine, 0, LISTS[0])
    await engine.aclose()


def test_what_was_drawn_before_a_kill_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    async def killed(self: TransformersEngine, request: Request) -> Completion:
        drawn.append(request.messages[-1]["content"])
        if len(drawn) == 3:
            raise asyncio.CancelledError
        return await said(self, request)

    monkeypatch.setattr(TransformersEngine, "generate", killed)
    work, chosen = work_in(tmp_path), OPTIONS.model_copy(update={"chains": 2, "at_once": 1})
    with pytest.raises(asyncio.CancelledError):
        stage.run(work, chosen)
    monkeypatch.setattr(stage, "train", trained_nothing)
    with pytest.raises(KeyboardInterrupt, match="4 replies to 2 prompts"):
        stage.run(work, chosen)
    assert drawn.count(drawn[0]) == 2


def trained_nothing(work: Work, chains: Sequence[Chain], options: RewardTraining) -> Report:
    raise KeyboardInterrupt(f"{len(chains)} replies to {len({chain.prompt for chain in chains})} prompts")


def test_it_is_rewarded_beside_what_can_be_checked(made: Made, tmp_path: Path, small: str) -> None:
    work = work_in(tmp_path, base=small)
    given = {**work.artifacts, "reward_model": made.artifacts["reward_model"]}
    rl.run(replace(work, artifacts=given), rl_options(auxiliary=0.5, max_reply=2))
    (line,) = metrics(tmp_path)
    parts = {name: line[f"rewards/{name}/mean"] for name in ("reasonrank", "reward_model")}
    assert 0 < parts["reward_model"] < 1
    assert line["reward"] == pytest.approx(parts["reasonrank"] + 0.5 * parts["reward_model"], abs=1e-5)


def test_rl_says_what_it_lacks(tmp_path: Path, small: str) -> None:
    with pytest.raises(MissingError, match="there is no 'reward_model' yet; run reward first"):
        rl.run(work_in(tmp_path, base=small), rl_options(auxiliary=0.5))


def test_a_reward_over_a_whole_query_orders_no_single_replies(tmp_path: Path) -> None:
    judge = {"name": "graded", "template": "graded_think", "highest": 4, "thinking": True}
    work = replace(work_in(tmp_path), profile=DIRECT.model_copy(update={"judge": judge}))
    with pytest.raises(SettingsError, match="reward 'erank' looks at all replies of a query"):
        stage.run(work, OPTIONS.model_copy(update={"reward": {"name": "erank"}}))


@dataclass
class Says:
    """A judge with one verdict."""

    verdict: Verdict

    async def judge(self, query: str, passages: Sequence[Candidate]) -> Verdict:
        return self.verdict


class Likes(RewardModel):
    """Scores a reply by where it begins; notes what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[Text, Text]] = []

    def score(self, prompts: Sequence[Text], completions: Sequence[Text], *, batch: int = 8) -> list[float]:
        self.shown += zip(prompts, completions, strict=True)
        return [float(str(completion)[1]) for completion in completions]


PASSAGES = [passage.candidate for passage in LISTS[0].passages]


def verdict(reply: str, outcome: Outcome = Outcome.OK) -> Verdict:
    return Verdict((0, 1, 2), outcome, reply=reply, prompt_tokens=10, generated_tokens=3)


async def test_the_best_of_n_is_what_the_model_likes_most_of_what_names_an_order() -> None:
    model, questions = Likes(), Questions(DIRECT, MODEL, 1024)
    said = [verdict("[1] > [2] > [3]"), verdict("[3] > [2] > [1]"), verdict("[9]", Outcome.MALFORMED)]
    best = await BestOf([Says(each) for each in said], questions, model).judge(LISTS[0].query, PASSAGES)
    assert best.reply == "[3] > [2] > [1]"
    assert (best.prompt_tokens, best.generated_tokens, best.attempts) == (30, 9, 3)
    assert {str(prompt) for prompt, _ in model.shown} == {
        row["prompt"] for row in (await rl.windows(questions, LISTS[:1], 4096)).rows
    }


async def test_where_no_reply_names_an_order_the_first_one_counts() -> None:
    said = [verdict("[1]", Outcome.MALFORMED), verdict("[2]", Outcome.TRUNCATED)]
    model = Likes()
    best = await BestOf([Says(each) for each in said], Questions(DIRECT, MODEL, 1024), model).judge("q", PASSAGES)
    assert best.outcome is Outcome.MALFORMED
    assert not model.shown


async def test_a_served_model_draws_n_replies_and_the_reward_model_chooses(made: Made, small: str) -> None:
    held = DIRECT.assigned(["judge.constrained=true", f"engine.model={small}"])
    async with best_of(held, RewardModel(made.artifacts["reward_model"]), 3, temperature=2.0, seed=1) as reranker:
        ranking = await reranker.arank(LISTS[0].query, PASSAGES)
    (window,) = ranking.trace.windows
    assert window.outcome is Outcome.OK
    assert window.attempts == 3


def test_a_judge_that_draws_nothing_has_no_best_reply(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="judge 'encoder' draws no replies"):
        best_of(load_profile("encoder"), RewardModel(tmp_path), 3, temperature=1.0, seed=0)


def test_an_evaluation_compares_the_best_of_n_and_no_profile_serves_it(made: Made, tmp_path: Path, small: str) -> None:
    one = {"name": "dev", "queries": SMOKE / "queries.jsonl", "corpus": SMOKE / "corpus.jsonl", "depth": 3, "limit": 1}
    sets = [{**one, "qrels": SMOKE / "qrels" / "dev.tsv", "run": SMOKE / "dev.trec"}]
    options = evaluate.Options.model_validate({"sets": sets, "untrained": False, "best_of": 2})
    held = DIRECT.assigned(["judge.constrained=true"])
    model = {"model.sft": Path(small), "reward_model": made.artifacts["reward_model"]}
    done = evaluate.run(Work(tmp_path, model, MODEL, held, 7), options)
    rows = {row["model"]: row for row in json.loads(done.artifacts["evaluation"].read_text())["rows"]}
    assert set(rows) == {"base order", "sft", "sft, best of 2"}
    assert rows["sft, best of 2"]["prompt_tokens"] == 2 * rows["sft"]["prompt_tokens"] > 0
    with pytest.raises(SettingsError, match="sft, best of 2 needs the reward model beside it"):
        deploy.run(Work(tmp_path, done.artifacts, MODEL, held, 7), deploy.Options(model="sft, best of 2", margin=0))
