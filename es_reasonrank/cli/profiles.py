"""`es-reasonrank profiles`: the rankers that can be used."""

from __future__ import annotations

import click
import yaml

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.rerank.profile import load_profile, profile_names


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """The rankers that can be used."""
    if context.invoked_subcommand is None:
        context.invoke(list_profiles)


@command.command("list")
@as_json
def list_profiles(as_json: bool = False) -> None:
    """List the profiles that come with the package."""
    profiles = [load_profile(name) for name in profile_names()]
    if as_json:
        output.emit_json([profile.model_dump() for profile in profiles])
        return
    rows = [
        (profile.name, profile.strategy["name"], profile.judge["name"], profile.engine["name"], profile.summary)
        for profile in profiles
    ]
    output.out.print(output.table(["name", "strategy", "judge", "engine", "summary"], rows))


@command.command("show")
@click.argument("name")
@as_json
def show_profile(name: str, as_json: bool) -> None:
    """Show one profile: its axes, settings, paper, and what a model must offer."""
    values = load_profile(name).model_dump()
    if as_json:
        output.emit_json(values)
        return
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120).rstrip())
