"""What a run would do about each stage of a recipe, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.profile import Profile, load_profile
from trainer.manifest import Artifact, Base, Inputs, Record, base_of, difference, digest, handed_on, inputs_of, paths_in
from trainer.memory import Need, Shape, Training, estimate
from trainer.recipe import Find, Recipe, Step, steps
from trainer.stages import TrainingStage


@dataclass(frozen=True)
class Planned:
    """What is to be done about a stage."""

    step: Step
    todo: Literal["keep", "go on", "run"]
    why: str


class Plans:
    """Plans runs of a recipe.

    Raises:
        SettingsError: a stage, an option or the profile of the recipe is wrong.
    """

    def __init__(self, recipe: Recipe, find: Find) -> None:
        self.recipe = recipe
        self.steps: Sequence[Step] = steps(recipe, find)
        self.profile: Profile = load_profile(recipe.profile)

    def public(self) -> dict[str, Any]:
        """The recipe without its secrets, for a manifest."""
        stages = [{step.name: step.options.model_dump(mode="json", exclude_unset=True)} for step in self.steps]
        return self.recipe.model_dump(mode="json", exclude={"stages"}) | {"stages": stages}

    @cached_property
    def _base(self) -> Base:
        return base_of(self.recipe.base)

    def inputs(self, step: Step, given: Mapping[str, Artifact]) -> Inputs:
        """What a stage is given."""
        return inputs_of(step.options, given, base=self._base, profile=self.profile, seed=self.recipe.seed)

    def plan(self, folder: Path, records: Sequence[Record], *, start: str = "", until: str = "") -> list[Planned]:
        """What is to be done about each stage up to the last wanted.

        Args:
            folder: the run's.
            records: what became of its stages so far.
            start: the stage to begin with. Those before it are taken as they are; it runs again if it is finished.
            until: the stage to end with.

        Raises:
            SettingsError: there is no such stage, or a stage before `start` is not as it was finished.
            MissingError: a file that a stage's options name is not there.
        """
        first, last = self._span(start, until)
        planned: list[Planned] = []
        for place, step in enumerate(self.steps[: last + 1]):
            record = records[place] if place < len(records) and records[place].folder == step.folder else None
            todo: Todo
            if planned and planned[-1].todo != "keep":
                todo = "run", "it has not run" if record is None else f"{planned[-1].step.label} before it runs"
            elif place < first:
                todo = _taken(folder, step, record, start)
            else:
                inputs = self.inputs(step, handed_on(records[:place]))
                todo = _judged(folder, record, inputs, anew=bool(start) and place == first)
            if todo[0] != "keep":
                _check_files(step)
            planned.append(Planned(step, *todo))
        return planned

    def needs(self, planned: Sequence[Planned], shape: Shape | None = None) -> dict[str, tuple[Need, Training]]:
        """The memory that each stage takes which is to run and trains a model, by its label.

        Args:
            shape: the base model's, where it is known.

        Raises:
            MissingError: the base model's configuration cannot be loaded.
        """
        found = {
            each.step.label: training
            for each in planned
            if each.todo != "keep"
            and isinstance(each.step.stage, TrainingStage)
            and (training := each.step.stage.training(each.step.options, self.profile)) is not None
        }
        if not found:
            return {}
        known = shape or Shape.of(self.recipe.base)
        return {label: (estimate(known, training), training) for label, training in found.items()}

    def _span(self, start: str, until: str) -> tuple[int, int]:
        first = self.recipe.places(start)[0] if start else 0
        last = self.recipe.places(until)[-1] if until else len(self.steps) - 1
        if first > last:
            raise SettingsError(f"stage {start!r} comes behind stage {until!r} in recipe {self.recipe.name}")
        return first, last


Todo = tuple[Literal["keep", "go on", "run"], str]


def _taken(folder: Path, step: Step, record: Record | None, start: str) -> Todo:
    if record is None or record.status != "done":
        raise SettingsError(f"stage {step.label} is not finished, so a run cannot start from {start}")
    if changed := _changed(folder, record):
        raise SettingsError(f"{changed}, so a run cannot start from {start}")
    return "keep", "it is taken as it is"


def _judged(folder: Path, record: Record | None, inputs: Inputs, *, anew: bool) -> Todo:
    if record is None:
        return "run", "it has not run"
    if why := difference(record.inputs, inputs):
        return "run", why
    if record.status != "done":
        return "go on", "it failed" if record.status == "failed" else "it was interrupted"
    if anew:
        return "run", "it was asked for"
    why = _changed(folder, record)
    return ("run", why) if why else ("keep", "nothing has changed")


def _check_files(step: Step) -> None:
    for path in paths_in(step.options):
        if not path.exists():
            raise MissingError(f"stage {step.label} names {path}, which does not exist")


def _changed(folder: Path, record: Record) -> str:
    """What of a stage's outputs is no longer what it made."""
    for name, artifact in record.outputs.items():
        now = digest(folder / artifact.path)
        if now != artifact.sha256:
            return f"{name}, which {record.label} made, {'is gone' if now is None else 'has changed'}"
    return ""
