"""RL, a few steps: what is drawn, rewarded, chosen, and logged. On a real model it runs in test_smoke.py."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import InputError, SettingsError
from tests.trainer.test_sft import DIRECT, LISTS, MODEL, work_in
from trainer import rl
from trainer.asking import Questions
from trainer.stages import METRICS

SMALL = {"lora": {"rank": 4, "alpha": 8}, "learning_rate": 1e-4, "warmup": 0, "max_reply": 8, "save_every": 1}


def options(**changes: Any) -> rl.Options:
    sizes = {"prompts": 1, "rollouts": 4, "updates": 1, "batch": 4, "steps": 1, "kl": 0.0}
    return rl.Options(**{**SMALL, **sizes, **changes})


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [line for line in lines if "reward" in line]


def test_what_was_drawn_rewarded_and_inserted_is_told(tmp_path: Path, small: str) -> None:
    made = rl.run(
        work_in(tmp_path / "rl", base=small),
        options(mutation={"references": 1, "spoilt": 1}, kl=0.01, steps=2, max_reply=1),
    )
    assert (made.artifacts["adapter"] / "adapter_model.safetensors").is_file()
    assert made.numbers["steps"] == 2
    logged = metrics(tmp_path / "rl")
    assert [line["step"] for line in logged] == [1, 2]
    for line in logged:
        assert math.isfinite(line["loss"])
        assert line["inserted"] == 0.5  # replies of one token are all worth the same
        assert line["silent/trained"] < 1
        assert line["reasonrank/ndcg"] > 0
        assert {"kl", "frac_reward_zero_std", "completions/clipped_ratio", "completions/mean_length"} <= line.keys()


def test_pairs_halve_what_is_trained_on_and_the_adapter_of_before_goes_on(tmp_path: Path, small: str) -> None:
    first = rl.run(work_in(tmp_path / "first", base=small), options())
    artifacts = {"lists": tmp_path / "first" / "lists.jsonl", **first.artifacts}
    work = work_in(tmp_path / "second", base=small, artifacts=artifacts)
    chosen = options(choosing={"pairwise": 0.5, "shuffle": 2}, mutation={"references": 1, "spoilt": 0})
    rl.run(work, chosen)
    line = metrics(tmp_path / "second")[0]
    assert line["silent/trained"] <= line["silent/drawn"]


def test_a_reward_that_does_not_fit_the_judge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="reward 'rank_r1' reads replies to a template of method setwise"):
        rl.run(work_in(tmp_path), options(reward={"name": "rank_r1"}))


def test_lists_that_are_too_long_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no list can be learned from: \d+ tokens, more than 16"):
        rl.run(work_in(tmp_path), options(max_prompt=16))


def test_pointwise_judges_get_a_row_a_passage() -> None:
    judge = {"name": "graded", "template": "graded_think", "highest": 4, "thinking": True}
    questions = Questions(DIRECT.model_copy(update={"judge": judge}), MODEL, 8192)
    found = asyncio.run(rl.windows(questions, LISTS, 4096))
    assert [(row["qid"], row["grades"]) for row in found.rows][:3] == [("bca", [0]), ("bca", [1]), ("bca", [0])]
