"""Stages that write lines, to see which ones a runner starts, with what, and how often; and a run of them to kill."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, SecretStr

from es_reasonrank.errors import EngineError
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.validation import Checked
from trainer.memory import Training
from trainer.recipe import Recipe
from trainer.runner import Runner, Watch
from trainer.stages import Made, Stage, Work, Written

BASE = "embedded:smollm2-135m"


class WriteOptions(Checked):
    """What is written."""

    lines: int = Field(3, ge=1)
    word: str = "line"
    rate: float = 0.5
    key: SecretStr | None = None
    data: Path | None = None
    target: Annotated[Path | None, Written] = None


class Write:
    """Hands on its lines; a line says by which process it was written. What is there is not written again.

    TOY_BROKEN names the folder whose stage fails when all is written; TOY_PAUSE are seconds after every line.
    """

    Options = WriteOptions

    def run(self, work: Work, options: WriteOptions) -> Made:
        path = work.folder / f"{work.folder.name}.txt"
        done = path.read_text().splitlines() if path.exists() else []
        for number in range(len(done), options.lines):
            with path.open("a") as file:
                file.write(f"{options.word} {number} by {os.getpid()}\n")
            work.log(number + 1, loss=1 / (number + 1))
            time.sleep(float(os.environ.get("TOY_PAUSE", "0")))
        if work.folder.name == os.environ.get("TOY_BROKEN"):
            raise EngineError("the engine is broken", engine="toy")
        return Made({"text": path, work.folder.name: path}, {"lines": options.lines, "given": sorted(work.artifacts)})


class End(Write):
    """Takes an artifact away."""

    def run(self, work: Work, options: WriteOptions) -> Made:
        made = super().run(work, options)
        return Made(made.artifacts, made.numbers, gone=("01-first",))


class Train(Write):
    """Says that it trains something large."""

    def training(self, options: WriteOptions, profile: Profile) -> Training | None:
        return Training(tokens=10**9)


STAGES: dict[str, Stage] = {"first": Write(), "second": Write(), "third": Write(), "end": End(), "train": Train()}


def recipe(stages: Sequence[Any] = ("first", "second", "third"), **values: Any) -> Recipe:
    """A recipe of such stages."""
    given = {"name": "toy", "base": BASE, "profile": "embedded", "stages": list(stages), **values}
    return Recipe.model_validate(given)


def runner(folder: Path, made: Recipe, say: list[str] | None = None) -> Runner:
    """A runner of them; what it says is appended to `say`."""
    watch = Watch() if say is None else Watch(say=say.append)
    return Runner(made, folder, find=STAGES.__getitem__, watch=watch)


def main() -> None:
    """Run the recipe in the file that is named first in the folder that is named second, and say how it goes.

    TOY_STOP is the beginning of a sentence after which nothing happens.
    """

    def say(sentence: str) -> None:
        sys.stdout.write(sentence + "\n")
        sys.stdout.flush()
        if sentence.startswith(os.environ.get("TOY_STOP", "never")):
            time.sleep(60)

    made = Recipe.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
    Runner(made, Path(sys.argv[2]), find=STAGES.__getitem__, watch=Watch(say=say)).run()


if __name__ == "__main__":
    main()
