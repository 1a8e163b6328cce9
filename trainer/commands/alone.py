"""`trainer sft`, `reward`, `rl`, `merge`, `encoder`, `adjuster`, `evaluate`, `deploy`: one stage by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.errors import MissingError, SettingsError
from trainer.commands.run import display

_WHAT = {
    "sft": "Train on lists: the model learns to say what the teacher said.",
    "reward": "Train a reward model on the model's own replies, by what they are worth.",
    "rl": "Train on lists: the model is rewarded for how well what it says ranks.",
    "merge": "Merge an adapter into its model.",
    "encoder": "Train the small ranker, a bi-encoder, on lists.",
    "adjuster": "Learn in which order a large ranker reads the head of a list best.",
    "evaluate": "Compare models on sets with judgments.",
    "deploy": "Write the profile that serves a model, where it is better.",
}


def _command(name: str) -> click.Command:
    """The command of a stage."""

    @click.argument("recipe", metavar="RECIPE")
    @click.option(
        "--output", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Its folder."
    )
    @click.option(
        "--with", "given", multiple=True, metavar="NAME=PATH", help="What earlier stages made: lists=lists.jsonl."
    )
    @click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help=f"Change the recipe: {name}.KEY=VALUE."
    )
    @as_json
    def run(recipe: str, folder: Path, given: tuple[str, ...], assignments: tuple[str, ...], as_json: bool) -> None:
        from trainer.recipe import load_recipe, steps
        from trainer.stages import stage

        chosen = load_recipe(recipe).assigned(assignments)
        step = next((each for each in steps(chosen, stage) if each.name == name), None)
        if step is None:
            raise SettingsError(f"recipe {chosen.name} has no stage {name!r}; its stages: {', '.join(chosen.labels)}")
        made = _run(step, chosen, folder, _artifacts(given))
        if as_json:
            output.emit_json({**made.numbers, "artifacts": {key: str(path) for key, path in made.artifacts.items()}})
            return
        output.out.print(output.facts(made.numbers, title=name))
        for key, path in made.artifacts.items():
            output.out.print(Text(f"{key}: {path}"))

    run.__doc__ = f"""{_WHAT[name]}

    RECIPE is the name of a recipe that comes with the package, or a YAML file; its first stage {name} is run, with the
    recipe's base, profile and seed. Started again after a kill, it goes on in its folder.
    """
    return click.command(name)(run)


def _run(step: Any, recipe: Any, folder: Path, artifacts: Mapping[str, Path]) -> Any:
    from es_reasonrank.rerank.profile import load_profile
    from trainer.stages import Work

    folder.mkdir(parents=True, exist_ok=True)
    with display() as watch:
        watch.begin(step.label)
        work = Work(
            folder.resolve(),
            artifacts,
            base=recipe.base,
            profile=load_profile(recipe.profile),
            seed=recipe.seed,
            say=watch.say,
            progress=watch.progress,
        )
        return step.stage.run(work, step.options)


def _artifacts(given: tuple[str, ...]) -> dict[str, Path]:
    """What was named on the command line.

    Raises:
        SettingsError: an entry has no such form.
        MissingError: a path does not exist.
    """
    found = {}
    for entry in given:
        name, equals, path = entry.partition("=")
        if not equals:
            raise SettingsError(f"--with {entry!r} names nothing; write NAME=PATH: lists=lists.jsonl, adapter=DIR")
        if not Path(path).exists():
            raise MissingError(f"--with {name}: {path} does not exist")
        found[name] = Path(path).resolve()
    return found


sft, reward, rl, merge = _command("sft"), _command("reward"), _command("rl"), _command("merge")
encoder, adjuster = _command("encoder"), _command("adjuster")
evaluate, deploy = _command("evaluate"), _command("deploy")
