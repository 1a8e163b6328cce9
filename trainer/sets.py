"""Judged queries with candidates, to measure a ranker on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from es_reasonrank.batch.runs import Task, tasks
from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.runs import Qrels, read_qrels, read_queries, read_run, read_texts
from es_reasonrank.validation import Checked


class Set(Checked):
    """Queries to measure on."""

    name: str
    queries: Path = Field(description="JSON Lines with _id and text.")
    corpus: Path = Field(description="JSON Lines with _id, title and text.")
    qrels: Path = Field(description="Judgments; queries without any are left out.")
    run: Path = Field(description="TREC run with the candidates, in the base order.")
    depth: int = Field(100, ge=2, description="Candidates of a query.")
    limit: int | None = Field(None, ge=1, description="Queries at most, the first by id.")

    def load(self) -> tuple[list[Task], Qrels]:
        """The judged queries with their candidates, and their judgments.

        Raises:
            DataError: a file is wrong, or no query of the run is judged.
        """
        judged = {query: grades for query, grades in read_qrels(self.qrels).items() if any(grades.values())}
        run = {query: hits[: self.depth] for query, hits in read_run(self.run).items() if query in judged}
        run = {query: run[query] for query in sorted(run)[: self.limit]}
        if not run:
            raise DataError(f"holds no query that {self.qrels} judges", path=str(self.run))
        texts = read_texts(self.corpus, {hit.id for hits in run.values() for hit in hits})
        todo = tasks(run, read_queries(self.queries), texts, path=str(self.run))
        return todo, {query: judged[query] for query in run}
