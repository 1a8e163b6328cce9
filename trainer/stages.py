"""A stage of a recipe: what it is given, and what it hands on.

A stage is a module of this package with `Options`, a model of its keys in a recipe, and `run(work, options)`. It writes
into its own folder alone, and when it is started again there, after a kill, it goes on with what is already done.

Every file or folder that an option of type `Path` names counts among a stage's inputs by its content; one that the
stage writes is marked: `Annotated[Path | None, Written]`. A stage that trains a model may have a third function,
`training(options, profile)`, by which the memory that it takes is estimated before anything starts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.validation import Checked, nearest
from trainer.events import Events
from trainer.memory import Training

MODULES = {
    "synthesize": "trainer.synthesis.stage",
    "filter": "trainer.filtering",
    "sft": "trainer.sft",
    "reward": "trainer.reward_model.stage",
    "rl": "trainer.rl",
    "merge": "trainer.merge",
    "encoder": "trainer.encoder",
    "adjuster": "trainer.adjuster.stage",
    "evaluate": "trainer.evaluate",
    "deploy": "trainer.deploy",
}
"""Every stage, in the order of a recipe."""

METRICS = "metrics.jsonl"
"""The file in a stage's folder that its metrics are appended to."""


Progress = Callable[[int, int | None, Mapping[str, float]], None]
"""Told how many steps are done, of how many where that is known, and the metrics of the last one."""


class Written:
    """Marks an option whose path a stage writes: its content is no input."""


@dataclass(frozen=True)
class Made:
    """What a stage hands on."""

    artifacts: Mapping[str, Path]
    """Files and folders by name: lists, adapter, model, adjuster, evaluation, profile."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What a reader of the manifest wants to know."""
    gone: tuple[str, ...] = ()
    """Artifacts of earlier stages that later ones are not given: an adapter that is part of the model now."""


@dataclass(frozen=True)
class Work:
    """What a stage is given."""

    folder: Path
    """Its own; it is there."""
    artifacts: Mapping[str, Path]
    """What earlier stages handed on; of one name, the latest."""
    base: str
    """The model that is trained: a Hugging Face name, a folder, or `embedded:smollm2-135m`."""
    profile: Profile
    """How the model is asked, in training as in serving."""
    seed: int
    say: Callable[[str], None] = lambda sentence: None
    """Tells whoever waits how far it is."""
    progress: Progress = lambda done, total, metrics: None
    """Moves the bar of whoever waits."""
    events: Events = field(default_factory=Events, repr=False, compare=False)
    """Takes the metrics as well, while it is open."""

    def need(self, name: str, stage: str) -> Path:
        """An artifact of an earlier stage.

        Raises:
            MissingError: no stage handed it on.
        """
        if name not in self.artifacts:
            raise MissingError(f"there is no {name!r} yet; run {stage} first, or name one")
        return self.artifacts[name]

    def log(self, step: int, total: int | None = None, /, **values: float) -> None:
        """Append metrics of a step to the stage's file, and show them, in TensorBoard too where its file is open.

        Args:
            total: how many steps there are, where that is known.
        """
        now = time.time()
        line = {"step": step, "time": now, **values}
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.events.add(step, now, values)
        self.progress(step, total, values)


class Stage(Protocol):
    """A stage's module."""

    Options: type[Checked]

    def run(self, work: Work, options: Any) -> Made:
        """Do the stage's work."""
        ...


@runtime_checkable
class TrainingStage(Protocol):
    """A stage that trains a model."""

    def training(self, options: Any, profile: Profile) -> Training | None:
        """What it holds in memory while it trains; None where these options train nothing large."""
        ...


def stage(name: str) -> Stage:
    """The stage of that name.

    Raises:
        SettingsError: there is none.
    """
    if name not in MODULES:
        raise SettingsError(f"unknown stage {name!r}{nearest(name, MODULES)}")
    return cast(Stage, import_module(MODULES[name]))
