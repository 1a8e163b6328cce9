"""SFT on a real model: what it learns is what serving asks it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.profile import Profile, load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Outcome
from trainer import merge, sft
from trainer.lists import Passage, TrainingList, write_lists
from trainer.stages import METRICS, Work

MODEL = "embedded:smollm2-135m"
DIRECT = load_profile("embedded").assigned(
    ["judge={name: listwise, template: listwise, thinking: false, passage_tokens: 20}", "engine.context=1024"]
)
ORDER = {
    "method": "singleturn_listwise",
    "prefix": "Query: {query}\n",
    "body": "[{rank}] {candidate}\n",
    "suffix": "Order all {num}.",
}
"""A prompt in few words, for a step takes as long as its prompts are."""
RELEVANT = {"method": "pointwise", "body": "Query: {query}\nPassage: {candidate}\nRelevant?"}
TEXTS = {"a": "Rain falls from clouds.", "b": "Air scatters blue light.", "c": "The sea mirrors the sky."}
LISTS = [
    TrainingList(
        dataset="toy",
        qid=order,
        query=query,
        passages=tuple(Passage(id=name, text=text) for name, text in TEXTS.items()),
        relevant={order[0]: 1},
        order=tuple(order),
    )
    for query, order in (("why is the sky blue", "bca"), ("what does the sea look like", "cba"))
]


class Killed(BaseException):
    """What a kill looks like from inside."""


def work_in(folder: Path, **changes: Any) -> Work:
    folder.mkdir(parents=True, exist_ok=True)
    write_lists(folder / "lists.jsonl", LISTS)
    values: dict[str, Any] = {
        "folder": folder,
        "artifacts": {"lists": folder / "lists.jsonl"},
        "base": MODEL,
        "profile": DIRECT,
        "seed": 7,
    }
    return Work(**(values | changes))


def options(**changes: Any) -> sft.Options:
    lora = {"rank": 16, "alpha": 32}
    short = {"lora": lora, "learning_rate": 2e-3, "schedule": "constant", "warmup": 0, "batch": 2, "accumulate": 1}
    return sft.Options(**{**short, "max_tokens": 400, "steps": 4, "save_every": 2, **changes})


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    found = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert len(dict(found)) == len(found)
    return dict(found)


async def test_a_served_model_says_what_it_was_taught(tmp_path: Path) -> None:
    asked = DIRECT.model_copy(update={"judge": {**DIRECT.judge, "template": ORDER}})
    work = work_in(tmp_path / "sft", profile=asked)
    made = await asyncio.to_thread(sft.run, work, options(steps=9, save_every=100))
    assert made.numbers["last_loss"] < made.numbers["first_loss"]
    (tmp_path / "merge").mkdir()
    merging = Work(tmp_path / "merge", {**work.artifacts, **made.artifacts}, MODEL, asked, 7)
    merged = await asyncio.to_thread(merge.run, merging, merge.Options(name="sft"))
    profile = asked.model_copy(update={"engine": {**DIRECT.engine, "model": str(merged.artifacts["model.sft"])}})
    async with Reranker.load(profile) as reranker:
        for one in LISTS:
            ranking = await reranker.arank(one.query, [passage.candidate for passage in one.passages])
            assert [window.outcome for window in ranking.trace.windows] == [Outcome.OK]
            assert tuple(candidate.id for candidate in ranking) == one.order
    assert merged.gone == ("adapter",)
    card = (merged.artifacts["model"] / "README.md").read_text()
    assert "2 lists of toy" in card
    assert f"base_model: {MODEL}" in card


@pytest.mark.parametrize(
    ("loss", "judge"),
    [
        ("first", {"name": "first_token", "template": ORDER, "passage_tokens": 20}),
        ("list", {"name": "relevance", "template": RELEVANT, "thinking": False, "passage_tokens": 20}),
    ],
)
async def test_a_served_model_scores_as_it_was_taught(tmp_path: Path, loss: Any, judge: dict[str, Any]) -> None:
    strategy = {"name": "single"} if loss == "first" else {"name": "pointwise"}
    profile = DIRECT.model_copy(update={"judge": judge, "strategy": strategy})
    worst = (await ranked(profile))[-1]
    work = work_in(tmp_path / "sft", profile=profile)
    order = (worst, *(name for name in "abc" if name != worst))
    wanted = LISTS[0].model_copy(update={"relevant": {worst: 1}, "order": order})
    write_lists(work.artifacts["lists"], [wanted])
    made = await asyncio.to_thread(sft.run, work, options(loss=loss, batch=1, steps=6, save_every=100))
    assert made.numbers["last_loss"] < made.numbers["first_loss"]
    (tmp_path / "merge").mkdir()
    merging = Work(tmp_path / "merge", {**work.artifacts, **made.artifacts}, MODEL, profile, 7)
    merged = await asyncio.to_thread(merge.run, merging, merge.Options())
    served = profile.model_copy(update={"engine": {**DIRECT.engine, "model": str(merged.artifacts["model"])}})
    assert (await ranked(served))[0] == worst


async def ranked(profile: Profile) -> list[str]:
    """The first list's passages as a profile ranks them."""
    one = LISTS[0]
    async with Reranker.load(profile) as reranker:
        ranking = await reranker.arank(one.query, [passage.candidate for passage in one.passages])
    return [candidate.id for candidate in ranking]


def test_a_loss_that_does_not_fit_the_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'first' trains judge first_token, not 'listwise'"):
        sft.run(work_in(tmp_path), options(loss="first"))


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, small: str) -> None:
    sft.run(work_in(tmp_path / "whole", base=small), options())

    def killer(done: int, total: int | None, metrics: Mapping[str, float]) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        sft.run(work_in(tmp_path / "killed", base=small, progress=killer), options())
    assert not (tmp_path / "killed" / "adapter").exists()
    sft.run(work_in(tmp_path / "killed", base=small), options())
    assert losses(tmp_path / "killed") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)
    assert sorted(losses(tmp_path / "whole")) == [1, 2, 3, 4]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, small: str) -> None:
    work = work_in(tmp_path / "sft", base=small)
    sft.run(work, options(steps=1, save_every=1))
    other = tmp_path / "other"
    shutil.copytree(small, other)
    with pytest.raises(SettingsError, match=rf"belongs to {small}, and {other} is to be trained"):
        sft.run(work_in(tmp_path / "sft", base=str(other)), options(steps=2))


def test_without_lists_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="run synthesize first"):
        sft.run(work_in(tmp_path, artifacts={}), options())
