"""`es-reasonrank index`: load documents into an index."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json, elastic_options
from es_reasonrank.elastic.readers import Fields, Source, open_source
from es_reasonrank.errors import PartialError
from es_reasonrank.settings import Settings

if TYPE_CHECKING:
    from es_reasonrank.elastic.indexing import Report
    from es_reasonrank.elastic.ledger import Ledger


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE|FOLDER")
@click.option("--index", "index", required=True, metavar="NAME", help="Index to load into; created where it is not.")
@click.option("--recreate", is_flag=True, help="Delete the index with all its documents first.")
@click.option("--id-field", default="", metavar="NAME", help="Field that holds the id.")
@click.option("--title-field", default="", metavar="NAME", help="Field that holds the title.")
@click.option("--body-field", default="", metavar="NAME", help="Field that holds the text.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where rejected rows go; by default the data folder.",
)
@click.option(
    "--chunk", type=click.IntRange(min=1), default=500, show_default=True, metavar="N", help="Documents a request."
)
@elastic_options
@as_json
def command(
    settings: Settings,
    source: Path,
    index: str,
    recreate: bool,
    id_field: str,
    title_field: str,
    body_field: str,
    rejects: Path | None,
    chunk: int,
    as_json: bool,
) -> None:
    """Load documents into an index.

    They come from JSON Lines, from CSV with a header, or from a folder of such files (BEIR's layout too). Loading them
    again replaces them; a load that was cut off goes on where it was. An index that is there keeps its own mapping.
    """
    documents = open_source(source, Fields(id=id_field, title=title_field, body=body_field))
    report = asyncio.run(_load(settings, documents, index, recreate=recreate, rejects=rejects, chunk=chunk))
    if as_json:
        output.emit_json(_values(report))
    else:
        output.out.print(output.facts(_shown(report)))
    if report.rejected:
        total = report.rejected + report.indexed
        raise PartialError(
            f"{report.rejected:,} of {total:,} rows were rejected and stand in {report.rejects} with their reasons, "
            f"such as {report.first_reason}",
            failed=report.rejected,
            total=total,
        )


async def _load(
    settings: Settings, source: Source, index: str, *, recreate: bool, rejects: Path | None, chunk: int
) -> Report:
    from es_reasonrank.elastic.client import connected
    from es_reasonrank.elastic.indexing import load

    async with connected(settings.elastic) as client:
        total = source.count() if output.err.is_terminal else None
        with output.progress("indexing", total) as bar:

            def show(ledger: Ledger) -> None:
                done = ledger.indexed + ledger.rejected
                speed = bar.tasks[0].speed
                bar.update(bar.tasks[0].id, completed=done, note=f"{speed:,.0f} documents/s" if speed else "")

            return await load(client, source, index, recreate=recreate, rejects=rejects, chunk=chunk, on_progress=show)


def _values(report: Report) -> dict[str, object]:
    return {
        "source": str(report.source),
        "index": report.index,
        "indexed": report.indexed,
        "resumed": report.resumed,
        "replaced": report.replaced,
        "rejected": report.rejected,
        "rejects": report.rejects and str(report.rejects),
        "seconds": round(report.seconds, 3),
        "documents_per_second": round(report.rate, 1),
    }


def _shown(report: Report) -> dict[str, str]:
    earlier = f", {report.resumed:,} of them by the run that was cut off" if report.resumed else ""
    replaced = f", {report.replaced:,} in place of one with the same id" if report.replaced else ""
    return {
        "index": report.index,
        "indexed": f"{report.indexed:,}{earlier}{replaced}",
        "rejected": f"{report.rejected:,}",
        "time": f"{report.seconds:.1f} s, {report.rate:,.0f} documents/s",
    }
