"""`es-reasonrank config`: settings, and where they come from."""

from __future__ import annotations

from typing import Any

import click
from pydantic import BaseModel, SecretStr

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.paths import cache_dir, config_file, data_dir
from es_reasonrank.settings import PROJECT_FILE, leaves, load, value_at


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Settings, and where they come from."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@command.command()
@as_json
def show(as_json: bool = False) -> None:
    """Show every setting, its value and the source that gave it. Secrets are masked."""
    loaded = load()
    rows = [
        {"key": key, "value": _shown(value_at(loaded.settings, key)), "origin": loaded.origins[key], "meaning": meaning}
        for key, meaning in leaves()
    ]
    if as_json:
        output.emit_json(rows)
        return
    cells = [[row["key"], "-" if row["value"] is None else row["value"], row["origin"], row["meaning"]] for row in rows]
    output.out.print(output.table(["key", "value", "from", "meaning"], cells))


@command.command()
@as_json
def path(as_json: bool) -> None:
    """Show where files are looked for and kept."""
    places = {
        "project settings": str(PROJECT_FILE.absolute()),
        "user settings": str(config_file()),
        "cache": str(cache_dir()),
        "data": str(data_dir()),
    }
    output.emit_json(places) if as_json else output.out.print(output.facts(places))


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return [_shown(item) for item in value] if isinstance(value, tuple) else value
