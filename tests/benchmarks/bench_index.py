"""How fast documents are loaded, against `helpers.async_streaming_bulk` alone on the same documents.

    python tests/benchmarks/bench_index.py --elastic-url http://localhost:9200
    python tests/benchmarks/bench_index.py --source ../shared/data/nfcorpus

The helper gets the documents as dictionaries that are already in memory, in the client's and the helper's defaults.
`load` reads them from the file, gives every one its fields, and keeps its checkpoint. Both write the same documents
into a new index with the same mapping, in turns, and end with a refresh.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import platform
import random
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_streaming_bulk

from es_reasonrank.elastic.client import connected
from es_reasonrank.elastic.indexing import load
from es_reasonrank.elastic.mappings import Kind, recreate_index
from es_reasonrank.elastic.readers import Fields, Passage, Source, open_source
from es_reasonrank.settings import load as load_settings

INDEX = "bench-index"


def generated(path: Path, count: int, seed: int) -> None:
    """Write documents of 40 to 240 words out of a vocabulary whose words are as unevenly frequent as a language's."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = chance.choices(words, cum_weights=weights, k=chance.randint(40, 240))
            row = {"_id": f"doc-{number}", "title": " ".join(text[:6]), "text": " ".join(text), "year": number % 60}
            file.write(json.dumps(row) + "\n")


async def helper_alone(client: AsyncElasticsearch, documents: list[Passage]) -> None:
    """The helper as it comes."""
    actions = ({"_index": INDEX, "_id": document.id, "_source": document.source} for document in documents)
    async for _ in async_streaming_bulk(client, actions):
        pass
    await client.indices.refresh(index=INDEX)


async def timed(work: Any) -> float:
    """Seconds that some work takes."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def measure(source: Source, url: str | None, repetitions: int) -> None:
    """Measure both in turns, the one and then the other first, and print what comes of it."""
    documents = [row for row in source.passages() if isinstance(row, Passage)]
    gc.collect()
    gc.freeze()  # the documents that the helper gets are not for the other one's garbage collection to visit
    rates: dict[str, list[float]] = {"helper alone": [], "load": []}
    async with connected(load_settings({"elastic.url": url}).settings.elastic) as client:
        info = await client.info()
        print_facts(info["version"]["number"], source, documents)
        for turn in range(-1, repetitions):  # the first turn warms the server up and does not count
            for name in sorted(rates, reverse=turn % 2 == 0):
                await recreate_index(client, INDEX, Kind.PASSAGES)
                work = helper_alone(client, documents) if name == "helper alone" else load(client, source, INDEX)
                seconds = await timed(work)
                if turn >= 0:
                    rates[name].append(len(documents) / seconds)
        await client.indices.delete(index=INDEX)
    print_rates(rates)


def print_rates(rates: dict[str, list[float]]) -> None:
    """The rates, and the median of the ratios of the turns: what disturbs a turn disturbs both."""
    for name, values in rates.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        click.echo(f"{name:13} {statistics.median(values):9,.0f} documents/s (median of {len(values)}; {spread})")
    ratios = [ours / alone for ours, alone in zip(rates["load"], rates["helper alone"], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    click.echo(f"ratio         {statistics.median(ratios):9.2f} (median of {len(ratios)} turns; {spread})")


def print_facts(server: str, source: Source, documents: list[Passage]) -> None:
    """What was measured, on what."""
    size = sum(file.stat().st_size for file in source.files)
    click.echo(f"machine       {platform.platform()}, {platform.machine()}, {os.cpu_count()} cores")
    versions = f"Elasticsearch {server}, client {version('elasticsearch')}, Python {platform.python_version()}"
    click.echo(f"versions      {versions}")
    click.echo(f"documents     {len(documents):,} from {source.path.name}, {size / 2**20:.1f} MiB")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elastic-url", help="the server; by default as es-reasonrank is set up")
    parser.add_argument("--source", type=Path, help="documents to load; by default they are generated")
    parser.add_argument("--body-field", default="")
    parser.add_argument("--documents", type=int, default=20_000, help="how many to generate")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    click.echo(f"settings      {vars(options)}")
    with tempfile.TemporaryDirectory() as folder:
        path = options.source
        if path is None:
            path = Path(folder) / "generated.jsonl"
            generated(path, options.documents, options.seed)
        source = open_source(path, Fields(body=options.body_field))
        asyncio.run(measure(source, options.elastic_url, options.repetitions))


if __name__ == "__main__":
    main()
