"""`es-reasonrank demo`: rank questions about Python's library before the user's eyes."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.text import Text

from es_reasonrank.cli import output
from es_reasonrank.cli.options import as_json, elastic_options
from es_reasonrank.demo.questions import judgments, questions
from es_reasonrank.demo.ranking import INDEX, MEASURES, RESULTS, Ranked, base, load_passages, rank, telling, verdict
from es_reasonrank.elastic import embedded
from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.doctor import check_server
from es_reasonrank.elastic.search import Plan, Searched, plan
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.settings import ElasticSettings, Settings

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

PROFILES = ("small-ranker", "embedded")
_AT_ONCE = 16


@click.command()
@click.option("--keep", is_flag=True, help="Leave the server running that the demo started.")
@elastic_options
@as_json
def command(keep: bool, settings: Settings, as_json: bool) -> None:
    """Rank questions about Python's library before your eyes.

    Passages are made from the documentation strings of this Python; questions and judgments come with the package.
    """
    started = time.monotonic()
    with _server(settings.elastic, keep=keep) as elastic:
        say(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
        ranked = asyncio.run(_rank_all(elastic))
    first, *others = ranked
    if as_json:
        output.emit_json([_values(entry, first) for entry in ranked])
        return
    for label, name in telling(first, others[0]).items():
        _print_question(label, name, others)
    _print_table(ranked)
    for entry in others:
        output.out.print(verdict(first, entry))
    written = sum(len(entry.searches) for entry in others)
    output.out.print(f"\n{written} results written back to index {RESULTS}, one document a question and profile.")
    output.out.print(
        f"Whole demo: {time.monotonic() - started:.0f} s, models loaded and {len(questions())} questions ranked."
    )
    if keep:
        output.out.print(f'Go on: es-reasonrank search {INDEX} "text that prints late when it is piped" --explain')


def say(text: str) -> None:
    """A line about what is being done."""
    output.err.print(Text(text, style="dim"))


@contextmanager
def _server(settings: ElasticSettings, *, keep: bool) -> Iterator[ElasticSettings]:
    """The cluster of the settings, else the embedded server: the one that runs, or one for the time of the block."""
    running = settings.url is not None or embedded.status() is not None
    if not running:
        say("starting the embedded Elasticsearch")
        embedded.up(say=say)
    try:
        yield settings
    finally:
        if not running and not keep:
            embedded.down()


async def _rank_all(elastic: ElasticSettings) -> list[Ranked]:
    async with connected(elastic) as client:
        say(f"Elasticsearch {await check_server(client)}")
        count = await load_passages(client)
        say(f"{count:,} passages of Python's documentation in index {INDEX}; {len(questions())} questions, all judged")
        planned = await plan(client, INDEX, ("title", "body"))
        ranked = [await _rank(client, name, planned) for name in PROFILES]
    return [base(ranked[0], judgments()), *ranked]


async def _rank(client: AsyncElasticsearch, name: str, planned: Plan) -> Ranked:
    profile = load_profile(name)
    say(f"ranking with profile {name}: {profile.summary}")
    async with Reranker.load(profile) as reranker:
        with output.progress(name, len(questions())) as bar:
            return await rank(
                client,
                reranker,
                planned,
                questions(),
                judgments(),
                at_once=_AT_ONCE,
                on_progress=lambda: bar.advance(bar.task_ids[0]),
            )


def _print_question(label: str, name: str, ranked: Sequence[Ranked]) -> None:
    output.out.print(f"\n[bold]{name}[/bold], {label}: {escape(questions()[name])}")
    grades = judgments()[name]
    tops = [ranked[0].searches[name].ranking.candidates[:3]]
    tops += [tuple(entry.searches[name].ranking)[:3] for entry in ranked]
    rows = [
        (place, *(f"{candidate.id} ({grades.get(candidate.id, '?')})" for candidate in candidates))
        for place, candidates in enumerate(zip(*tops, strict=True), start=1)
    ]
    titles = [f"{title} (grade)" for title in ("base (BM25)", *(entry.name for entry in ranked))]
    output.out.print(output.table(["rank", *titles], rows, right=["rank"]))
    for entry in ranked:
        _print_reasoning(entry.name, entry.searches[name])


def _print_reasoning(profile: str, found: Searched) -> None:
    for window in found.ranking.trace.windows:
        if window.reasoning:
            output.out.print(f"{profile}, {window.outcome} ({escape(window.detail) or 'as asked for'}); its reasoning:")
            output.out.print(Text("  " + " ".join(window.reasoning.split())[:400], style="italic"))


def _print_table(ranked: Sequence[Ranked]) -> None:
    columns = ["ranker", "depth", *MEASURES, "s/query", "load s", "prompt tokens", "generated", "windows"]
    rows = [
        (
            entry.name,
            load_profile(entry.name).depth if entry.name in PROFILES else "-",
            *(f"{entry.measured.means[name]:.4f}" for name in MEASURES),
            f"{entry.totals.seconds_a_query:.3f}",
            f"{entry.totals.load_seconds:.1f}",
            entry.totals.prompt_tokens,
            entry.totals.generated_tokens,
            ", ".join(f"{count} {outcome}" for outcome, count in sorted(entry.totals.outcomes.items())) or "-",
        )
        for entry in ranked
    ]
    output.out.print()
    output.out.print(output.table(columns, rows, right=columns[1:-1]))


def _values(entry: Ranked, first: Ranked) -> Mapping[str, object]:
    return {
        "ranker": entry.name,
        "measures": entry.measured.means,
        "verdict": None if entry is first else verdict(first, entry),
        **entry.totals.summary(),
    }
