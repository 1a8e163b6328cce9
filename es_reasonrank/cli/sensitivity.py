"""`es-reasonrank sensitivity`: how much a ranker's result depends on the incoming order."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from es_reasonrank.batch.runs import Task, tasks
from es_reasonrank.cli import output
from es_reasonrank.cli.loading import load
from es_reasonrank.cli.options import as_json, at_once, ranker_options
from es_reasonrank.errors import DataError, ReasonRankError
from es_reasonrank.evaluation.measures import Measured, by_place, measure
from es_reasonrank.evaluation.runs import Qrels, read_qrels, read_queries, read_run, read_texts
from es_reasonrank.evaluation.sensitivity import MEASURE, Sensitivity, sensitivity
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import Settings
from es_reasonrank.types import Ranking

_FILE: dict[str, Any] = {"required": True, "type": click.Path(path_type=Path), "metavar": "FILE"}


@click.command()
@click.option("--run", "run_file", **_FILE, help="TREC run to rerank.")
@click.option("--queries", **_FILE, help="Queries: JSON Lines with _id and text.")
@click.option("--corpus", **_FILE, help="Documents: JSON Lines with _id, title and text.")
@click.option("--qrels", **_FILE, help="Judgments: TREC or BEIR form.")
@click.option(
    "--orders", default=3, show_default=True, type=click.IntRange(1, 100), metavar="N", help="Shuffled orders to try."
)
@at_once
@ranker_options
@as_json
def command(
    run_file: Path,
    queries: Path,
    corpus: Path,
    qrels: Path,
    orders: int,
    at_once: int,
    settings: Settings,
    profile: Profile,
    as_json: bool,
) -> None:
    """Measure how much the incoming order changes a ranking.

    The run's candidates are reranked in the run's own order and in shuffled ones (--shuffle-seed is the first seed),
    and nDCG@10 is compared.
    """
    run = read_run(run_file)
    texts = read_texts(corpus, {hit.id for hits in run.values() for hit in hits})
    todo = tasks(run, read_queries(queries), texts, path=str(run_file))
    judged = {query: grades for query, grades in read_qrels(qrels).items() if query in run}
    if not judged:
        raise DataError(f"has no judgment of any of the {len(run)} queries of {run_file}", path=str(qrels))
    first = profile.orders.shuffle_seed or 1
    measured = asyncio.run(_measured(profile, todo, judged, [None, *range(first, first + orders)], at_once))
    found = sensitivity(measured[0], measured[1:])
    if as_json:
        output.emit_json({"profile": profile.name, "measure": MEASURE, **asdict(found), "mean": found.mean})
    else:
        _print(found, first)


async def _measured(
    profile: Profile, todo: list[Task], qrels: Qrels, seeds: list[int | None], at_once: int
) -> list[Measured]:
    """The ranker's measures from each incoming order."""
    results = []
    async with Reranker.load(profile) as loaded:
        await load(loaded)
        with output.progress("reranking", len(todo) * len(seeds)) as bar:
            for seed in seeds:
                shuffled = profile.model_copy(
                    update={"orders": profile.orders.model_copy(update={"shuffle_seed": seed})}
                )
                reranker = Reranker(shuffled, loaded.ranker)

                async def work(task: Task, reranker: Reranker = reranker) -> Ranking:
                    return await reranker.arank(task.query, task.candidates)

                rankings = {}
                async for task, result in run_all(todo, work, at_once=at_once):
                    if isinstance(result, ReasonRankError):
                        raise result
                    rankings[task.id] = [candidate.id for candidate in result]
                    bar.advance(bar.task_ids[0])
                results.append(measure(qrels, by_place(rankings), [MEASURE]))
    return results


def _print(found: Sensitivity, first: int) -> None:
    rows = [("the run's own", f"{found.base:.4f}", "")]
    rows += [
        (f"shuffled, seed {first + number}", f"{value:.4f}", f"{value - found.base:+.4f}")
        for number, value in enumerate(found.shuffled)
    ]
    output.out.print(output.table(["incoming order", MEASURE, "change"], rows, right=[MEASURE, "change"]))
    output.out.print(
        f"shuffled: mean {found.mean:.4f}, standard deviation {found.deviation:.4f}; "
        f"a query moves by {found.moved:.4f} on average"
    )
