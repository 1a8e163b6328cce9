"""What a run was made from and what it made: `manifest.json` in its folder, whole after every change.

A stage is kept as long as what it was given is as its record says, and what it handed on is still what it made. Both
are known by SHA-256 of their content, wherever the folder lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from es_reasonrank.errors import DataError, SettingsError
from es_reasonrank.evaluation.provenance import provenance
from es_reasonrank.files import replacing
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.validation import Checked, checked
from trainer.memory import gib
from trainer.stages import Written

FILE = "manifest.json"

_PACKAGES = ("trl", "peft", "accelerate", "datasets")
_MATTER = ("es-reasonrank", "torch", "transformers", "trl", "peft", "sentence-transformers")
"""Packages by whose versions a stage's result may differ."""


class Artifact(Checked):
    """A file or a folder that a stage handed on."""

    path: str = Field(description="Relative to the run's folder where it lies in there.")
    sha256: str


class Base(Checked):
    """The model that is trained."""

    name: str
    sha256: str | None = Field(description="None where it is no folder.")


class Inputs(Checked):
    """All that a stage's result depends on."""

    options: dict[str, Any]
    files: dict[str, str | None] = Field(description="SHA-256 of what the options name; None where nothing is there.")
    artifacts: dict[str, Artifact] = Field(description="What earlier stages handed on.")
    base: Base
    profile: dict[str, Any]
    seed: int
    versions: dict[str, str]


class Record(Checked):
    """What became of one stage."""

    stage: str
    label: str
    folder: str
    status: Literal["running", "done", "failed", "interrupted"]
    inputs: Inputs
    outputs: dict[str, Artifact] = Field({})
    gone: tuple[str, ...] = Field((), description="Artifacts of earlier stages that end with it.")
    numbers: dict[str, Any] = Field({})
    started: str
    ended: str | None = None
    seconds: float = Field(0.0, description="Of work, without attempts that were killed.")
    attempts: int = 1
    error: str = ""


class Manifest(Checked):
    """A run."""

    format: Literal[1] = 1
    recipe: dict[str, Any]
    versions: dict[str, str]
    python: str
    machine: dict[str, Any]
    commit: str = Field(description="Of the code's own repository; empty where it is installed as a package.")
    created: str
    records: tuple[Record, ...] = Field((), description="In the recipe's order; only the last may be unfinished.")

    def write(self, folder: Path) -> None:
        """Write it into the run's folder, whole or not at all."""
        with replacing(folder / FILE) as file:
            json.dump(self.model_dump(mode="json"), file, ensure_ascii=False, indent=2)
            file.write("\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a run's folder, where there is one.

    Raises:
        DataError: it cannot be read, or is none.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return checked(Manifest, json.loads(path.read_text(encoding="utf-8")), where="manifest")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except (ValueError, SettingsError) as error:
        raise DataError(f"is no manifest ({error}); choose another folder to begin anew", path=str(path)) from error


def new_manifest(recipe: Mapping[str, Any], profile: Profile) -> Manifest:
    """The manifest of a run that begins now, on this machine."""
    found = provenance(profile)
    return Manifest(
        recipe=dict(recipe),
        versions=_versions(profile),
        python=found["python"],
        machine={"platform": found["machine"], **_machine()},
        commit=_commit(),
        created=found["created"],
    )


def inputs_of(
    options: BaseModel, artifacts: Mapping[str, Artifact], *, base: Base, profile: Profile, seed: int
) -> Inputs:
    """What a stage is given, files by their content."""
    versions = _versions(profile)
    return Inputs(
        options=options.model_dump(mode="json"),
        files={str(path): digest(path) for path in dict.fromkeys(paths_in(options))},
        artifacts=dict(artifacts),
        base=base,
        profile=json.loads(json.dumps(profile.public(), default=str)),
        seed=seed,
        versions={name: versions[name] for name in _MATTER if name in versions},
    )


def handed_on(records: Iterable[Record]) -> dict[str, Artifact]:
    """What a stage is given that comes behind those stages; of one name, the latest."""
    given: dict[str, Artifact] = {}
    for record in records:
        given = {name: artifact for name, artifact in given.items() if name not in record.gone} | record.outputs
    return given


def base_of(name: str) -> Base:
    """A base model; one in a folder is known by its files."""
    folder = Path(name).expanduser()
    return Base(name=name, sha256=digest(folder) if folder.is_dir() else None)


def difference(old: Inputs, new: Inputs) -> str:
    """The first thing in which they differ, in words; nothing where they are the same."""
    before, now = old.model_dump(), new.model_dump()
    for part, what in _WORDS.items():
        if before[part] != now[part]:
            key, *values = _first(before[part], now[part])
            return what.format(key=key, name=key.partition(".")[0], before=_short(values[0]), now=_short(values[1]))
    return ""


_WORDS = {
    "seed": "the seed was {before} and is {now}",
    "base": "the base model's {key} was {before} and is {now}",
    "options": "its {key} was {before} and is {now}",
    "files": "{key} has changed",
    "artifacts": "{name}, which it was given, has changed",
    "profile": "the profile's {key} was {before} and is {now}",
    "versions": "{key} was {before} and is {now}",
}


def _first(old: Any, new: Any) -> tuple[str, Any, Any]:
    """The dotted key of the first difference, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old | new:
            if old.get(name) != new.get(name):
                key, before, now = _first(old.get(name), new.get(name))
                return f"{name}.{key}" if key else name, before, now
    return "", old, new


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"


def paths_in(value: Any) -> Iterator[Path]:
    """The paths that options name, at any depth, but for those that are `Written`."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if not any(mark is Written or isinstance(mark, Written) for mark in field.metadata):
                yield from paths_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from paths_in(entry)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for entry in value:
            yield from paths_in(entry)


def digest(path: Path) -> str | None:
    """SHA-256 of a file, or of a folder's files with their names; None where nothing is there.

    Raises:
        DataError: it cannot be read.
    """
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        if not path.is_dir():
            return None
        whole = hashlib.sha256()
        for inner in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            whole.update(f"{inner.relative_to(path).as_posix()}\0{digest(inner)}\n".encode())
        return whole.hexdigest()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error


def _versions(profile: Profile) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = dict(provenance(profile)["versions"])
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    """Processors, memory, and GPUs where torch is loaded already."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if torch else []
    return {"processors": os.cpu_count(), "memory": gib(memory), "gpus": gpus}


def _commit() -> str:
    """The commit that this very file is tracked in; with "+" where the tree holds changes."""
    here = Path(__file__)
    if not _git(here.parent, "ls-files", here.name):
        return ""
    changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    return _git(here.parent, "rev-parse", "HEAD") + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str:
    try:
        found = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
