"""What trained rankers are worth: nDCG@10 on six test sets, each ranker also joined with BM25's order.

    python tests/benchmarks/bench_trained.py build/trained minilm=encoder small-ranker=embedded:small-ranker

A ranker is a profile by name or file, or with `embedded:` a bi-encoder. All rerank the same candidates; weights of the
fusion are chosen on dev queries of two sets. What was ranked is kept in the folder, and is not ranked again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import yaml

from es_reasonrank.elastic import embedded
from es_reasonrank.evaluation.runs import read_qrels, read_queries
from es_reasonrank.rerank.fusion import Fusion
from es_reasonrank.rerank.profile import load_profile
from es_reasonrank.settings import ElasticSettings
from trainer import evaluate
from trainer.cascade.search import bm25
from trainer.sets import Set
from trainer.stages import Work

LOCAL = "bm25_local_top100"
TESTS: Mapping[str, str] = {
    "trec_dl19": "BM25",
    "nfcorpus": LOCAL,
    "scifact": LOCAL,
    "entailmentbank": LOCAL,
    "bright_leetcode_rebuilt": LOCAL,
    "noveleval": "google_initial",
}
"""Sets, and the run that is reranked."""
DEV = ("nfcorpus", "entailmentbank")
GIVEN = 20
"""Candidates that a query of noveleval has."""


def main() -> None:
    """Rank, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rankers", nargs="+", metavar="NAME=PROFILE")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--limit", type=int, help="queries of a set at most")
    parser.add_argument("--dev-queries", type=int, default=100)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    options = evaluate.Options(
        sets=tuple(_test(chosen, name, run) for name, run in TESTS.items()),
        untrained=False,
        profiles=dict(_ranker(chosen.folder, one) for one in chosen.rankers),
        fused=Fusion(method="min_max", weight=0.5),
        tuned=tuple(_dev(chosen, name) for name in DEV),
    )
    work = Work(chosen.folder, {}, "embedded:smollm2-135m", load_profile("embedded"), 7, say=_say)
    made = evaluate.run(work, options)
    _print(json.loads(made.artifacts["evaluation"].read_text(encoding="utf-8")), chosen)


def _test(chosen: argparse.Namespace, name: str, run: str) -> Set:
    folder = chosen.data / name
    return Set(
        name=name,
        queries=folder / "queries.jsonl",
        corpus=folder / "corpus.jsonl",
        qrels=folder / "qrels" / "test.tsv",
        run=folder / "runs" / f"{run}.trec",
        depth=min(chosen.depth, GIVEN) if name == "noveleval" else chosen.depth,
        limit=chosen.limit,
    )


def _dev(chosen: argparse.Namespace, name: str) -> Set:
    """Dev queries with BM25's candidates, which the embedded server finds at the first time."""
    folder, run = chosen.data / name, chosen.folder / f"{name}-dev-{chosen.dev_queries}.trec"
    queries, qrels = folder / "queries_dev.jsonl", folder / "qrels" / "dev.tsv"
    if not run.is_file():
        judged = read_qrels(qrels)
        asked = {query: text for query, text in sorted(read_queries(queries).items()) if query in judged}
        first = dict(list(asked.items())[: chosen.dev_queries])
        embedded.up(say=_say)
        found = asyncio.run(bm25(folder / "corpus.jsonl", first, depth=100, elastic=ElasticSettings()))
        lines = [
            f"{query} Q0 {hit.id} {rank} {hit.score} bm25\n"
            for query, hits in found.items()
            for rank, hit in enumerate(hits, start=1)
        ]
        run.write_text("".join(lines), encoding="utf-8")
    corpus = folder / "corpus.jsonl"
    return Set(name=f"{name}-dev", queries=queries, corpus=corpus, qrels=qrels, run=run, depth=chosen.depth)


def _ranker(folder: Path, named: str) -> tuple[str, str | Path]:
    name, _, profile = named.partition("=")
    if not profile.startswith("embedded:"):
        return name, profile
    values = {"name": name, "summary": name, "source": "here", "needs": "a processor", "depth": 100}
    engine = {"name": "sentence_transformers", "model": profile, "autocast": True}
    path = folder / f"{name}.yaml"
    axes = {"strategy": {"name": "pointwise"}, "judge": {"name": "encoder"}, "engine": engine}
    path.write_text(yaml.safe_dump(values | axes), encoding="utf-8")
    return name, path


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print(found: Mapping[str, Any], chosen: argparse.Namespace) -> None:
    click.echo(f"machine   {platform.machine()}, Python {platform.python_version()}")
    versions = [f"{name} {version(name)}" for name in ("torch", "transformers", "sentence-transformers")]
    click.echo(f"versions  {', '.join(versions)}")
    click.echo(
        f"settings  depth {chosen.depth}, queries {chosen.limit or 'all'}, fusion's weights from {', '.join(DEV)}"
    )
    for name, ranker in found["rankers"].items():
        fusion = ranker["profile"].get("fusion", {})
        weight = f", weight {fusion['weight']:g}" if fusion.get("method", "none") != "none" else ""
        click.echo(f"          {name}: {ranker['profile']['engine'].get('model', '-')}{weight}")
    p = {(test["set"], test["first"], test["second"]): test["p"] for test in found["tests"]}
    click.echo(f"\n{'set':<26}{'ranker':<30}{'queries':>7}  nDCG@10  95 % interval     p against base")
    for row in found["rows"]:
        against = p.get((row["set"], evaluate.BASE, row["model"]))
        end = "" if against is None else f"{against:.4f}"
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        click.echo(f"{row['set']:<26}{row['model']:<30}{row['queries']:>7}  {row['ndcg']:.4f}   {interval:<17} {end}")


if __name__ == "__main__":
    main()
