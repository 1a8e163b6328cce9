"""The demonstration's work: passages into an index, every question ranked by every profile, results written back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from es_reasonrank.batch.outcomes import Totals
from es_reasonrank.batch.searches import Job, run_job
from es_reasonrank.demo.corpus import passages
from es_reasonrank.elastic.mappings import Kind, recreate_index
from es_reasonrank.elastic.readers import open_source
from es_reasonrank.elastic.search import Plan, Searched
from es_reasonrank.errors import ReasonRankError
from es_reasonrank.evaluation.measures import Measured, by_place, measure, paired_p
from es_reasonrank.evaluation.runs import Qrels
from es_reasonrank.files import write_json_lines
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Outcome

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

INDEX = "es-reasonrank-demo"
RESULTS = "es-reasonrank-demo-results"
MEASURES = ("nDCG@10", "RR@10", "R@100", "Judged@10")
SIZE = 100
"""Hits of each question that are kept and measured, however few of them a profile reranks."""


@dataclass(frozen=True)
class Ranked:
    """What one ranker made of all questions."""

    name: str
    measured: Measured
    totals: Totals
    searches: Mapping[str, Searched]


async def load_passages(client: AsyncElasticsearch) -> int:
    """Make the corpus and load it into a new index. Returns how many passages there are.

    Raises:
        ElasticError: the server failed.
    """
    from es_reasonrank.elastic.indexing import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "python.jsonl"
        write_json_lines(path, passages())
        report = await load(client, open_source(path), INDEX, recreate=True)
    await recreate_index(client, RESULTS, Kind.RESULTS)
    return report.indexed


async def rank(
    client: AsyncElasticsearch,
    reranker: Reranker,
    plan: Plan,
    questions: Mapping[str, str],
    qrels: Qrels,
    *,
    at_once: int,
    on_progress: Callable[[], None],
) -> Ranked:
    """Rank every question with one profile, write the results back, and measure them.

    Raises:
        MissingError: the model is not there.
        ReasonRankError: a question failed.
    """
    started = time.monotonic()
    await reranker.start()
    loaded = time.monotonic()
    job = Job(run=reranker.profile.name, index=INDEX, results=RESULTS, plan=plan, size=SIZE)
    searches: dict[str, Searched] = {}
    totals = Totals(load_seconds=loaded - started)
    async for name, result in run_job(client, reranker, job, questions, at_once=at_once):
        if isinstance(result, ReasonRankError):
            raise result
        searches[name] = result
        totals.add(result.ranking.trace)
        on_progress()
    totals.seconds = time.monotonic() - loaded
    orders = {name: [candidate.id for candidate in found.ranking] for name, found in searches.items()}
    measured = measure(qrels, by_place(orders), MEASURES)
    return Ranked(reranker.profile.name, measured, totals, searches)


def base(ranked: Ranked, qrels: Qrels) -> Ranked:
    """The first stage's own order, from searches that a ranker was given."""
    orders = {name: [candidate.id for candidate in found.ranking.candidates] for name, found in ranked.searches.items()}
    seconds = sum(found.search_seconds for found in ranked.searches.values())
    totals = Totals(done=len(orders), seconds=seconds)
    return Ranked("base (BM25)", measure(qrels, by_place(orders), MEASURES), totals, ranked.searches)


def telling(first: Ranked, second: Ranked) -> dict[str, str]:
    """Three questions by what `second` did to their nDCG@10: the best it did, the middle, and the worst."""
    before, after = (ranked.measured.by_query["nDCG@10"] for ranked in (first, second))
    names = sorted(after, key=lambda name: (before[name] - after[name], name))
    shown = {"gained most": names[0], "in the middle": names[len(names) // 2], "lost most": names[-1]}
    return {
        f"{label} by {second.name} ({before[name]:.2f} to {after[name]:.2f})": name for label, name in shown.items()
    }


def verdict(first: Ranked, second: Ranked) -> str:
    """Whether `second` is better than `first`, as a sentence that the measurement allows."""
    windows = sum(second.totals.outcomes.values())
    if not any(second.totals.outcomes[outcome] for outcome in Outcome if outcome.ranks):
        return (
            f"{second.name} does not help: none of its {windows} replies named an order, and each kept the base order"
        )
    name = "nDCG@10"
    before, after = first.measured.means[name], second.measured.means[name]
    p = paired_p(first.measured.by_query[name], second.measured.by_query[name])
    change = f"{name} {before:.4f} to {after:.4f}, paired t-test p {'< 0.0001' if p < 0.0001 else f'= {p:.4f}'}"
    if p >= 0.05:
        return f"{second.name} does not measurably help here: {change}"
    return f"{second.name} {'helps' if after > before else 'does harm here'}: {change}"
