"""The encoder profile on all-MiniLM-L6-v2: the cheap ranker ranks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from es_reasonrank import Outcome, Reranker, Status
from tests.model.contract import PASSAGES, QUERY


@pytest.fixture(scope="module")
async def reranker() -> AsyncIterator[Reranker]:
    async with Reranker.load("encoder") as reranker:
        yield reranker


async def test_it_ranks(reranker: Reranker) -> None:
    ranking = await reranker.arank(QUERY, PASSAGES)
    assert set(ranking.order[:2]) == {1, 4}
    assert set(ranking.order[-2:]) == {0, 3}
    assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
    assert -1 <= ranking.scores[-1] <= ranking.scores[0] <= 1
    assert ranking.trace.outcomes == {Outcome.OK: len(PASSAGES)}
    assert ranking.trace.prompt_tokens > 0


async def test_a_score_depends_on_query_and_passage_alone(reranker: Reranker) -> None:
    """Batches of other queries beside it change nothing."""
    alone = await reranker.arank(QUERY, PASSAGES)
    beside = await asyncio.gather(*(reranker.arank(query, PASSAGES) for query in (QUERY, "cats", "paint")))
    assert beside[0].order == alone.order
    assert beside[0].scores == pytest.approx(alone.scores, abs=1e-5)
    assert beside[1].order[0] == 0
    assert beside[2].order[0] == 3


async def test_identical_passages_keep_their_order(reranker: Reranker) -> None:
    assert (await reranker.arank(QUERY, ["same text"] * 5)).order == (0, 1, 2, 3, 4)


async def test_a_title_counts(reranker: Reranker) -> None:
    documents = [{"text": "It happens every day."}, {"title": "Why the sky is blue", "text": "It happens every day."}]
    assert (await reranker.arank(QUERY, documents)).order == (1, 0)


async def test_two_megabytes_are_read_in_time(reranker: Reranker) -> None:
    async with asyncio.timeout(10):
        ranking = await reranker.arank(QUERY, ["blue " * 400_000, PASSAGES[1]])
    assert ranking.trace.status is Status.OK
