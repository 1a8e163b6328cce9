"""`es-reasonrank elastic`: a real Elasticsearch on this machine, without a container engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json
from es_reasonrank.elastic import embedded
from es_reasonrank.errors import MissingError, SettingsError

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where its indices and logs are; a folder of the user's by default.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """The embedded Elasticsearch server: a real one, for trying and testing."""
    if context.invoked_subcommand is None:
        context.invoke(status)


@command.command()
@click.option("--version", metavar="VERSION", help="Release, or 8 or 9; by default the one used last, else the newest.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default the one used last if it is free, else any.")
@data_dir_option
@click.option("--heap", default="512m", show_default=True, metavar="SIZE", help="Memory for Java's objects.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of Elasticsearch.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Time that the start may take, without the first build.",
)
@as_json
def up(
    version: str | None,
    port: int | None,
    data_dir: Path | None,
    heap: str,
    assignments: Sequence[str],
    timeout: float,
    as_json: bool,
) -> None:
    """Start the server, or show the one that runs. Needs a JDK, and Maven the first time."""
    server = embedded.up(
        version=version,
        port=port,
        data_dir=data_dir,
        heap=heap,
        settings=_settings(assignments),
        timeout=timeout,
        say=_say,
    )
    _show(server, as_json)


@command.command()
@data_dir_option
@as_json
def status(data_dir: Path | None = None, as_json: bool = False) -> None:
    """Show the server that runs. Exit code 3 where none does."""
    server = embedded.status(data_dir)
    if server is None:
        raise MissingError("no embedded Elasticsearch runs; start it with: es-reasonrank elastic up")
    _show(server, as_json)


@command.command()
@data_dir_option
@as_json
def down(data_dir: Path | None, as_json: bool) -> None:
    """Stop the server. Its indices stay, for the next start."""
    stopped = embedded.down(data_dir, say=_say)
    if as_json:
        output.emit_json({"stopped": stopped})
    else:
        click.echo("stopped" if stopped else "no embedded Elasticsearch runs")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _show(server: embedded.Server, as_json: bool) -> None:
    values: dict[str, Any] = {
        "url": server.url,
        "version": server.version,
        "pid": server.pid,
        "data": str(server.data_dir),
        "log": str(server.log),
    }
    output.emit_json(values) if as_json else output.out.print(output.facts(values))


def _settings(assignments: Sequence[str]) -> dict[str, str]:
    settings = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise SettingsError(f"--set {assignment!r} must be of the form KEY=VALUE")
        settings[key] = value
    return settings
