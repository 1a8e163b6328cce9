"""`trainer retrain`: one round of a recipe, where there are new judgments."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from trainer.commands.run import display, show_result


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.option(
    "--runs", type=click.Path(path_type=Path), metavar="DIR", help="Where all rounds are; in the data folder."
)
@click.option("--least", default=1, show_default=True, type=click.IntRange(min=1), help="New judgments worth a round.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change the recipe: sft.epochs=1.")
@click.option("--ignore-memory", is_flag=True, help="Start even where the estimate says that the memory will not do.")
@as_json
def command(
    recipe: str, runs: Path | None, least: int, assignments: tuple[str, ...], ignore_memory: bool, as_json: bool
) -> None:
    """Make and deploy a new model where there are new judgments.

    RECIPE reads judgments (a source of kind judged) and ends with deploy: run this command every month, or every
    night. A round that was ended early goes on; where too little is new, nothing is done; a model that is not better
    is not deployed, and the command exits with 8.
    """
    from trainer.recipe import load_recipe
    from trainer.retrain import next_round
    from trainer.runner import Runner, default_folder

    chosen = load_recipe(recipe).assigned(assignments)
    place = runs or default_folder(chosen).with_name(f"{chosen.name}.rounds")
    found = next_round(chosen, place.expanduser(), least=least)
    if found.folder is None:
        told = f"since {found.since[:19]}" if found.since else "so far"
        sentence = f"{found.judgments} judgments {told}, fewer than {least}: nothing to do"
        if as_json:
            output.emit_json({"done": False, "judgments": found.judgments, "since": found.since})
        else:
            output.out.print(Text(sentence))
        return
    with display() as watch:
        watch.say("going on with the round before" if found.goes_on else f"{found.judgments} new judgments")
        runner = Runner(chosen, found.folder, watch=watch)
        manifest = runner.run(check_memory=not ignore_memory)
    if as_json:
        output.emit_json({"done": True, "folder": str(runner.folder), **manifest.model_dump(mode="json")})
    else:
        show_result(manifest, runner.folder)
