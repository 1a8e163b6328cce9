"""Recipes: what is accepted, what is changed from outside, and what is said of everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from es_reasonrank.errors import SettingsError
from tests.trainer.toys import STAGES, WriteOptions, recipe
from trainer import stages
from trainer.recipe import Recipe, load_recipe, recipe_names, steps


def written(tmp_path: Path, **changes: Any) -> Path:
    values = {"name": "mine", "base": "embedded:smollm2-135m", "profile": "embedded", "stages": ["first"], **changes}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in values.items() if value is not None}))
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_can_start(name: str) -> None:
    made = load_recipe(name)
    assert made.name == name
    assert [step.name for step in steps(made, stages.stage)] == list(made.names)


def test_the_recipes_are_there() -> None:
    assert set(recipe_names()) >= {"reasonrank-7b", "reasonrank-32b-lora", "qwen3-0.6b", "embedded", "smoke"}


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    made = load_recipe(written(tmp_path, stages=["first", {"second": None}, {"second": {"lines": 7}}]))
    assert made.stages == ({"first": {}}, {"second": {}}, {"second": {"lines": 7}})
    assert made.labels == ("first", "second-1", "second-2")


def test_a_path_may_lie_beside_the_recipe(tmp_path: Path) -> None:
    stages = [{"first": {"data": "./data/a.txt", "word": "b/c", "more": ["./d"]}}]
    made = load_recipe(written(tmp_path, stages=stages, profile="./mine.yaml"))
    assert made.stages == ({"first": {"data": f"{tmp_path}/data/a.txt", "word": "b/c", "more": [f"{tmp_path}/d"]}},)
    assert made.profile == f"{tmp_path}/mine.yaml"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sed": 1}, "unknown key 'sed' (did you mean 'seed'?)"),
        ({"base": None}, "key 'base' is missing"),
        ({"stages": []}, "key 'stages': tuple should have at least 1 item"),
        ({"stages": {"first": {}}}, "key 'stages': stages are a list of names, each with its options"),
        ({"stages": [{"first": {}, "second": {}}]}, "key 'stages': stage 1 is not one name with its options"),
        ({"stages": ["first", 3]}, "key 'stages': stage 2 is not one name with its options"),
        ({"name": "a/b"}, "key 'name': string should match pattern"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_recipe(written(tmp_path, **changes))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_brings_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"unknown recipe 'smok' \(did you mean 'smoke'\?\)"):
        load_recipe("smok")


def test_a_misspelt_option_brings_the_nearest() -> None:
    made = recipe([{"first": {"line": 3}}])
    with pytest.raises(SettingsError, match=r"recipe toy, stage first: unknown key 'line' \(did you mean 'lines'\?\)"):
        steps(made, STAGES.__getitem__)


def test_a_misspelt_stage_brings_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"unknown stage 'filtr' \(did you mean 'filter'\?\)"):
        steps(recipe(["filtr"]), stages.stage)


def test_a_value_is_changed_from_outside() -> None:
    made = recipe(["first", {"second": {"lines": 2, "word": "kept"}}])
    changed = made.assigned(["seed=3", "second.lines=1e1", "base=other", "first.word="])
    assert (changed.seed, changed.base) == (3, "other")
    assert changed.stages == ({"first": {"word": ""}}, {"second": {"lines": "1e1", "word": "kept"}})
    assert made.stages[1] == {"second": {"lines": 2, "word": "kept"}}


def test_yamls_numbers_without_a_dot_are_numbers() -> None:
    """YAML 1.1 reads 1e-5 as a text."""

    (step,) = steps(recipe(["first"]).assigned(["first.rate=1e-5"]), STAGES.__getitem__)
    assert isinstance(step.options, WriteOptions)
    assert step.options.rate == 1e-5


def test_the_bare_name_changes_each_of_two_stages_and_a_number_one() -> None:
    made = recipe(["first", "second", "second"])
    assert made.assigned(["second.lines=5"]).stages[1:] == ({"second": {"lines": 5}}, {"second": {"lines": 5}})
    assert made.assigned(["second-2.lines=5"]).stages[1:] == ({"second": {}}, {"second": {"lines": 5}})


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("secnd.lines=3", "recipe toy has no stage 'secnd' (did you mean 'second'?)"),
        ("second.lines", "'second.lines' is no assignment; write STAGE.KEY=VALUE, base=NAME or seed=NUMBER"),
        ("sed=3", "unknown key 'sed' (did you mean 'seed'?)"),
        ("seed=[", "'seed=[': '[' is no YAML value; put it in quotes"),
    ],
)
def test_a_wrong_assignment_is_one_sentence(assignment: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        recipe().assigned([assignment])
    assert sentence in str(caught.value)


def test_a_recipe_does_not_change_in_a_manifest() -> None:
    made = recipe(["first", {"second": {"lines": 2}}], seed=4)
    assert Recipe.model_validate(made.model_dump(mode="json")) == made
