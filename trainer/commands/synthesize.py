"""`trainer synthesize`: make training lists from sources, searches and a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.validation import checked, read_yaml
from trainer.commands.run import display


@click.command()
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG")
@click.option("--output", "target", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The lists.")
@click.option("--yes", is_flag=True, help="Ask the teacher, whatever the estimate says that it costs.")
@as_json
def command(config: Path, target: Path, yes: bool, as_json: bool) -> None:
    """Make training lists from sources, searches and a teacher.

    CONFIG is a YAML file with sources, candidates, teacher, leaks and seed, as the stage synthesize of a recipe has
    them. What takes long is kept in the folder OUTPUT.work: started again after a kill, it goes on. So are the
    teacher's answers, and the report on what is kept out because a test set holds it.
    """
    from es_reasonrank.files import json_lines, write_json_lines
    from es_reasonrank.rerank.profile import load_profile
    from trainer.stages import Work
    from trainer.synthesis.stage import Options, run

    options = checked(Options, _agreed(read_yaml(config, what="config"), yes=yes), where=f"config {config}")
    folder = target.with_name(target.name + ".work")
    folder.mkdir(parents=True, exist_ok=True)
    with display() as watch:
        watch.begin("synthesize")
        profile = load_profile("identity")
        made = run(Work(folder, {}, base="", profile=profile, seed=0, say=watch.say, progress=watch.progress), options)
    write_json_lines(target, (row for _, row in json_lines(made.artifacts["lists"])))
    if as_json:
        output.emit_json({**made.numbers, "artifacts": {name: str(path) for name, path in made.artifacts.items()}})
        return
    _print(made.numbers, target, made.artifacts["leaks"])


def _agreed(values: dict[str, Any], *, yes: bool) -> dict[str, Any]:
    """The config, with the consent that was given on the command line."""
    teacher = values.get("teacher")
    if not yes or not isinstance(teacher, dict) or teacher.get("kind") != "model":
        return values
    return {**values, "teacher": {**teacher, "yes": True}}


def _print(numbers: Mapping[str, Any], target: Path, leaks: Path) -> None:
    rows = []
    for name, source in numbers["sources"].items():
        left_out = ", ".join(f"{count} {why}" for why, count in source["left_out"].items()) or "-"
        kept_out = sum(count for found in source["leaks"].values() for count in found.values())
        rows.append((name, source["queries"], source["lists"], source["relevant_a_list"], kept_out, left_out))
    columns = ["source", "queries", "lists", "relevant a list", "leaks", "left out"]
    output.out.print(output.table(columns, rows, right=columns[1:-1]))
    if "teacher" in numbers:
        output.out.print(output.facts(numbers["teacher"], title="Teacher"))
    output.out.print(Text(f"{numbers['lists']} lists in {target}; what was kept out: {leaks}"))
