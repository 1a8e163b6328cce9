"""Measuring while training: as the model will be served, and without a trace in what it learns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from es_reasonrank.errors import DataError
from tests.trainer import test_rl, test_sft
from tests.trainer.test_sft import DIRECT, MODEL, RELEVANT, Killed, work_in
from trainer import encoder, evaluate, merge, rl, sft
from trainer.dev import Dev, untouched
from trainer.report.metrics import curves, panels
from trainer.sets import Set
from trainer.stages import METRICS, Made, Work

SMOKE = Path(str(resources.files("trainer.recipes"))) / "smoke"


def dev_set(**changes: Any) -> Set:
    files = {"queries": SMOKE / "queries.jsonl", "corpus": SMOKE / "corpus.jsonl", "run": SMOKE / "dev.trec"}
    values = {"name": "smoke", **files, "qrels": SMOKE / "qrels" / "dev.tsv", "depth": 5, "limit": 2}
    return Set(**{**values, **changes})


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Steps with their values on dev sets."""
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    found = [(line["step"], {name: line[name] for name in line if name.startswith("dev_")}) for line in lines]
    return [(step, values) for step, values in found if values]


def tuned(dev: Dev | None, folder: Path, base: str) -> Made:
    lora = {"rank": 4, "alpha": 8, "dropout": 0.2}
    return sft.run(drawing(folder, base), test_sft.options(lora=lora, steps=2, dev=dev))


def reinforced(dev: Dev | None, folder: Path, base: str) -> Made:
    varied = {"references": 1, "spoilt": 1}  # what is drawn gets another reward than these, and is learned from
    return rl.run(drawing(folder, base), test_rl.options(steps=2, mutation=varied, dev=dev))


def drawing(folder: Path, base: str) -> Work:
    """A stage whose profile sets torch's seed whenever it ranks."""
    profile = DIRECT.assigned(["judge.sampling={temperature: 1.0, seed: 3}", "judge.answer_tokens=8"])
    return work_in(folder, base=base, profile=profile)


@pytest.mark.parametrize("train", [tuned, reinforced])
def test_what_is_learned_is_the_same_with_and_without(
    tmp_path: Path, small: str, train: Callable[[Dev | None, Path, str], Made]
) -> None:
    from safetensors.torch import load_file

    without = train(None, tmp_path / "without", small)
    with_dev = train(Dev(sets=(dev_set(),), every=1), tmp_path / "with", small)
    assert [step for step, _ in measured(tmp_path / "with")] == [1, 2]
    assert measured(tmp_path / "without") == []
    wanted, found = (load_file(made.artifacts["adapter"] / "adapter_model.safetensors") for made in (without, with_dev))
    assert found.keys() == wanted.keys()
    for name, weights in wanted.items():
        assert torch.equal(found[name], weights), name


def test_the_value_is_what_the_served_model_gets(tmp_path: Path) -> None:
    judge = {"name": "relevance", "template": RELEVANT, "thinking": False, "passage_tokens": 20}
    profile = DIRECT.model_copy(update={"judge": judge, "strategy": {"name": "pointwise"}})
    work = work_in(tmp_path / "sft", profile=profile)
    sets = (dev_set(limit=3),)
    made = sft.run(work, test_sft.options(steps=3, dev=Dev(sets=sets, every=2)))
    (tmp_path / "merge").mkdir()
    merging = Work(tmp_path / "merge", {**work.artifacts, **made.artifacts}, MODEL, profile, 7)
    merged = merge.run(merging, merge.Options(name="sft"))
    (first, _), (last, values) = measured(tmp_path / "sft")
    assert (first, last) == (2, 3)
    (tmp_path / "evaluate").mkdir()
    evaluating = Work(tmp_path / "evaluate", merged.artifacts, MODEL, profile, 7)
    rows = evaluated(evaluating, sets)
    assert values == {"dev_ndcg@10": pytest.approx(rows["sft", "smoke"])}
    shown, _ = panels(curves(tmp_path / "sft" / METRICS))
    (panel,) = (each for each in shown if each.title == "nDCG@10")
    assert [step for step, _ in panel.curves["dev_ndcg@10"]] == [2, 3]


def evaluated(work: Work, sets: tuple[Set, ...]) -> dict[tuple[str, str], float]:
    """What a finished model gets, by ranker and set."""
    made = evaluate.run(work, evaluate.Options(sets=sets, untrained=False))
    rows = json.loads(made.artifacts["evaluation"].read_text())["rows"]
    return {(row["model"], row["set"]): row["ndcg"] for row in rows}


async def test_an_encoder_is_measured_on_every_set_and_on_all(tmp_path: Path) -> None:
    sets = (dev_set(name="short"), dev_set(name="long", limit=6))
    options = encoder.Options(negatives=1, batch=2, steps=2, learning_rate=1e-3, max_tokens=32, dev=Dev(sets=sets))
    made = await asyncio.to_thread(encoder.run, work_in(tmp_path / "encoder"), options)
    (tmp_path / "evaluate").mkdir()
    work = Work(tmp_path / "evaluate", made.artifacts, MODEL, DIRECT, 7)
    rows = await asyncio.to_thread(evaluated, work, sets)
    short, long = rows["encoder", "short"], rows["encoder", "long"]
    assert short != long
    ((step, values),) = measured(tmp_path / "encoder")
    assert step == 2
    mean = (2 * short + 6 * long) / 8
    assert values == pytest.approx({"dev_ndcg@10": mean, "dev_ndcg@10/short": short, "dev_ndcg@10/long": long})


def test_a_set_that_is_not_there_is_told_before_training(tmp_path: Path, small: str) -> None:
    missing = dev_set(run=tmp_path / "dev.trec")
    with pytest.raises(DataError, match=r"dev\.trec.*cannot be read"):
        sft.run(work_in(tmp_path / "sft", base=small), test_sft.options(dev=Dev(sets=(missing,))))
    assert not (tmp_path / "sft" / METRICS).exists()


def break_off(model: nn.Module) -> None:
    with untouched(model):
        assert not any(module.training for module in model.modules())
        torch.manual_seed(1)
        torch.rand(7)
        raise Killed


def test_a_model_is_as_it_was_even_where_measuring_fails() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()), nn.Linear(2, 2)).train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(Killed):
        break_off(model)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.rand(3), wanted)
