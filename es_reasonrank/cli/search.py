"""`es-reasonrank search`: search an index and rerank its top hits."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.loading import load
from es_reasonrank.cli.options import as_json, search_options
from es_reasonrank.cli.report import exit_code, move, print_trace
from es_reasonrank.elastic.cache import cache_of
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.passages import TextSource
from es_reasonrank.elastic.response import reordered
from es_reasonrank.elastic.search import Searched, plan, search
from es_reasonrank.errors import DataError, EngineError, InputError
from es_reasonrank.files import json_object
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.rerank.trace import trace_json
from es_reasonrank.settings import Settings
from es_reasonrank.validation import checked


@click.command()
@click.argument("index")
@click.argument("query")
@click.option("--size", default=10, show_default=True, type=click.IntRange(min=1), metavar="N", help="Hits to show.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="Field that holds text; may be repeated.")
@click.option("--template", default="", metavar="TEXT", help="Text of a hit: '{{title}}: {{body}}'.")
@click.option(
    "--take", default="all", type=click.Choice(["all", "highlights", "best"]), help="Part of a long text to read."
)
@click.option(
    "--body",
    "body_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with a search body, instead of a text search.",
)
@click.option("--deadline", type=click.FloatRange(min=0), metavar="SECONDS", help="Time that reranking may take.")
@click.option("--explain", is_flag=True, help="Show each window's outcome and reasoning.")
@search_options
@as_json
def command(
    index: str,
    query: str,
    size: int,
    fields: tuple[str, ...],
    template: str,
    take: str,
    body_file: Path | None,
    deadline: float | None,
    explain: bool,
    settings: Settings,
    profile: Profile,
    as_json: bool,
) -> int:
    """Search an index and rerank its top hits.

    With --json, the Elasticsearch response in its new order; base rank and score are in each hit's `_rerank`.
    """
    chosen = () if template else fields or settings.fields
    source = checked(TextSource, {"fields": chosen, "template": template, "take": take}, where="the text of a hit")
    if not query.strip():
        raise InputError("the query is empty; give a query to search and rank by")
    body = _read_body(body_file) if body_file else None

    async def run() -> tuple[Searched, float]:
        async with (
            connected(settings.elastic) as client,
            Reranker.load(profile, cache=cache_of(client, settings.cache)) as reranker,
        ):
            planned = await plan(client, index, chosen, source)
            started = time.monotonic()
            # Without a model, the base order is shown with its status.
            with suppress(EngineError):
                await load(reranker)
            loaded = time.monotonic() - started
            found = await search(client, reranker, index, query, plan=planned, body=body, size=size, deadline=deadline)
            return found, loaded

    found, loaded = asyncio.run(run())
    if as_json:
        response = reordered(found.candidates, found.ranking, body or {}, start=0, size=size)
        output.emit_json(response | {"_rerank": trace_json(found.ranking.trace, explain)})
    else:
        _print(found, query, size, explain, loaded)
    return exit_code(found.ranking.trace.status)


def _print(found: Searched, query: str, size: int, explain: bool, loaded: float) -> None:
    ranking = found.ranking
    if not ranking.order:
        output.out.print(f"no hits for {query!r}")
        return
    rows = []
    for rank, index in enumerate(ranking.order[:size], start=1):
        hit, other = ranking.candidates[index], ranking.candidates[rank - 1]
        base = "-" if hit.score is None else f"{hit.score:.3f}"
        rows.append(
            (
                rank,
                move(index + 1, rank),
                _label(hit),
                f"{ranking.scores[rank - 1]:.3f}",
                index + 1,
                base,
                _label(other),
            )
        )
    columns = ["rank", "move", "reranked", "score", "base", "base score", "base order"]
    output.out.print(output.table(columns, rows, right=["rank", "score", "base", "base score"]))
    print_trace(
        ranking,
        explain=explain,
        before=f"model loaded in {loaded:.1f} s, search {found.search_seconds * 1000:.0f} ms, ",
    )


def _label(candidate: Any) -> Text:
    """A hit in a cell: its title or the beginning of its text, on one line."""
    words = " ".join((candidate.title or candidate.text or f"({candidate.note})").split())
    return Text(f"{words[:48]}{'…' if len(words) > 48 else ''}", no_wrap=True, overflow="ellipsis")


def _read_body(path: Path) -> dict[str, Any]:
    try:
        return json_object(json.dumps(json.loads(path.read_text(encoding="utf-8"))), path=path, line=1)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except ValueError as error:
        raise DataError(f"not valid JSON ({error})", path=str(path)) from error
