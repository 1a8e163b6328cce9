"""The demonstration's questions and their judgments. Both were written for this project, by one person.

The questions were worded so that most have an answer among BM25's top 100: a reranker can only move what is found.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from es_reasonrank.evaluation.runs import Qrels, read_qrels, read_queries


def questions() -> dict[str, str]:
    """Each question's text by its id."""
    return read_queries(_file("queries.jsonl"))


def judgments() -> Qrels:
    """Graded passages: 3 is what is asked for, 2 would do with some work, 1 is related and useful, 0 is not."""
    return read_qrels(_file("qrels.tsv"))


def _file(name: str) -> Path:
    return Path(str(resources.files(__package__) / name))
