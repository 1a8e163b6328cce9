"""`es-reasonrank rerank`: rerank a TREC run, without Elasticsearch."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click

from es_reasonrank.batch.journal import Journal
from es_reasonrank.batch.outcomes import Totals
from es_reasonrank.batch.runs import Reranked, Task, rerank_tasks, tasks
from es_reasonrank.cli import output
from es_reasonrank.cli.loading import load
from es_reasonrank.cli.options import as_json, at_once, ranker_options, record_option
from es_reasonrank.cli.report import settled
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.evaluation.provenance import fingerprint, provenance
from es_reasonrank.evaluation.runs import read_queries, read_run, read_texts, write_metadata, write_run
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import Settings

_FILE: dict[str, Any] = {"required": True, "type": click.Path(path_type=Path), "metavar": "FILE"}


@click.command()
@click.option("--run", "run_file", **_FILE, help="TREC run to rerank.")
@click.option("--queries", **_FILE, help="Queries: JSON Lines with _id and text.")
@click.option("--corpus", **_FILE, help="Documents: JSON Lines with _id, title and text.")
@click.option("--output", "target", **_FILE, help="TREC run to write.")
@at_once
@record_option
@ranker_options
@as_json
def command(
    run_file: Path,
    queries: Path,
    corpus: Path,
    target: Path,
    at_once: int,
    record: Path | None,
    settings: Settings,
    profile: Profile,
    as_json: bool,
) -> int:
    """Rerank a TREC run, without Elasticsearch.

    What it was made with stands beside the output, in OUTPUT.meta.json. An interrupted run goes on where it was.
    """
    run = read_run(run_file)
    texts = read_texts(corpus, {hit.id for hits in run.values() for hit in hits})
    todo = tasks(run, read_queries(queries), texts, path=str(run_file))
    mark = fingerprint(profile, run_file, queries, corpus)
    with Journal(target.with_name(target.name + ".partial"), mark) as journal:
        work = _rerank(Reranker.load(profile, record=record), todo, journal, at_once)
        done, failed, totals = asyncio.run(work)
        summary = {"queries": len(todo), "failed": len(failed)} | totals.summary()
        if not failed:
            write_run(target, {task.id: done[task.id].order for task in todo}, tag=f"{profile.name}-{mark[:8]}")
            write_metadata(
                target, provenance(profile) | {"inputs": [str(run_file), str(queries), str(corpus)]} | summary
            )
            journal.remove()
    return settled(summary, failed, as_json=as_json, written=str(journal.path if failed else target))


async def _rerank(
    reranker: Reranker, todo: list[Task], journal: Journal, at_once: int
) -> tuple[dict[str, Reranked], dict[str, ReasonRankError], Totals]:
    done: dict[str, Reranked] = {}
    failed: dict[str, ReasonRankError] = {}
    earlier = {row["id"] for row in journal.rows}
    totals = Totals()
    async with reranker:
        totals.load_seconds = await load(reranker)
        started = time.monotonic()
        with output.progress("reranking", len(todo)) as bar:
            async for task, result in rerank_tasks(reranker, todo, journal, at_once=at_once):
                if isinstance(result, ReasonRankError):
                    failed[task.id] = result
                else:
                    done[task.id] = result
                    totals.add(result, earlier=task.id in earlier)
                bar.advance(bar.task_ids[0])
        totals.seconds = time.monotonic() - started
    return done, failed, totals
