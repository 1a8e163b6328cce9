"""The gate: a model takes another's place only where it is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.profile import load_profile
from trainer.deploy import GateError, Options, gate, run
from trainer.stages import Work

WORSE = {f"dev/{number}": 0.4 + 0.01 * (number % 3) for number in range(40)}
BETTER = {query: value + 0.05 + 0.01 * (number % 2) for number, (query, value) in enumerate(WORSE.items())}
NEARLY = {query: value + (0.3 if number % 2 else -0.29) for number, (query, value) in enumerate(WORSE.items())}


def options(**changes: Any) -> Options:
    return Options(**{"model": "sft", **changes})


def test_a_better_model_passes() -> None:
    assert "p < 0.0001" in gate(WORSE, BETTER, options())


@pytest.mark.parametrize("new", [WORSE, NEARLY, {query: value - 0.1 for query, value in WORSE.items()}])
def test_a_model_that_is_not_surely_better_is_refused(new: dict[str, float]) -> None:
    with pytest.raises(GateError, match=r"sft is not deployed: nDCG@10 0\.\d{4} against 0\.4\d{3} of base order"):
        gate(WORSE, new, options())


def test_a_margin_stands_for_certainty() -> None:
    assert gate(WORSE, NEARLY, options(margin=0.004))
    with pytest.raises(GateError, match=r"or 0\.02 more"):
        gate(WORSE, NEARLY, options(margin=0.02))


def test_a_surely_worse_model_does_not_pass_by_its_p() -> None:
    with pytest.raises(GateError):
        gate(BETTER, WORSE, options())


def evaluation(folder: Path, new: dict[str, float]) -> Work:
    """A run whose evaluation is done."""
    profile = load_profile("embedded").assigned(["judge.prefix="])
    rows = [
        {
            "set": "dev",
            "model": model,
            "by_query": {query.removeprefix("dev/"): value for query, value in values.items()},
        }
        for model, values in (("base order", WORSE), ("sft", new))
    ]
    path = folder / "evaluation.json"
    rankers = {"sft": {"profile": profile.public() | {"engine": {**profile.engine, "model": "/models/sft"}}}}
    path.write_text(json.dumps({"rows": rows, "rankers": rankers}))
    return Work(folder, {"evaluation": path}, "embedded:smollm2-135m", profile, 7)


def test_the_profile_that_is_written_serves_the_model(tmp_path: Path) -> None:
    made = run(evaluation(tmp_path, BETTER), options(name="mine"))
    served = load_profile(made.artifacts["profile"])
    assert (served.name, served.engine["model"]) == ("mine", "/models/sft")
    assert served.judge == load_profile("embedded").assigned(["judge.prefix="]).judge
    assert "against" in served.summary


def test_a_refused_model_leaves_what_is_deployed_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "deployed.yaml"
    target.write_text("name: old\n")
    with pytest.raises(GateError, match="Nothing was changed"):
        run(evaluation(tmp_path, WORSE), options(target=target))
    assert target.read_text() == "name: old\n"


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"knows no 'sftt' \(did you mean 'sft'\?\)"):
        run(evaluation(tmp_path, BETTER), options(model="sftt"))


def test_the_base_order_cannot_be_deployed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the base order is no model"):
        run(evaluation(tmp_path, BETTER), options(model="base order", against="sft"))


def test_without_an_evaluation_there_is_a_hint(tmp_path: Path) -> None:
    work = Work(tmp_path, {}, "embedded:smollm2-135m", load_profile("embedded"), 7)
    with pytest.raises(MissingError, match="run evaluate first"):
        run(work, options())
