"""`es-reasonrank batch`: rerank many queries and write the results to an index."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click

from es_reasonrank.batch.outcomes import Totals
from es_reasonrank.batch.searches import Job, open_job, run_job
from es_reasonrank.cli import output
from es_reasonrank.cli.loading import load
from es_reasonrank.cli.options import as_json, at_once, record_option, search_options
from es_reasonrank.cli.report import settled
from es_reasonrank.elastic.cache import cache_of
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.search import plan
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.evaluation.provenance import fingerprint
from es_reasonrank.evaluation.runs import read_queries
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import Settings


@click.command()
@click.option("--index", required=True, metavar="NAME", help="Index, pattern or alias to search.")
@click.option(
    "--queries",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Queries: JSON Lines with _id and text.",
)
@click.option("--results-index", required=True, metavar="NAME", help="Index for the results; created if not there.")
@click.option("--run-id", metavar="NAME", help="Name of this run; by default made of the profile and the index.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="Field that holds text; may be repeated.")
@at_once
@record_option
@search_options
@as_json
def command(
    index: str,
    queries: Path,
    results_index: str,
    run_id: str | None,
    fields: tuple[str, ...],
    at_once: int,
    record: Path | None,
    settings: Settings,
    profile: Profile,
    as_json: bool,
) -> int:
    """Rerank many queries and write the results to an index.

    Each query is there exactly once: started again after a stop, it goes on; started again after its end, it adds
    nothing.
    """
    todo = read_queries(queries)
    chosen = fields or settings.fields
    run = run_id or f"{profile.name}-{fingerprint(profile, index, *chosen)[:8]}"
    totals, failed = Totals(), dict[str, ReasonRankError]()

    async def work() -> None:
        async with (
            connected(settings.elastic) as client,
            Reranker.load(profile, record=record, cache=cache_of(client, settings.cache)) as reranker,
        ):
            job = Job(run, index, results_index, await plan(client, index, chosen))
            missing = await open_job(client, job, todo)
            totals.earlier = len(todo) - len(missing)
            totals.load_seconds = await load(reranker) if missing else 0.0
            started = time.monotonic()
            with output.progress("reranking", len(missing)) as bar:
                async for name, result in run_job(client, reranker, job, missing, at_once=at_once):
                    if isinstance(result, ReasonRankError):
                        failed[name] = result
                    else:
                        totals.add(result.ranking.trace)
                    bar.advance(bar.task_ids[0])
            totals.seconds = time.monotonic() - started
            await client.indices.refresh(index=results_index)

    asyncio.run(work())
    summary: dict[str, Any] = {"run": run, "queries": len(todo), "failed": len(failed)}
    return settled(summary | totals.summary(), failed, as_json=as_json, written=results_index)
