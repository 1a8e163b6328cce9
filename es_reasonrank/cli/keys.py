"""`es-reasonrank keys`: API keys for the service's own routes."""

from __future__ import annotations

from typing import get_args

import click
import yaml

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.service_settings import Scope

SCOPES: tuple[str, ...] = get_args(Scope)


@click.group()
def command() -> None:
    """API keys for the service's rerank API."""


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("rerank",),
    show_default=True,
    help="What the key is for; may be given several times.",
)
@as_json
def new(name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key for the caller NAME. It is shown once; the settings hold only its hash."""
    from es_reasonrank.service.keys import new_key

    made = new_key()
    entry = {"name": name, "hash": made.hash, "scopes": list(dict.fromkeys(scopes))}
    if as_json:
        output.emit_json({"key": made.key, **entry})
        return
    # The YAML alone is on stdout, so that it may go to a file; the key is not for a file.
    click.echo(f"The key, shown only now; give it to the caller:\n\n{made.key}\n", err=True)
    click.echo("Its hash, for the service's settings file:\n", err=True)
    click.echo(yaml.safe_dump({"service": {"api_keys": [entry]}}, sort_keys=False, width=200).rstrip())
