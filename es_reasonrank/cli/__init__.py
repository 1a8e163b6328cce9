"""The command line. One file a command group; nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys

from es_reasonrank.cli.group import LazyGroup, run

COMMANDS = {
    "demo": ("demo", "Rank questions about Python's library before your eyes."),
    "serve": ("serve", "Stand in front of Elasticsearch and rerank the searches that ask for it."),
    "search": ("search", "Search an index and rerank its top hits."),
    "rerank": ("rerank", "Rerank a TREC run, without Elasticsearch."),
    "batch": ("batch", "Rerank many queries and write the results to an index."),
    "index": ("index", "Load documents into an index."),
    "evaluate": ("evaluate", "Measure runs against judgments."),
    "compare": ("compare", "Tell what reranking changes, and what users prefer, from the service's logs."),
    "sensitivity": ("sensitivity", "Measure how much the incoming order changes a ranking."),
    "profiles": ("profiles", "The rankers that can be used."),
    "elastic": ("elastic", "The embedded Elasticsearch server: a real one, for trying and testing."),
    "keys": ("keys", "API keys for the service's rerank API."),
    "doctor": ("doctor", "Ask every part whether it works."),
    "config": ("config", "Settings, and where they come from."),
}

root = LazyGroup(
    "es-reasonrank",
    package="es_reasonrank.cli",
    table=COMMANDS,
    help="Order Elasticsearch's top hits with a model that reasons.",
)


def main() -> None:
    """Entry point of `es-reasonrank`."""
    sys.exit(run(root, "es-reasonrank"))
