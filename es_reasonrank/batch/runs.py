"""Reranking a TREC run without Elasticsearch; a journal beside the output lets an interrupted run go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from es_reasonrank.batch.journal import Journal
from es_reasonrank.batch.outcomes import final
from es_reasonrank.errors import DataError, ReasonRankError
from es_reasonrank.evaluation.runs import Run, Scored, Text
from es_reasonrank.rerank.pool import run_all
from es_reasonrank.rerank.reranker import Reranker
from es_reasonrank.types import Candidate, Ranking


@dataclass(frozen=True)
class Task:
    """One query with its candidates, in the first stage's order."""

    id: str
    query: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Reranked:
    """What is kept of one reranked query."""

    id: str
    order: tuple[str, ...]
    status: str
    outcomes: dict[str, int]
    prompt_tokens: int
    generated_tokens: int
    seconds: float
    cached: int = 0
    scores: tuple[float, ...] = ()
    """One a place of the order, never increasing; a journal of an earlier version has none."""

    @classmethod
    def of(cls, name: str, ranking: Ranking) -> Reranked:
        """The essence of a ranking."""
        trace = ranking.trace
        return cls(
            id=name,
            order=tuple(candidate.id for candidate in ranking),
            status=trace.status,
            outcomes={str(outcome): count for outcome, count in trace.outcomes.items()},
            prompt_tokens=trace.prompt_tokens,
            generated_tokens=trace.generated_tokens,
            seconds=trace.seconds,
            cached=trace.cached,
            scores=ranking.scores,
        )

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Reranked:
        """A journal's row."""
        return cls(**{**row, "order": tuple(row["order"]), "scores": tuple(row.get("scores", ()))})


def tasks(run: Run, queries: Mapping[str, str], texts: Mapping[str, Text], *, path: str) -> list[Task]:
    """The queries of a run with their candidates, in the run's order.

    Args:
        path: the run's file, for the complaint.

    Raises:
        DataError: a query of the run has no text.
    """
    unknown = [query for query in run if query not in queries]
    if unknown:
        raise DataError(
            f"{len(unknown)} of its {len(run)} queries have no text, the first is {unknown[0]!r}", path=path
        )

    def found(hit: Scored) -> Candidate:
        return Candidate(hit.id, texts[hit.id].text, texts[hit.id].title, hit.score)

    return [Task(query, queries[query], tuple(map(found, hits))) for query, hits in run.items()]


async def rerank_tasks(
    reranker: Reranker, todo: Sequence[Task], journal: Journal, *, at_once: int
) -> AsyncIterator[tuple[Task, Reranked | ReasonRankError]]:
    """Rerank queries side by side, each kept in the journal as it is done; those that it holds are not done again."""
    done = {row["id"]: Reranked.read(row) for row in journal.rows}
    for task in todo:
        if task.id in done:
            yield task, done[task.id]

    async def work(task: Task) -> Reranked:
        result = Reranked.of(task.id, final(await reranker.arank(task.query, task.candidates)))
        journal.add(asdict(result))
        return result

    async for task, result in run_all((task for task in todo if task.id not in done), work, at_once=at_once):
        yield task, result
