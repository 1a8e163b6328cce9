"""The example of the documentation: three documents, and an engine that replays what a model said about them.

    from es_reasonrank import Reranker
    from es_reasonrank.demo import example

    with Reranker.load("tfrank", engine=example.engine()) as reranker:
        ranking = reranker.rank(example.QUERIES[0], example.DOCUMENTS)

The model was SmolLM2-135M-Instruct under the prompt of the profile `tfrank`. It runs anywhere, at once; what was
not recorded is an error.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from es_reasonrank.engines.replay import ReplayEngine, ReplayOptions

RECORDING = Path(str(resources.files(__package__) / "example.jsonl"))
PROFILE = "tfrank"
QUERIES = ("why is the sky blue", "how long do cats sleep")
DOCUMENTS = (
    "Cats sleep for most of the day.",
    "Yeast makes bread rise.",
    "Air scatters blue light more than red.",
)


def engine() -> ReplayEngine:
    """An engine that answers as the model did."""
    return ReplayEngine(ReplayOptions(recording=RECORDING))
