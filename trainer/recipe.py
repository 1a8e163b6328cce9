"""Recipes: how a model is made, as a short YAML file that names a base model and the stages that train it.

A path that begins with "./" lies beside the recipe's file, any other where the command runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from es_reasonrank.errors import SettingsError
from es_reasonrank.validation import Checked, assigned_value, checked, nearest, put, read_yaml, yaml_files, yaml_path
from trainer.stages import Stage

Find = Callable[[str], Stage]
"""Finds a stage by its name."""


class Recipe(Checked):
    """How one model is made."""

    name: str = Field(pattern=r"^[\w.-]+$", description="What its run's folder and the model are called.")
    description: str = Field("", description="What it makes, in a sentence.")
    source: str = Field("", description="The paper that its numbers come from.")
    base: str = Field(description="The model that is trained: a Hugging Face name, a folder or embedded:smollm2-135m.")
    profile: str = Field(description="How the model is asked, in training as in serving: a name or a YAML file.")
    seed: int = Field(0, ge=0, description="Of everything that is drawn.")
    stages: tuple[dict[str, dict[str, Any]], ...] = Field(
        min_length=1, description="In their order; a stage may come twice."
    )

    @field_validator("stages", mode="before")
    @classmethod
    def _one_key_each(cls, value: Any) -> Any:
        """A stage without options may be its bare name."""
        if not isinstance(value, (list, tuple)):
            raise ValueError("stages are a list of names, each with its options: [{filter: {alpha: 0.4}}, merge]")
        stages = [{entry: {}} if isinstance(entry, str) else entry for entry in value]
        for number, entry in enumerate(stages, start=1):
            if not isinstance(entry, Mapping) or len(entry) != 1:
                raise ValueError(f"stage {number} is not one name with its options; begin each stage with its own '- '")
        return [{name: options or {} for name, options in entry.items()} for entry in stages]

    def assigned(self, assignments: Sequence[str]) -> Recipe:
        """The same recipe with single values changed: "sft.learning_rate=1e-5", "seed=3". Values are YAML's.

        A stage that comes twice is sft-1 and sft-2; its bare name changes both.

        Raises:
            SettingsError: an assignment has no such form, or names a stage or a key that is not there.
        """
        values = self.model_dump()
        for assignment in assignments:
            key, equals, _ = assignment.partition("=")
            stage, dot, option = key.strip().partition(".")
            if not equals:
                raise SettingsError(f"{assignment!r} is no assignment; write STAGE.KEY=VALUE, base=NAME or seed=NUMBER")
            value = assigned_value(assignment)
            if not dot:
                values[stage] = value
                continue
            for place in self.places(stage):
                (options,) = values["stages"][place].values()
                put(options, option, value)
        return checked(Recipe, values, where=f"recipe {self.name}") if assignments else self

    @property
    def names(self) -> tuple[str, ...]:
        """The stages by name."""
        return tuple(name for stage in self.stages for name in stage)

    @property
    def labels(self) -> tuple[str, ...]:
        """The stages by name, those that come twice with a number: sft-1, sft-2."""
        total, seen = Counter(self.names), Counter[str]()
        found = []
        for name in self.names:
            seen[name] += 1
            found.append(f"{name}-{seen[name]}" if total[name] > 1 else name)
        return tuple(found)

    def places(self, stage: str) -> list[int]:
        """Where the stages of that name or label stand, from 0.

        Raises:
            SettingsError: there is none.
        """
        pairs = zip(self.names, self.labels, strict=True)
        places = [place for place, pair in enumerate(pairs) if stage in pair]
        if not places:
            raise SettingsError(f"recipe {self.name} has no stage {stage!r}{nearest(stage, self.labels)}")
        return places


@dataclass(frozen=True)
class Step:
    """A stage at its place in a recipe, its options checked."""

    name: str
    label: str
    folder: str
    """The name of its folder in the run's."""
    stage: Stage
    options: Checked


def steps(recipe: Recipe, find: Find) -> list[Step]:
    """All stages of a recipe.

    Raises:
        SettingsError: a stage is unknown, or an option is wrong.
    """
    found = []
    for number, (entry, label) in enumerate(zip(recipe.stages, recipe.labels, strict=True), start=1):
        ((name, values),) = entry.items()
        stage = find(name)
        options = checked(stage.Options, values, where=f"recipe {recipe.name}, stage {label}")
        found.append(Step(name, label, f"{number:02}-{label}", stage, options))
    return found


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(yaml_files("trainer.recipes"))


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by its name, or by the path of a YAML file.

    Raises:
        SettingsError: no such recipe, or its content is wrong.
    """
    path = yaml_path(str(name), yaml_files("trainer.recipes"), what="recipe")
    values = _beside(read_yaml(path, what="recipe"), path.absolute().parent)
    return checked(Recipe, values, where=f"recipe {name}")


def _beside(value: Any, folder: Path) -> Any:
    """The value with every path in it that begins with "./" in `folder`."""
    if isinstance(value, str) and value.startswith("./"):
        return str(folder / value)
    if isinstance(value, dict):
        return {key: _beside(entry, folder) for key, entry in value.items()}
    return [_beside(entry, folder) for entry in value] if isinstance(value, list) else value
