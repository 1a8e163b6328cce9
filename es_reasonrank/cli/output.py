"""How commands speak: data on stdout, everything else on stderr, colours and progress only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 140)


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Sequence[str] = ()
) -> Table:
    """A table; the columns named in `right` hold numbers. Nothing in a cell is read as markup."""
    grid = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return grid


def facts(values: Mapping[str, Any], *, title: str = "") -> Table:
    """Names and values in two columns."""
    grid = Table(title=title or None, title_justify="left", show_header=False, box=None, pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in values.items():
        grid.add_row(Text(name), Text(str(value)))
    return grid


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """A spinner on a terminal's stderr; silent elsewhere."""
    if not err.is_terminal:
        yield
        return
    with err.status(Text(label)):
        yield


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Progress]:
    """A bar with count, rate's base and time left, on a terminal's stderr; silent elsewhere. Its only task is 0."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        bar.add_task(label, total=total, note="")
        yield bar
