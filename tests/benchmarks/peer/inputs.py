"""What both sides are given: the same queries and passages, cleaned and cut before either side sees them.

A file of inputs is JSON, so that the other environment can read it without this project:

    model, template           folder of the weights, file of the prompt template
    window, stride            of the sliding window
    queries, warm_up          {id, text, passages: [{id, text}]}: a list, and one more that is ranked first, uncounted
    repeats, one_by_one       how often everything is measured; whether the peer takes one list at a time, too
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from es_reasonrank.evaluation.runs import Qrels, Run, read_qrels, read_queries, read_run, read_texts
from es_reasonrank.rerank.prompts.neutral import neutral

DATA = Path(__file__).parents[4] / "shared" / "data" / "trec_dl19"
SHARES = (1.0, 1.0, 0.875, 1.0, 0.575, 1.0, 0.275, 1.0)
"""Lists are so deep, as shares of the depth: 40, 40, 35, 40, 23, 40, 11, 40 for a depth of 40."""


@dataclass(frozen=True)
class Collection:
    """Queries with judgments, their first stage, and where the texts are."""

    queries: dict[str, str]
    qrels: Qrels
    run: Run
    corpus: Path


def collection(folder: Path) -> Collection:
    """TREC DL 2019's passages under BM25, from a folder in BEIR's layout."""
    return Collection(
        queries=read_queries(folder / "queries.jsonl"),
        qrels=read_qrels(folder / "qrels" / "test.tsv"),
        run=read_run(folder / "runs" / "BM25.trec"),
        corpus=folder / "corpus.jsonl",
    )


def lists(data: Collection, *, count: int, depth: int, words: int, seed: int) -> list[dict[str, Any]]:
    """`count` queries drawn by `seed`, and one more to warm up with, each with its uneven head of the run.

    Texts are repaired with ftfy, made harmless and cut at `words` words here, so that neither side has anything left
    to change: prompts over the same passages are the same.
    """
    drawn = random.Random(seed).sample(sorted(data.run), count + 1)
    depths = [max(2, round(depth * SHARES[number % len(SHARES)])) for number in range(count)] + [min(depth, 8)]
    heads = {query: data.run[query][:size] for query, size in zip(drawn, depths, strict=True)}
    texts = read_texts(data.corpus, {hit.id for hits in heads.values() for hit in hits})

    def cut(text: str) -> str:
        return " ".join(neutral(text, repair=True).split()[:words])

    return [
        {
            "id": query,
            "text": neutral(data.queries[query], repair=True),
            "passages": [{"id": hit.id, "text": cut(texts[hit.id].text)} for hit in hits],
        }
        for query, hits in heads.items()
    ]
