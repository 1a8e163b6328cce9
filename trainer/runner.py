"""Runs a recipe's stages, one after the other, each in a folder of its own, and never twice without a reason."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from es_reasonrank import paths
from es_reasonrank.errors import DataError, MissingError, ReasonRankError, SettingsError
from trainer import report
from trainer.manifest import FILE, Artifact, Manifest, Record, digest, handed_on, new_manifest, read_manifest
from trainer.memory import available, shortage
from trainer.plan import Planned, Plans
from trainer.recipe import Find, Recipe
from trainer.stages import Progress, Work, stage

LOCK = "lock"
OLD = "superseded"
"""The folder that takes what stages made before they ran again."""


@dataclass(frozen=True)
class Watch:
    """Who waits for a run."""

    say: Callable[[str], None] = lambda sentence: None
    begin: Callable[[str], None] = lambda label: None
    """Told the stage that starts."""
    progress: Progress = lambda done, total, metrics: None


def default_folder(recipe: Recipe) -> Path:
    """Where a recipe runs unless it is told otherwise."""
    return paths.data_dir() / "runs" / recipe.name


class Runner:
    """A recipe in its folder.

    Args:
        find: finds a stage by its name.

    Raises:
        SettingsError: a stage, an option or the profile of the recipe is wrong.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, find: Find = stage, watch: Watch | None = None) -> None:
        self.recipe = recipe
        self.folder = folder.expanduser().resolve()
        self.plans = Plans(recipe, find)
        self.watch = watch or Watch()

    def plan(self, *, start: str = "", until: str = "") -> list[Planned]:
        """What a run would do; see `Plans.plan`.

        Raises:
            SettingsError: there is no such stage, or what stands in the folder does not allow it.
        """
        found = self._found()
        return self.plans.plan(self.folder, found.records if found else (), start=start, until=until)

    def run(self, *, start: str = "", until: str = "", check_memory: bool = True) -> Manifest:
        """Do what the plan says, and write a report however it ends.

        Raises:
            ReasonRankError: another run is at work in the folder, or a stage failed; all that is finished is kept.
            MissingError: the memory does not do.
        """
        with self._locked():
            planned = self.plan(start=start, until=until)
            if check_memory:
                self._check_memory(planned)
            found = self._found()
            doing = _Doing(self.plans, self.folder, self.watch, found)
            try:
                for place, each in enumerate(planned):
                    doing.do(place, each, hint=f" with --from {each.step.label}" if start else "")
            finally:
                report.write(self.folder, doing.manifest)
        return doing.manifest

    def _found(self) -> Manifest | None:
        """What the folder tells of earlier runs."""
        manifest = read_manifest(self.folder)
        if manifest is None:
            others = [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []
            if any(not name.startswith((FILE, LOCK)) for name in others):
                message = f"folder {self.folder} holds other things than a run; name an empty one with --folder"
                raise SettingsError(message)
        elif (other := manifest.recipe.get("name")) != self.recipe.name:
            raise SettingsError(f"folder {self.folder} holds a run of recipe {other}; name another with --folder")
        return manifest

    def _check_memory(self, planned: Sequence[Planned]) -> None:
        try:
            needs = self.plans.needs(planned)
        except MissingError as error:
            self.watch.say(f"the memory that training takes is not known: {error}")
            return
        for label, (need, training) in needs.items():
            if sentence := shortage(need, available(), training):
                raise MissingError(f"stage {label}: {sentence}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One run at a time. The system frees the lock when its holder ends, however that ends."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK)
            lock.acquire(timeout=0)
        except Timeout as error:
            message = f"another run is at work in {self.folder}; wait for it, or name another folder with --folder"
            raise ReasonRankError(message) from error
        except OSError as error:
            raise SettingsError(f"folder {self.folder} cannot be written: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()


class _Doing:
    """A run that is under way; its manifest is on disk whenever a stage is at work."""

    def __init__(self, plans: Plans, folder: Path, watch: Watch, found: Manifest | None) -> None:
        self._plans, self._folder, self._watch = plans, folder, watch
        manifest = new_manifest(plans.public(), plans.profile)
        if found is not None:
            manifest = manifest.model_copy(update={"records": found.records, "created": found.created})
        self.manifest = manifest
        manifest.write(folder)

    def do(self, place: int, planned: Planned, *, hint: str) -> None:
        """Keep a stage or run it.

        Args:
            hint: with what a run is started again that goes on here.
        """
        if planned.todo == "keep":
            self._watch.say(f"{planned.step.label} is kept: {planned.why}")
            return
        goes_on = planned.todo == "go on"
        self._watch.say(f"{planned.step.label} {'goes on' if goes_on else 'runs'}: {planned.why}")
        self._put_away(place + goes_on)
        record = self._again(self.manifest.records[place]) if goes_on else self._first(place, planned)
        self._record(place, record)
        work = self._work(record)
        work.folder.mkdir(exist_ok=True)
        self._watch.begin(record.label)
        with self._recorded(place, hint):
            made = planned.step.stage.run(work, planned.step.options)
            outputs = {name: self._artifact(name, path) for name, path in made.artifacts.items()}
            self._update(place, outputs=outputs, numbers=_plain(made.numbers), gone=made.gone)

    def _first(self, place: int, planned: Planned) -> Record:
        step = planned.step
        return Record(
            stage=step.name,
            label=step.label,
            folder=step.folder,
            status="running",
            inputs=self._plans.inputs(step, handed_on(self.manifest.records[:place])),
            started=_now(),
        )

    def _again(self, record: Record) -> Record:
        return record.model_copy(
            update={"status": "running", "attempts": record.attempts + 1, "error": "", "ended": None}
        )

    def _work(self, record: Record) -> Work:
        return Work(
            folder=self._folder / record.folder,
            artifacts={name: self._folder / artifact.path for name, artifact in record.inputs.artifacts.items()},
            base=self._plans.recipe.base,
            profile=self._plans.profile,
            seed=self._plans.recipe.seed,
            say=lambda sentence: self._watch.say(f"{record.label}: {sentence}"),
            progress=self._watch.progress,
        )

    @contextmanager
    def _recorded(self, place: int, hint: str) -> Iterator[None]:
        """Write down how a stage ends."""
        started = time.monotonic()
        record = self.manifest.records[place]

        def ended(status: str, error: str = "") -> None:
            seconds = round(record.seconds + time.monotonic() - started, 3)
            self._update(place, status=status, error=error, ended=_now(), seconds=seconds)

        try:
            yield
        except ReasonRankError as error:
            ended("failed", str(error))
            message = f"stage {record.label}: {error}; what is finished is kept, run it again{hint} to go on"
            error.args = (message, *error.args[1:])
            raise
        except Exception as error:
            ended("failed", f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            ended("interrupted")
            self._watch.say(f"{record.label} is interrupted; what is finished is kept, run it again{hint} to go on")
            raise
        ended("done")

    def _update(self, place: int, **change: object) -> None:
        self._record(place, self.manifest.records[place].model_copy(update=change))

    def _record(self, place: int, record: Record) -> None:
        """Put a record in its place, the last."""
        records = (*self.manifest.records[:place], record)
        self.manifest = self.manifest.model_copy(update={"records": records})
        self.manifest.write(self._folder)

    def _artifact(self, name: str, path: Path) -> Artifact:
        mark = digest(path)
        if mark is None:
            raise DataError(f"is not there, and was to be handed on as {name!r}", path=str(path))
        whole = path.resolve()
        inside = whole.is_relative_to(self._folder)
        return Artifact(path=str(whole.relative_to(self._folder) if inside else whole), sha256=mark)

    def _put_away(self, place: int) -> None:
        """Move aside what stages from `place` on have made: they cannot go on with it, but its owner may want it."""
        names = {record.folder for record in self.manifest.records[place:]}
        names |= {step.folder for step in self._plans.steps[place:]}
        for name in sorted(names):
            folder, number = self._folder / name, 1
            if not folder.is_dir():
                continue
            while (target := self._folder / OLD / f"{name}.{number}").exists():
                number += 1
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
            self._watch.say(f"what was in {name} now stands in {target.relative_to(self._folder)}")


def _plain(numbers: Mapping[str, Any]) -> Any:
    """Numbers as a manifest holds them."""
    return json.loads(json.dumps(dict(numbers), default=str))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
